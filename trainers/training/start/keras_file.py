"""Initial weights from a .keras file, by variable path."""

import logging
import pathlib
from collections.abc import Mapping

import numpy as np

from pipelines.core.prepared import Prepared
from trainers.store import keras_file

_LOG = logging.getLogger(__name__)


def weights(path: pathlib.Path, prepared: Prepared) -> Mapping[str, np.ndarray]:
    """The weights of a model that Keras 3 saved. ArtefactError: the file is refused.

    Args:
        prepared: the run's data; where its inputs were fitted, a warning says that the file cannot
            have brought the vocabulary or statistics of its own training.
    """
    if prepared.state.get(f"inputs/{prepared.form}"):
        _LOG.warning(
            "%s holds weights alone: vocabulary or statistics were fitted anew and may not be "
            "those it was trained with",
            path,
        )
    return keras_file.load(path)
