"""Baselines that the model has to beat on the same rows: a constant answer, and a simple model.

A simple model is a run like any other, in a folder of its own under `baselines/` of the main run,
except a linear model of a table, which is solved directly.
"""

import dataclasses
import logging
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

import zoo
from pipelines.core.pipeline import Rows
from pipelines.core.prepared import Prepared, prepare
from pipelines.core.rows import subset, take
from trainers.config import sizes
from trainers.config.settings import Settings
from trainers.evaluation import solved
from trainers.evaluation.evaluate import Evaluation, ask
from trainers.serving.signatures import traced
from trainers.tasks import registry
from trainers.tasks.registry import Baseline
from trainers.training.compile import build
from zoo.spec import Recipe

_SPLITS = ("validation", "test")
# The small recipe: 1000 to 3000 steps if there are enough rows, in at most 60 epochs, each of which
# is validated and saved.
_EPOCHS, _STEPS, _PATIENCE = 60, 3000, 4
_LARGEST_BATCH, _SMALLEST_BATCH, _EPOCH_STEPS = 128, 8, 50
_TARGETS, _CHUNK = 5000, 250  # targets read for the constant where rows are not in memory
# Adam's best learning rate depends on how many numbers a row has: the first suits tens of them, the
# second thousands.
_RATES = (1e-2, 1e-3)
_NGRAMS = "ngrams"  # the input form of texts as n-grams
_NGRAM_EPOCH_STEPS = 500  # at most; a larger batch size keeps to it
_DATA = ("dataset", "data_files", "data_dir", "target", "pipeline_options")  # fields of Settings

logger = logging.getLogger(__name__)


class Answers(NamedTuple):
    """A baseline's answers to every row of each split."""

    key: str  # in report.json
    name: str
    meaning: str
    outputs: Mapping[str, Mapping[str, np.ndarray]]  # split -> the task's kept outputs, (N, ...)


class Baselines(NamedTuple):
    """The baselines of a run; the first is the one that it is compared with."""

    answers: list[Answers]
    missing: str  # why there is only the constant; "": there are others

    def described(self) -> dict[str, dict[str, str]]:
        """The name and meaning of each by its key, for report.json."""
        return {one.key: {"name": one.name, "meaning": one.meaning} for one in self.answers}


def linear(meaning: str) -> Baseline:
    """The zoo's linear model, once with each of two learning rates.

    Args:
        meaning: what such a model is called for this task.
    """
    recipes = {f"linear-{rate:g}": {"learning_rate": rate} for rate in _RATES}
    meaning = f"{meaning} on the same rows, without augmentation"
    return Baseline("linear", "linear model", meaning, "linear", recipes)


def suited(baseline: Baseline, prepared: Prepared) -> Baseline:
    """The baseline; for texts the n-gram model instead of the linear one.

    A linear model of the pieces that an encoder takes is too easy to beat: on SMS spam its accuracy
    is 0.93, that of n-grams 0.99.
    """
    if baseline.model != "linear" or _NGRAMS not in prepared.pipeline.forms:
        return baseline
    num_rows = prepared.rows["train"].num_rows
    recipe = dataclasses.asdict(zoo.describe("text_ngram").recipe)
    most = 2 ** math.ceil(math.log2(num_rows / _NGRAM_EPOCH_STEPS))
    recipe["batch_size"] = max(sizes.batch_for(num_rows), most)
    own = {name: value for name, value in recipe.items() if name not in ("pipeline", "seed")}
    meaning = "linear model of n-grams with naive-Bayes weights, on the same rows"
    return Baseline("text_ngram", "n-gram model", meaning, "text_ngram", {"text_ngram": own})


def baselines(
    settings: Settings, prepared: Prepared, folder: pathlib.Path, fitted: Callable
) -> Baselines:
    """Trains the task's baselines; returns their answers, and the constant one, to every row.

    A baseline that cannot be trained does not fail the run: it is left out, with the reason.

    Args:
        settings: of the main run, as are `prepared` and `folder`.
        fitted: fitted(settings, prepared, folder) -> weights by path; trains a run in its folder,
            or continues it there.

    Raises:
        InterruptedRunError: a signal or the time limit; the same command continues.
        OSError: disk full, or the folder of the run is gone; the same command continues.
    """
    task = registry.get(prepared.task)
    answers, missing = [], "" if task.baselines else f"task {prepared.task} has none"
    if not settings.report_baseline:
        missing = "--report_baseline=false"
    for baseline in task.baselines if settings.report_baseline else ():
        baseline = suited(baseline, prepared)
        if settings.model == baseline.model:
            missing = f"the model is the {baseline.name} itself"
            continue
        try:
            answers.append(_trained(baseline, settings, prepared, folder, fitted))
        except OSError:
            raise
        except Exception as error:  # in any case the run itself is trained
            missing = " ".join(f"{error}".split())[:300] or type(error).__name__
            logger.warning("no %s beside the model: %s", baseline.name, missing)
    constant = constant_answer(prepared)
    return Baselines([*answers, *([constant] if constant else [])], missing)


