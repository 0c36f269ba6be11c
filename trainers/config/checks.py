"""Checks of what settings name: tasks, ways, data sets, their options, and paths."""

import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pipelines
import zoo
from trainers.config import packages
from trainers.config.fields import check_name, check_option
from trainers.errors import UsageError
from trainers.tasks import registry as tasks
from trainers.ways import registry as ways

if TYPE_CHECKING:
    from trainers.config.settings import Settings

# Flags that name the data, for the pipelines that take them, each with an example.
_DATA_EXAMPLES = {"dataset": "mnist", "data_files": "table.csv", "target": "price"}
# What --init_from takes besides paths: `none` (not the model's own sources), the model's `adapt`,
# weights inside a package, and a last layer fitted on the features that the other sources set.
START_SOURCES = ("none", "statistics", packages.SOURCE, "probe")
VECTOR_FILES = (".txt", ".vec")  # suffixes of word vectors, which --init_from takes too


def task_of(settings: "Settings", own: str) -> str:
    """The task of a run: that of --task, else the model's first, else the data's `own`.

    Raises:
        UsageError: the model cannot be trained for it.
    """
    of_model = zoo.describe(settings.model).tasks
    task = settings.task or next(iter(of_model), own)
    if of_model and task not in of_model:
        raise UsageError(f"{settings.model} is for {' or '.join(of_model)}, not for task {task}")
    return task


def check_task_options(settings: "Settings", task: str) -> None:
    """UsageError: --task_options has an unknown option or a wrong value."""
    described = tasks.describe(task)
    for name, value in settings.task_options.items():
        check_name(f"option of task {task}", name, sorted(described.options))
        limits = described.limits.get(name, (None, None))
        check_option(f"--task_options: {name}", value, described.options[name], limits)


def pipeline_arguments(settings: "Settings") -> dict[str, Any]:
    """The options that the pipeline's function is called with."""
    described = pipelines.describe(settings.recipe.pipeline)
    offered = {*described.options, *described.required}
    flags = {name: getattr(settings, name) for name in ("data_dir", *_DATA_EXAMPLES)}
    flags = {name: value for name, value in flags.items() if value and name in offered}
    return flags | dict(settings.pipeline_options)


def start_sources(settings: "Settings") -> list[str]:
    """The sources that --init_from lists, then the model's own, unless the list has `none`.

    If weights come from a run or a file, none are taken from a package.
    """
    listed = list(settings.init_from)
    if "none" in listed:
        return [source for source in listed if source != "none"]
    own = zoo.describe(settings.model).start
    if set(listed) - set(START_SOURCES):
        own = tuple(source for source in own if source != packages.SOURCE)
    missing = [source for source in own if source not in listed]
    # Before a listed probe, which reads the features that the others set.
    index = listed.index("probe") if "probe" in listed else len(listed)
    return [*listed[:index], *missing, *listed[index:]]


def known(describe: Callable[[str], Any], name: str) -> Any:
    """The listing of a name. UsageError: there is no such name."""
    try:
        return describe(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_task(settings: "Settings", of_model: tuple[str, ...]) -> None:
    """UsageError: an unknown task, one that the model is not for, or a wrong option or monitor."""
    for task in of_model:
        check_name(f"task of {settings.model}", task, tasks.names())
    if settings.task:
        check_name("task", settings.task, tasks.names())
    chosen = task_of(settings, "")
    if chosen:  # otherwise the data determines it
        check_task_options(settings, chosen)
    metrics = {name for task in tasks.names() for name in tasks.describe(task).metrics}
    check_name("monitor", settings.recipe.monitor, sorted(metrics))


def check_pipeline(settings: "Settings") -> None:
    """UsageError: an unknown data set, or an option or a flag of data that it does not take."""
    name = settings.recipe.pipeline
    described = known(pipelines.describe, name)
    offered = {*described.options, *described.required}
    for option, value in settings.pipeline_options.items():
        check_name(f"option of pipeline {name}", option, sorted(offered))
        label, limits = f"--pipeline_options: {option}", described.limits.get(option, (None, None))
        default = described.options.get(option)
        value = pipelines.accepted(value, default)
        check_option(label, value, default, limits)
        if option in described.choices:
            check_name(f"{option} of pipeline {name}", value, described.choices[option])
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


def check_ways(settings: "Settings") -> None:
    """UsageError: an unknown way, one named twice, or a wrong option of one."""
    for name in settings.way:
        check_name("way", name, ways.names())
        if settings.way.count(name) > 1:
            raise UsageError(f"--way names {name} more than once")
    for key, value in settings.way_options.items():
        name, _, option = key.partition(".")
        check_name("way in --way_options, which --way lacks:", name, settings.way)
        described = ways.describe(name)
        check_name(f"option of way {name}", option, sorted(described.options))
        limits = described.limits.get(option, (None, None))
        check_option(f"--way_options: {key}", value, described.options[option], limits)


def check_run(settings: "Settings") -> None:
    """Checks the batch size and paths, and for a new run that the runs and files it names exist.

    Raises:
        UsageError: the batch does not divide over replicas and ways, a path is a URL, or a named
            run or file does not exist.
        DataError: weights are in a package that is not installed.
    """
    parts = ways.batch_divisor(settings.way, settings.way_options)
    if settings.recipe.batch_size % ((settings.replicas or 1) * parts):
        by = f", each in {parts} parts" if parts > 1 else ""
        raise UsageError(
            f"--batch_size={settings.recipe.batch_size} does not divide over "
            f"--replicas={settings.replicas}: every replica takes an equal share{by}"
        )
    for flag, paths in (
        ("workdir", (settings.workdir,)),
        ("init_from", settings.init_from),
        ("judge", (settings.judge,)),
    ):
        for path in paths:
            if "://" in path:
                raise UsageError(
                    f"--{flag}={path}: runs live on a local disk; copy a finished run elsewhere"
                )
    if (settings.run_dir / "run.json").exists():  # its initial weights are set already
        return
    if packages.SOURCE in start_sources(settings):
        packages.required(settings.model)
    judge = pathlib.Path(os.path.expanduser(settings.judge))
    if settings.judge and not (judge / "run.json").is_file():
        raise UsageError(f"--judge={settings.judge}: expected the folder of a finished run")
    for path in settings.init_from:
        source = pathlib.Path(os.path.expanduser(path))
        is_file = source.suffix in (".keras", *VECTOR_FILES) and source.is_file()
        if path not in START_SOURCES and not is_file and not (source / "run.json").is_file():
            state = "it is none of these" if source.exists() else "it does not exist"
            raise UsageError(
                f"--init_from={path}: expected a run's folder, word vectors (.txt, .vec), or a "
                f"file of Keras 3's model.save('name.keras'); {state}"
            )
