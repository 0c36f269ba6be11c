"""Initial weights from a finished run, and the part of its state that makes its inputs."""

import logging
import os
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

import pipelines
from pipelines.core.pipeline import Part, Pipeline, Rows, Schema, State
from trainers.config.settings import Settings
from trainers.errors import ArtefactError, UsageError
from trainers.store.finished import Finished, finished

_LOG = logging.getLogger(__name__)
_CUT = ("split_seed", "validation", "test")
# Forms of one text, whatever its column is called.
_OF_TEXTS = ("pieces", "ngrams", "words", "pairs")
_OF_TASKS = ("words", "pairs")  # fitted with options of the task


def weights(folder: pathlib.Path, settings: Settings) -> Mapping[str, np.ndarray]:
    """The run's exported weights, by variable path; warns if it split its data differently.

    Raises:
        ArtefactError: it is not finished.
    """
    past = finished(folder)
    then, now = _cut(past.settings), _cut(settings)
    if any(then[name] != now[name] for name in then.keys() & now.keys()):
        _LOG.warning(
            "--init_from=%s split its data by %s, this run by %s: rows that both have may be "
            "trained on there and tested on here",
            *(folder, _listed(then), _listed(now)),
        )
    return past.weights


def _cut(settings: Settings) -> dict[str, float]:
    """The options that the splits depend on."""
    own = pipelines.describe(settings.recipe.pipeline).options
    return {name: settings.pipeline_options.get(name, own[name]) for name in _CUT if name in own}


def _listed(options: Mapping) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def adopted_state(
    settings: Settings, pipeline: Pipeline, schema: Schema, train: Rows | None, form: str
) -> State:
    """The part of the state that makes inputs, from the first run that --init_from lists.

    Weights are useful only with the vocabulary or statistics that they were trained with. The
    target is fitted on the new run's own rows.

    Args:
        train: the new run's training rows, if they are split already, as those of tables are.
        form: the input form of the new run; empty: the pipeline's default.

    Returns:
        One part, or nothing where no run is listed or the form is not fitted.

    Raises:
        ArtefactError: the run has no such part, or made it of other fields.
        UsageError: an option has another value than the part was fitted with.
    """
    form = form or next(iter(pipeline.forms))
    chosen = pipeline.forms.get(form)
    folders = [pathlib.Path(os.path.expanduser(source)) for source in settings.init_from]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None or chosen is None or chosen.fit is None:
        return {}
    past, name = finished(folder), f"inputs/{form}"
    if name not in past.state:
        if train is not None and not chosen.fit(train):  # images of 8 bits have no state
            return {}
        raise ArtefactError(
            f"--init_from={folder} was trained on {past.settings.recipe.pipeline}, which has no "
            f"fitted state for the input form {form!r} of {pipeline.name}"
        )
    left = chosen.leaves_out(train, past.state[name]) if chosen.leaves_out else ()
    if not (form in _OF_TEXTS and _is_one_text(past.schema) and _is_one_text(schema)):
        _check_fields(folder, past, pipeline, schema, left)
    flag = "task_options" if form in _OF_TASKS else "pipeline_options"
    _check_options(folder, flag, getattr(settings, flag), past.state[name])
    return {name: past.state[name]}


def _is_one_text(schema: Schema) -> bool:
    return [field.dtype for field in schema.raw.values()] == ["string"]


def _check_fields(
    folder: pathlib.Path,
    past: Finished,
    pipeline: Pipeline,
    schema: Schema,
    left_out: Collection[str],
) -> None:
    theirs, ours = (
        {name: field.dtype for name, field in each.raw.items()} for each in (past.schema, schema)
    )
    ours = {name: dtype for name, dtype in ours.items() if name not in left_out}
    if theirs != ours:
        raise ArtefactError(
            f"--init_from={folder} made its inputs of {', '.join(theirs)}, {pipeline.name} has "
            f"{', '.join(ours)}"
        )


def _check_options(folder: pathlib.Path, flag: str, options: Mapping[str, Any], part: Part) -> None:
    for name, value in options.items():
        recorded = None if value == "auto" else part.get(name)
        if recorded is not None and np.ndim(recorded) == 0 and np.asarray(recorded).item() != value:
            raise UsageError(
                f"--{flag}: {name}={value}, but --init_from={folder} was trained with "
                f"{name}={np.asarray(recorded).item()}"
            )
