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
    """The weights of a model that Keras 3 saved, also of one of keras.applications.

    Args:
        settings: of the run.
        prepared: its data; where its inputs were fitted, a warning says that the file cannot have
            brought the vocabulary or statistics of its own training.

    Raises:
        ArtefactError: the file is refused.
        UsageError: it is of keras.applications, and the run's model is built otherwise.
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
