"""The settings of a run, checked before TensorFlow is imported."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import zoo
from trainers.config import auto, checks, fields, optimizers
from trainers.config.fields import check_name, check_option
from zoo.spec import Recipe, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One run: a model, its recipe as changed by flags, and where and how it runs."""

    model: str = setting(
        dataclasses.MISSING, "model to train; see --list; auto: the first choice for the data set"
    )
    recipe: Recipe
    hparams: Mapping[str, Any] = setting(
        {}, "hyperparameters that differ from the model's own: units=32,dropout=0.2", kind="options"
    )
    task: str = setting("", "what to train the model for (default: its own, else the data set's)")
    task_options: Mapping[str, Any] = setting(
        {}, "options of the task: mask_rate=0.3", kind="options"
    )
    dataset: str = setting("", "TFDS data set, for pipelines that take any: mnist, svhn_cropped")
    data_files: str = setting(
        "",
        "a file or folder with your own data, for the pipelines csv, image_folder, image_table, "
        "text_lines, text_folder and text_table",
        changes_numbers=False,  # the fingerprint of the data shows whether it is the same
    )
    target: str = setting("", "the column to predict, for tables of any kind: price")
    data_dir: str = setting(
        "",
        "TFDS's data folder (default: TFDS_DATA_DIR, then TFDS's own); for your own images, where "
        "decoded ones are kept (default: temporary files)",
        changes_numbers=False,  # as data_files
    )
    pipeline_options: Mapping[str, Any] = setting(
        {}, "options of the data set: augment=False", kind="options"
    )
    workdir: str = setting(
        "",
        "folder of the run (default: runs/<model>-<pipeline>[-<dataset>][-<task>]-s<seed>)",
        changes_numbers=False,
    )
    init_from: tuple[str, ...] = setting(
        (),
        "sources of initial weights in order: a finished run (with its vocabulary), a .keras file, "
        "word vectors as text (.txt, .vec), packaged (trained on ImageNet), probe (the last layer "
        "fitted on the features of the others), none (not the model's own sources)",
        kind="paths",
    )
    init_new: tuple[str, ...] = setting(
        (),
        "weights that --init_from may lack or have in another shape, by regular expressions on "
        "their paths",
        kind="patterns",
    )
    judge: str = setting(
        "",
        "a finished run of a classifier that evaluates generated images",
        changes_numbers=False,
    )
    judge_samples: int = setting(
        10_000,
        "number of generated images to judge, at most the number of test rows",
        at_least=2,
        changes_numbers=False,
    )
    way: tuple[str, ...] = setting(
        (), "other ways to take a training step, in order: accumulate", kind="names"
    )
    way_options: Mapping[str, Any] = setting(
        {}, "options of the ways: accumulate.steps=4", kind="options"
    )
    replicas: int = setting(
        0,
        "devices to train on; 0: all GPUs, or one CPU",
        at_least=0,
        changes_numbers=False,  # equal up to rounding
    )
    histograms: bool = setting(
        False, "write histograms of the weights for TensorBoard", changes_numbers=False
    )
    profile: bool = setting(
        False, "write a profile of a few steps for TensorBoard", changes_numbers=False
    )
    report_baseline: bool = setting(
        True, "train a linear model for comparison in report.html", changes_numbers=False
    )
    checkpoint_minutes: float = setting(
        5.0,
        "minutes between checkpoints within an epoch (each epoch also ends with one)",
        at_least=0,
        changes_numbers=False,
    )
    max_minutes: float = setting(
        0.0,
        "save and stop with exit code 124 after this many minutes; 0 never stops",
        at_least=0,
        changes_numbers=False,
    )
    recover_tries: int = setting(
        0,
        "how often a run may resume from its last checkpoint, at half the learning rate, after a "
        "NaN or infinity",
        at_least=0,
        changes_numbers=False,  # of a run without NaN
    )
    deterministic: bool = setting(
        False, "refuse operations whose result depends on timing; slower (BUILD_NOTES.md)"
    )
    resume_with_changes: bool = setting(
        False, "continue a run with settings that differ from its own", changes_numbers=False
    )
    dry_run: bool = setting(
        False, "print what would be done, with size and time; write nothing", changes_numbers=False
    )
    debug: bool = setting(False, "print tracebacks and TensorFlow's log", changes_numbers=False)

    @property
    def run_dir(self) -> pathlib.Path:
        """The folder of the run; its default name includes the task if --task is set."""
        if self.workdir:
            return pathlib.Path(os.path.expanduser(self.workdir))
        data = self.dataset or pathlib.Path(self.data_files.partition(",")[0]).stem
        parts = [self.model, self.recipe.pipeline, data, self.task, f"s{self.recipe.seed}"]
        safe = [re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in parts if part]
        return pathlib.Path("runs", "-".join(safe))

    @property
    def keep(self) -> str:
        """Which weights are tested and exported: 'last' or 'best'."""
        return self.recipe.keep or ("best" if self.recipe.early_stopping else "last")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be continued: all but the fields marked otherwise."""
        return {
            name: fields.as_json(value)
            for name, value in values(self).items()
            if FIELDS[name].metadata["changes_numbers"]
        }


RECIPE_FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
FIELDS = {
    **{field.name: field for field in dataclasses.fields(Settings) if field.name != "recipe"},
    **RECIPE_FIELDS,
}  # of all flags


def values(settings: Settings) -> dict[str, Any]:
    """The value of every flag by name."""
    return {
        name: getattr(settings.recipe if name in RECIPE_FIELDS else settings, name)
        for name in FIELDS
    }


def recorded_identity(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The identity that an earlier version recorded, as this one writes it.

    A field that it lacks did not exist yet, and so had its default.

    Raises:
        UsageError: a value is of a type that the field cannot have.
    """
    changing = {n: f for n, f in FIELDS.items() if f.metadata["changes_numbers"]}
    defaults = {name: fields.default(field) for name, field in changing.items()}
    accepted = {
        name: fields.accept(changing[name], value) if name in changing else value
        for name, value in recorded.items()
    }
    return fields.as_json({**defaults, **accepted})


