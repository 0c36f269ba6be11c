"""A finished run, read from its folder alone: without its data, without an optimizer."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import pipelines
from pipelines.core.pipeline import Pipeline, Schema, State
from pipelines.core.prepared import Prepared, served
from trainers.config.checks import pipeline_arguments
from trainers.config.settings import Settings
from trainers.errors import ArtefactError
from trainers.store import arrays, report_file, run_folder, schema, state
from trainers.tasks import registry as tasks

SPLITS = ("validation", "test")  # whose predictions are kept


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """The files of a finished run; each is read when it is first used.

    Raises:
        ArtefactError: from any attribute whose file is missing or damaged.
    """

    folder: pathlib.Path
    settings: Settings
    facts: Mapping[str, Any]  # run.json
    report: Mapping[str, Any]  # report.json
    keep: str  # which weights: those of the 'last' or of the 'best' step

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """Values by variable path, in float32: running averages if the run keeps them."""
        return _read(self, _weights_file(self))

    @functools.cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """Rows of the test split that the export is compared on or the report shows."""
        return _read(self, "examples.npz")

    @functools.cached_property
    def samples(self) -> dict[str, np.ndarray]:
        """Images that a generator made, with their classes."""
        return _read(self, "samples.npz")

    @functools.cached_property
    def predictions(self) -> dict[str, dict[str, np.ndarray]]:
        """Row numbers, targets and outputs by split, the baselines' outputs among them."""
        return {split: _read(self, f"predictions/{split}.npz") for split in SPLITS}

    @functools.cached_property
    def schema(self) -> Schema:
        """The schema of the run's data."""
        return serving(self.folder, self.facts)[0]

    @property
    def form(self) -> str:
        """The name of the run's input form."""
        return serving(self.folder, self.facts)[1]

    @functools.cached_property
    def state(self) -> State:
        """What the run's pipeline fitted; empty if it fits nothing."""
        fitted = state.load(self.folder, self.form) or {}
        run_folder.check_state(self.folder, self.facts, fitted)
        return fitted

    @functools.cached_property
    def prepared(self) -> Prepared:
        """The pipeline with its state and without rows, as it is served."""
        options = self.settings.task_options
        pipeline, _ = tasks.over(self.schema.task, self._declared(), self.schema, options)
        return served(pipeline, self.schema, form=self.form, state=self.state)

    def _declared(self) -> Pipeline:
        pipeline = pipelines.get(self.settings.recipe.pipeline, **pipeline_arguments(self.settings))
        pipeline = tasks.source(self.schema.task, pipeline)
        return dataclasses.replace(pipeline, source=str(self.facts["data"].get("source")))


def finished(folder: pathlib.Path, keep: str = "") -> Finished:
    """The finished run in a folder.

    Args:
        keep: 'last' or 'best', for the weights of that step; empty: those that were exported.

    Raises:
        ArtefactError: there is no run, it is not finished, or an earlier version finished it.
    """
    settings, facts = run_folder.settings_of(folder)
    report = report_file.read(folder)
    if report is None:
        raise ArtefactError(f"{folder} is not finished: the same trainers.run command continues it")
    if not (folder / "weights.npz").is_file() or "serving" not in facts:
        raise ArtefactError(
            f"{folder} was finished by an earlier version, which kept no weights.npz: remove its "
            "report.json and repeat its command, which finishes it again"
        )
    past = Finished(
        folder=folder, settings=settings, facts=facts, report=report, keep=keep or settings.keep
    )
    if not (folder / _weights_file(past)).is_file():
        raise ArtefactError(f"{folder} has no weights of its {past.keep} step any more")
    return past


def serving(folder: pathlib.Path, facts: Mapping[str, Any]) -> tuple[Schema, str]:
    """The schema and the input form in a run.json. ArtefactError: it has none."""
    content = facts.get("serving")
    try:
        if not isinstance(content, dict) or not isinstance(content.get("form"), str):
            raise ValueError("serving holds no form")
        return schema.from_json(content.get("schema")), content["form"]
    except ValueError as error:
        raise ArtefactError(f"{folder / 'run.json'} is damaged: {error}") from error


def _weights_file(past: Finished) -> str:
    """The file with the wanted step's weights: the same for both if the last step is the best."""
    steps = past.report.get("steps")
    one = isinstance(steps, dict) and steps.get("last") == steps.get("best")
    return "weights.npz" if one or past.keep == past.settings.keep else f"weights-{past.keep}.npz"


def _read(past: Finished, name: str) -> dict[str, np.ndarray]:
    path = past.folder / name
    try:
        report_file.check_file(past.folder, past.report, name)
        return arrays.read(path)
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing") from error
    except (ValueError, OSError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error
