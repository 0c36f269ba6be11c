"""What --model=auto means: the model of the run in the folder, else the default for the data."""

import logging
import os
import pathlib

import pipelines
import zoo
from trainers.config import packages
from trainers.errors import UsageError

_FIRST = {
    **dict.fromkeys(("csv", "tfds_table", "breast_cancer"), "tabular"),
    **dict.fromkeys(("text_lines", "text_folder", "text_table"), "text_ngram"),
    **dict.fromkeys(("tfds_text", "imdb", "docstrings"), "text_ngram"),
}
_FIRST_OF_TASK = {  # for these tasks, which the data's first choice does not support
    "masked_image": "mae",
    "masked_lm": "bert_mini",
    "word_vectors": "word2vec",
    "cooccurrence": "glove",
}
# For photographs: a network that was trained on ImageNet, where its weights are installed.
_PRETRAINED, _FROM_SCRATCH = "efficientnet_lite2", "speed_cnn"
_PHOTOGRAPHS = ("image_folder", "image_table")
_BY_ROWS = {"batch_size": 0, "epochs": 0}  # the batch of its recipe is larger than some folders
SUMMARY = (
    "The first choice for the data set: tabular for tables, text_ngram for texts, for photographs "
    "efficientnet_lite2 where its weights are installed and else speed_cnn; mae for "
    "--task=masked_image, bert_mini for masked_lm, word2vec for word_vectors, glove for "
    "cooccurrence; in a run's folder its own."
)
_LOG = logging.getLogger(__name__)


def model_for(pipeline: str | None, workdir: str | None, task: str | None = None) -> str:
    """The registered name of the model to train.

    Args:
        pipeline: name of the data set.
        workdir: folder of the run; empty or None: the default one, whose name contains the model.
        task: the task that is asked for; empty or None: the data's own.

    Raises:
        UsageError: no data set is given, or there is no default model for it.
        ArtefactError: the record of the run is damaged.
    """
    from trainers.store import sealed  # imports NumPy, which refusing a flag does not need

    folder = pathlib.Path(os.path.expanduser(workdir or ""))
    record = sealed.read(folder / "run.json") if workdir else None
    recorded = (record or {}).get("settings")
    if isinstance(recorded, dict) and isinstance(recorded.get("model"), str):
        _LOG.info("--model=auto: %s, as %s has recorded", recorded["model"], workdir)
        return recorded["model"]
    if not pipeline:
        raise UsageError("--model=auto needs the data set: --pipeline=csv --data_files=table.csv")
    if task in _FIRST_OF_TASK:
        _LOG.info("--model=auto: %s, the first choice for task %s", _FIRST_OF_TASK[task], task)
        return _FIRST_OF_TASK[task]
    if pipeline in _PHOTOGRAPHS:
        return _for_photographs(pipeline)
    if pipeline not in _FIRST:
        kinds = (
            f"it is for tables and texts ({', '.join(_FIRST)}) and for "
            f"photographs ({', '.join(_PHOTOGRAPHS)})"
        )
        if pipeline not in pipelines.names():
            kinds = "no such data set; all: --list"
        raise UsageError(
            f"--model=auto knows no first choice for pipeline {pipeline!r}: {kinds}; models: "
            f"{', '.join(zoo.names())}"
        )
    _LOG.info("--model=auto: %s, the first choice for %s", _FIRST[pipeline], pipeline)
    return _FIRST[pipeline]


def sizes(model: str, pipeline: str | None) -> dict[str, float]:
    """Recipe fields of a chosen model to replace, where its own do not suit every set of images."""
    return _BY_ROWS if pipeline in _PHOTOGRAPHS and model == _FROM_SCRATCH else {}


def _for_photographs(pipeline: str) -> str:
    if packages.path(_PRETRAINED):
        _LOG.info("--model=auto: %s, trained on ImageNet, for %s", _PRETRAINED, pipeline)
        return _PRETRAINED
    _LOG.info(
        "--model=auto: %s, from scratch, for %s; one that was trained on ImageNet needs fewer "
        "images: %s",
        _FROM_SCRATCH,
        pipeline,
        packages.PACKAGES[_PRETRAINED].install,
    )
    return _FROM_SCRATCH
