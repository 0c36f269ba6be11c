"""The settings of a run, checked before TensorFlow is imported."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import pipelines
import zoo
from trainers.config import auto, fields, optimizers
from trainers.config.fields import check_name, check_option
from trainers.errors import UsageError
from trainers.tasks import registry as tasks
from trainers.ways import registry as ways
from zoo.spec import Recipe, setting

# Flags that name the data, for the pipelines that take them, with an example of each.
_DATA_EXAMPLES = {"dataset": "mnist", "data_files": "table.csv", "target": "price"}
# What --init_from takes besides paths: no source of the model's own, and the model's `adapt`.
START_SOURCES = ("none", "statistics")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One run: a model, its recipe as changed by flags, and where and how it runs."""

    model: str = setting(
        dataclasses.MISSING, "model to train; see --list; auto: the first choice for the data set"
    )
    recipe: Recipe
    hparams: Mapping[str, Any] = setting(
        {}, "sizes of the model that differ from its own: units=32,dropout=0.2", kind="options"
    )
    task: str = setting("", "what to train the model for (default: its own, else the data set's)")
    dataset: str = setting("", "TFDS name, for pipelines that take any: mnist, svhn_cropped")
    data_files: str = setting(
        "",
        "your own data, a file or folder, for csv, image_folder, text_lines",
        changes_numbers=False,  # the fingerprint of the data says whether it is the same
    )
    target: str = setting("", "the column to predict, for tables: price")
    data_dir: str = setting(
        "",
        "TFDS's data folder (default: TFDS_DATA_DIR, then TFDS's own)",
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
        "sources of initial weights in order: a finished run (with its vocabulary), a .keras file",
        kind="paths",
    )
    init_new: tuple[str, ...] = setting(
        (),
        "weights that --init_from may leave new, by regular expressions on their paths",
        kind="patterns",
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
        True, "train a linear model to compare with in report.html", changes_numbers=False
    )
    checkpoint_minutes: float = setting(
        5.0,
        "minutes between checkpoints within an epoch (one is always saved at its end)",
        at_least=0,
        changes_numbers=False,
    )
    max_minutes: float = setting(
        0.0,
        "save and stop with exit code 124 after so many minutes; 0 never stops",
        at_least=0,
        changes_numbers=False,
    )
    recover_tries: int = setting(
        0,
        "after a NaN or infinity, resume from the last checkpoint at half the learning rate, so "
        "many times at most",
        at_least=0,
        changes_numbers=False,  # of a run without NaN
    )
    deterministic: bool = setting(
        False, "refuse operations whose result depends on timing; slower (BUILD_NOTES.md)"
    )
    resume_with_changes: bool = setting(
        False, "continue a run under settings that differ from its own", changes_numbers=False
    )
    dry_run: bool = setting(
        False, "print what would be done, with size and time; write nothing", changes_numbers=False
    )
    debug: bool = setting(False, "print tracebacks and TensorFlow's log", changes_numbers=False)

    @property
    def run_dir(self) -> pathlib.Path:
        """The folder of the run; in its default name the task stands where --task is set."""
        if self.workdir:
            return pathlib.Path(self.workdir).expanduser()
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

    A field that it lacks did not exist, and so had its default.

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
        UsageError: an unknown name or a value that cannot be meant; it says what was expected.
    """
    for name in changes:
        check_name("setting", name, sorted(FIELDS.keys() - {"model"}))
    if model == "auto":
        model = auto.model_for(changes.get("pipeline"), changes.get("workdir"))
    described = _described(zoo.describe, model)
    asked = {"model": model, **optimizers.defaults(described.recipe, changes), **changes}
    accepted = {name: fields.accept(FIELDS[name], value) for name, value in asked.items()}
    recipe = Recipe(**{k: v for k, v in accepted.items() if k in RECIPE_FIELDS})
    rest = {k: v for k, v in accepted.items() if k not in RECIPE_FIELDS}
    settings = Settings(recipe=recipe, **rest)
    for name, value in settings.hparams.items():
        check_name(f"hparam of {model}", name, sorted(described.hparams))
        check_option(f"--hparams: {name}", value, described.hparams[name])
    optimizers.check(recipe)
    _check_task(settings, described.tasks)
    _check_pipeline(settings)
    _check_ways(settings)
    _check_run(settings)
    return settings


def task_of(settings: Settings, own: str) -> str:
    """The task of a run: that of --task, else the model's first, else the data's `own`.

    Raises:
        UsageError: the model is not for it.
    """
    of_model = zoo.describe(settings.model).tasks
    task = settings.task or next(iter(of_model), own)
    if of_model and task not in of_model:
        raise UsageError(f"{settings.model} is for {' or '.join(of_model)}, not for task {task}")
    return task


def pipeline_arguments(settings: Settings) -> dict[str, Any]:
    """The options that the pipeline's function is called with."""
    described = pipelines.describe(settings.recipe.pipeline)
    offered = {*described.options, *described.required}
    flags = {name: getattr(settings, name) for name in ("data_dir", *_DATA_EXAMPLES)}
    flags = {name: value for name, value in flags.items() if value and name in offered}
    return flags | dict(settings.pipeline_options)


