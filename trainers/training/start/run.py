"""Initial weights from a finished run, and the part of its state that its inputs were made by."""

import pathlib
from collections.abc import Collection, Mapping

import numpy as np

from pipelines.core.pipeline import Part, Pipeline, Rows, Schema, State
from trainers.config.settings import Settings
from trainers.errors import ArtefactError, UsageError
from trainers.store.finished import Finished, finished

# Forms of one text, whatever its column is called.
_OF_TEXTS = ("pieces", "ngrams", "words", "pairs")


def weights(folder: pathlib.Path) -> Mapping[str, np.ndarray]:
    """What the run exported, by variable path. ArtefactError: it is not finished."""
    return finished(folder).weights


def adopted_state(
    settings: Settings, pipeline: Pipeline, schema: Schema, train: Rows | None, form: str
) -> State:
    """The part of the state that makes inputs, from the first run that --init_from lists.

    Weights mean something only under the vocabulary or statistics that they were trained with. The
    target is fitted on the new run's own rows.

    Args:
        train: the rows that it trains on, where they are cut already, as those of tables are.
        form: the input form of the new run; empty: the pipeline's default.

    Returns:
        One part, or nothing where no run is listed or the form is not fitted.

    Raises:
        ArtefactError: the run has no such part, or made it of other fields.
        UsageError: an option was set to something else than the part was fitted with.
    """
    form = form or next(iter(pipeline.forms))
    chosen = pipeline.forms.get(form)
    folders = [pathlib.Path(source).expanduser() for source in settings.init_from]
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
    _check_options(folder, settings, past.state[name])
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


def _check_options(folder: pathlib.Path, settings: Settings, part: Part) -> None:
    for name, value in settings.pipeline_options.items():
        recorded = part.get(name)
        if recorded is not None and np.ndim(recorded) == 0 and np.asarray(recorded).item() != value:
            raise UsageError(
                f"--pipeline_options: {name}={value}, but --init_from={folder} was trained with "
                f"{name}={np.asarray(recorded).item()}"
            )
