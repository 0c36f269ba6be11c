"""Initial weights from a .keras file, by variable path."""

import logging
import pathlib
from collections.abc import Mapping

import numpy as np

import zoo
from pipelines.core.prepared import Prepared
from trainers.config.settings import Settings
from trainers.store import keras_file
from trainers.training.start import keras_applications

_LOG = logging.getLogger(__name__)


def weights(path: pathlib.Path, settings: Settings, prepared: Prepared) -> Mapping[str, np.ndarray]:
    """The weights of a model that Keras 3 saved, including those of keras.applications.

    Args:
        settings: of the run.
        prepared: its data; if its inputs have fitted state, a warning says that the file does not
            contain the vocabulary or statistics that its weights were trained with.

    Raises:
        ArtefactError: the file is refused.
        UsageError: it is of keras.applications, and the run's model has other hyperparameters.
    """
    if prepared.state.get(f"inputs/{prepared.form}"):
        _LOG.warning(
            "%s holds weights alone: vocabulary or statistics were fitted anew and may not be "
            "those it was trained with",
            path,
        )
    arrays, model = keras_file.load(path), settings.model
    if keras_applications.family_of(model, arrays) is None:
        return arrays
    hparams = {**zoo.describe(model).hparams, **settings.hparams}
    return keras_applications.renamed(model, arrays, hparams)
