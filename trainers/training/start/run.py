"""Initial weights from a finished run, and the part of its state that its inputs were made by."""

import pathlib
from collections.abc import Mapping

import numpy as np

from pipelines.core.pipeline import Part, Pipeline, Schema, State
from trainers.config.settings import Settings
from trainers.errors import ArtefactError, UsageError
from trainers.store.finished import Finished, finished


def weights(folder: pathlib.Path) -> Mapping[str, np.ndarray]:
    """What the run exported, by variable path. ArtefactError: it is not finished."""
    return finished(folder).weights


def adopted_state(settings: Settings, pipeline: Pipeline, schema: Schema, form: str) -> State:
    """The part of the state that makes inputs, from the first run that --init_from lists.

    Weights mean something only under the vocabulary or statistics that they were trained with. The
    target is fitted on the new run's own rows.

    Args:
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
        raise ArtefactError(
            f"--init_from={folder} was trained on {past.settings.recipe.pipeline}, which has no "
            f"fitted state for the input form {form!r} of {pipeline.name}"
        )
    _check_fields(folder, past, pipeline, schema)
    _check_options(folder, settings, past.state[name])
    return {name: past.state[name]}


def _check_fields(folder: pathlib.Path, past: Finished, pipeline: Pipeline, schema: Schema) -> None:
    theirs, ours = (
        {name: field.dtype for name, field in each.raw.items()} for each in (past.schema, schema)
    )
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