def resolve(model: str, changes: Mapping[str, Any]) -> Settings:
    """The model's own recipe with `changes` (fields of Recipe or Settings) made to it, checked.

    Args:
        model: a registered name, or `auto` (trainers/config/auto.py).

    Raises:
        UsageError: an unknown name or an invalid value; the message says what was expected.
        DataError: weights that the run begins with are in a package that is not installed.
    """
    for name in changes:
        check_name("setting", name, sorted(FIELDS.keys() - {"model"}))
    if model == "auto":
        model = auto.model_for(*(changes.get(name) for name in ("pipeline", "workdir", "task")))
        changes = {**auto.sizes(model, changes.get("pipeline")), **changes}
    described = checks.known(zoo.describe, model)
    requested = {"model": model, **optimizers.defaults(described.recipe, changes), **changes}
    accepted = {name: fields.accept(FIELDS[name], value) for name, value in requested.items()}
    suited = described.data_options.get(accepted.get("pipeline", described.recipe.pipeline), {})
    accepted["pipeline_options"] = {**suited, **accepted.get("pipeline_options", {})}
    recipe = Recipe(**{k: v for k, v in accepted.items() if k in RECIPE_FIELDS})
    rest = {k: v for k, v in accepted.items() if k not in RECIPE_FIELDS}
    settings = Settings(recipe=recipe, **rest)
    for name, value in settings.hparams.items():
        check_name(f"hparam of {model}", name, sorted(described.hparams))
        check_option(f"--hparams: {name}", value, described.hparams[name])
    optimizers.check(recipe)
    checks.check_task(settings, described.tasks)
    checks.check_pipeline(settings)
    checks.check_ways(settings)
    checks.check_run(settings)
    return settings