def _described(describe: Callable[[str], Any], name: str) -> Any:
    try:
        return describe(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_task(settings: Settings, of_model: tuple[str, ...]) -> None:
    for task in of_model:
        check_name(f"task of {settings.model}", task, tasks.names())
    if settings.task:
        check_name("task", settings.task, tasks.names())
        task_of(settings, settings.task)
    metrics = {name for task in tasks.names() for name in tasks.describe(task).metrics}
    check_name("monitor", settings.recipe.monitor, sorted(metrics))


def _check_pipeline(settings: Settings) -> None:
    name = settings.recipe.pipeline
    described = _described(pipelines.describe, name)
    offered = {*described.options, *described.required}
    for option, value in settings.pipeline_options.items():
        check_name(f"option of pipeline {name}", option, sorted(offered))
        label, limits = f"--pipeline_options: {option}", described.limits.get(option, (None, None))
        default = described.options.get(option)
        check_option(label, pipelines.accepted(value, default), default, limits)
    for flag in _DATA_EXAMPLES:
        if getattr(settings, flag) and flag not in offered:
            takers = [
                p for p, d in pipelines.listing().items() if flag in {*d.options, *d.required}
            ]
            raise UsageError(f"pipeline {name} takes no --{flag}; {', '.join(takers)} do")
    for option in described.required:
        if option not in pipeline_arguments(settings):
            example = _DATA_EXAMPLES.get(option, "...")
            raise UsageError(f"pipeline {name} needs --{option}=..., e.g. --{option}={example}")


def _check_ways(settings: Settings) -> None:
    for name in settings.way:
        check_name("way", name, ways.names())
    for key, value in settings.way_options.items():
        name, _, option = key.partition(".")
        check_name("way in --way_options, which --way lacks:", name, settings.way)
        described = ways.describe(name)
        check_name(f"option of way {name}", option, sorted(described.options))
        limits = described.limits.get(option, (None, None))
        check_option(f"--way_options: {key}", value, described.options[option], limits)


def _check_run(settings: Settings) -> None:
    parts = ways.batch_divisor(settings.way, settings.way_options)
    if settings.recipe.batch_size % ((settings.replicas or 1) * parts):
        by = f", each in {parts} parts" if parts > 1 else ""
        raise UsageError(
            f"--batch_size={settings.recipe.batch_size} does not divide over "
            f"--replicas={settings.replicas}: every replica takes an equal share{by}"
        )
    for flag, paths in (("workdir", (settings.workdir,)), ("init_from", settings.init_from)):
        for path in paths:
            if "://" in path:
                raise UsageError(
                    f"--{flag}={path}: runs live on a local disk; copy a finished run elsewhere"
                )
    if (settings.run_dir / "run.json").exists():  # it has its initial weights already
        return
    for path in settings.init_from:
        source = pathlib.Path(os.path.expanduser(path))
        is_file = source.suffix == ".keras" and source.is_file()
        if path not in START_SOURCES and not is_file and not (source / "run.json").is_file():
            state = "it is neither" if source.exists() else "it does not exist"
            raise UsageError(
                f"--init_from={path}: expected a run's folder, or a file of Keras 3's "
                f"model.save('name.keras'); {state}"
            )