def constant_answer(prepared: Prepared) -> Answers | None:
    """The task's constant answer; None: it has none, or the data has no target."""
    task, rows = registry.get(prepared.task), prepared.rows["train"]
    if task.constant is None or rows.target is None:
        return None
    constant = task.constant(prepared, targets(rows))
    outputs = {split: dict(constant.outputs) for split in _SPLITS}  # (1, ...): the same for all
    return Answers("constant", constant.name, constant.meaning, outputs)


def targets(rows: Rows) -> np.ndarray:
    """The targets of all rows in memory, or of 5000 evenly spaced ones of rows on disk."""
    if rows.table is not None:
        return np.asarray(rows.table[rows.target])
    number = min(rows.num_rows, _TARGETS)
    index = np.linspace(0, rows.num_rows - 1, number).astype(np.int64)
    chunks = (index[first : first + _CHUNK] for first in range(0, number, _CHUNK))
    return np.concatenate([take(rows, chunk)[rows.target] for chunk in chunks])


def small_settings(
    baseline: Baseline, name: str, settings: Settings, prepared: Prepared, folder: pathlib.Path
) -> Settings:
    """The settings of a baseline's run: the main run's data and seed, and the small recipe."""
    num_rows = prepared.rows["train"].num_rows
    batch_size = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, num_rows // _EPOCH_STEPS))
    batch_size = min(batch_size, num_rows)
    epochs = max(1, min(_EPOCHS, _STEPS // (num_rows // batch_size)))
    recipe = Recipe(
        pipeline=settings.recipe.pipeline,
        seed=settings.recipe.seed,
        batch_size=batch_size,
        epochs=epochs,
        optimizer="adam",
        schedule="cosine",
        early_stopping=_PATIENCE,
        precision="float32",
    )
    recipe = dataclasses.replace(recipe, **baseline.recipes[name])
    return Settings(
        model=baseline.model,
        recipe=dataclasses.replace(recipe, batch_size=min(recipe.batch_size, num_rows)),
        hparams={},
        workdir=str(folder / "baselines" / name),
        replicas=1,
        report_baseline=False,
        max_minutes=settings.max_minutes,
        deterministic=settings.deterministic,
        **{field: getattr(settings, field) for field in _DATA},
    )


def _trained(
    baseline: Baseline,
    settings: Settings,
    prepared: Prepared,
    folder: pathlib.Path,
    fitted: Callable,
) -> Answers:
    """The answers of the solved model, or of the recipe with the lowest validation loss."""
    own = _prepared_for(baseline, prepared)
    smalls = [small_settings(baseline, name, settings, own, folder) for name in baseline.recipes]
    optimum = solved.weights(smalls[0], own) if baseline.model == "linear" else None
    tried = []
    for small in smalls if optimum is None else smalls[:1]:
        weights = optimum or fitted(small, own, pathlib.Path(small.workdir))
        tried.append({split: _answers(small, own, weights, split) for split in _SPLITS})
    best = min(tried, key=lambda one: one["validation"].metrics["loss"])
    outputs = {split: best[split].outputs for split in _SPLITS}
    return Answers(baseline.key, baseline.name, baseline.meaning, outputs)


def _prepared_for(baseline: Baseline, prepared: Prepared) -> Prepared:
    """The data as the baseline takes it: its input form, no augmentation, not too many rows."""
    form = zoo.describe(baseline.model).inputs or next(iter(prepared.pipeline.forms))
    own = prepared.replace(augment=None, mix=None)
    if form != prepared.form:
        rows = prepared.rows["train"]
        schema = prepared.schema
        if rows.target is not None:
            schema = schema._replace(target=rows.fields[rows.target])  # it is encoded already
        pipeline = dataclasses.replace(own.pipeline, cut=None, encode=None)
        own = prepare(pipeline, schema, prepared.rows, form=form, state=prepared.state)
    most = _STEPS * _LARGEST_BATCH
    if own.rows["train"].num_rows > most:
        own = own.replace(rows={**own.rows, "train": _subsample(own.rows["train"], most)})
    return own


def _subsample(rows: Rows, number: int) -> Rows:
    """A number of evenly spaced rows."""
    index = np.linspace(0, rows.num_rows - 1, number).astype(np.int64)
    return subset(rows, index, f"{rows.identity}/{number}")


def _answers(
    settings: Settings, prepared: Prepared, weights: Mapping[str, np.ndarray], split: str
) -> Evaluation:
    """The answers of a model with these weights, by the signature that its export would have."""
    task, entry = registry.get(prepared.task), zoo.get(settings.model)
    model = build(settings, prepared, "float32")
    for variable in model.weights:
        variable.assign(weights[variable.path])
    hparams = {**entry.hparams, **settings.hparams}
    signature = task.signatures(entry, hparams, model, prepared)[task.measured]
    function = traced({task.measured: signature})[task.measured]
    return ask(function, signature, settings, prepared, split)
