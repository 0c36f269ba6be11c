"""Everything a run is told, checked before TensorFlow is imported."""

import dataclasses
import difflib
import math
import numbers
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import pipelines
import zoo
from trainers.errors import UsageError
from zoo.spec import Recipe

# Keras's optimizers and our schedules by name, typed here so that a wrong name is refused without
# importing keras; tests/test_optimizers.py holds them against what exists.
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "rmsprop"),
    *("adafactor", "lion", "lamb", "muon", "muon_sgd"),
)
SCHEDULES = ("constant", "linear", "cosine", "step", "one_cycle")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
KERNELS = ("auto", "keras")
# Metrics of each task, the loss first; tests/test_tasks.py holds them against trainers.tasks.
METRICS = {
    "classification": ("loss", "accuracy", "top_5_accuracy"),
    "binary": ("loss", "accuracy", "precision", "recall", "f1", "auc"),
    "multi_label": ("loss", "accuracy", "exact_match", "f1"),
    "regression": ("loss", "mean_absolute_error", "root_mean_squared_error", "r2"),
}
LOWER_IS_BETTER = ("loss", "mean_absolute_error", "root_mean_squared_error")


# Options that several data sets have: lowest allowed, and the first not allowed.
_OPTION_LIMITS = {
    "image_size": (0, math.inf),  # 0: as they come
    "padding": (0, math.inf),
    "cutout": (0, math.inf),
    "split_seed": (0, 2**31),
    "vocab_size": (6, math.inf),  # five pieces are special
    "max_length": (2, math.inf),
    "validation_percent": (1, 100),
}
# Flags that say which data, handed to the pipelines that take them, with an example of each.
_DATA_EXAMPLES = {"dataset": "mnist", "data_files": "table.csv", "target": "price"}


def _setting(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One run: a model, its recipe as changed by flags, and where and how it runs."""

    model: str = dataclasses.field(metadata={"help": "what to train; see --list"})
    recipe: Recipe = dataclasses.field(metadata={"help": ""})
    hparams: Mapping[str, Any] = _setting(
        None, "sizes of the model that differ: units=32,dropout=0.2"
    )
    dataset: str = _setting("", "TFDS name, for pipelines that take any: mnist, svhn_cropped")
    data_files: str = _setting(
        "", "your own data, for csv, image_folder, text_lines: a file or folder"
    )
    target: str = _setting("", "the column to predict, for tables: price")
    data_dir: str = _setting("", "TFDS's data folder (default: TFDS_DATA_DIR, then TFDS's own)")
    pipeline_options: Mapping[str, Any] = _setting(None, "options of the data set: augment=False")
    workdir: str = _setting(
        "", "folder of the run (default: runs/<model>-<pipeline>[-<dataset>]-s<seed>)"
    )
    init_from: str = _setting(
        "", "what to start from: a finished run's folder (weights, vocabulary) or a .keras file"
    )
    replicas: int = _setting(0, "devices to train on; 0: all GPUs there are, or one CPU")
    histograms: bool = _setting(False, "write histograms of the weights for TensorBoard")
    profile: bool = _setting(False, "write a profile of a few steps for TensorBoard")
    report_baseline: bool = _setting(True, "train a linear model to stand beside it in report.html")
    checkpoint_minutes: float = _setting(5.0, "save within an epoch that often, besides at its end")
    max_minutes: float = _setting(0.0, "save and stop with exit code 124 after that time; 0: never")
    recover_tries: int = _setting(
        0, "times to go back to the last checkpoint and halve the rate where numbers blow up"
    )
    deterministic: bool = _setting(
        False, "refuse operations whose result depends on timing; slower (BUILD_NOTES.md)"
    )
    resume_with_changes: bool = _setting(False, "continue a run whose settings were others")
    dry_run: bool = _setting(False, "print what would be done, with size and time; write nothing")
    debug: bool = _setting(False, "print tracebacks and TensorFlow's log")

    @property
    def run_dir(self) -> pathlib.Path:
        """Where the run lives."""
        recipe = self.recipe
        data = self.dataset or pathlib.Path(self.data_files.partition(",")[0]).stem
        named = re.sub(r"[^A-Za-z0-9._-]+", "-", data)
        parts = (self.model, recipe.pipeline, *([named] if named else []), f"s{recipe.seed}")
        return pathlib.Path(self.workdir or pathlib.Path("runs", "-".join(parts))).expanduser()

    @property
    def keep(self) -> str:
        """Which weights are tested and exported: 'last' or 'best'."""
        return self.recipe.keep or ("best" if self.recipe.early_stopping else "last")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be continued: all that changes the numbers."""
        words = ("model", "hparams", "dataset", "target", "pipeline_options", "init_from")
        words = (*words, "deterministic")
        recipe = dataclasses.asdict(self.recipe)
        del recipe["steps_per_execution"]  # the same steps, looked at more or less often
        return {word: getattr(self, word) for word in words} | recipe


def resolve(model: str, changes: Mapping[str, Any]) -> Settings:
    """The model's own recipe with `changes` (fields of Recipe or Settings) made to it, checked.

    Raises:
        UsageError: an unknown name or a value that cannot be meant; it says what was expected.
    """
    try:
        described = zoo.describe(model)
    except ValueError as error:
        raise UsageError(str(error)) from error
    # NumPy's numbers, as notebooks have them, are taken as Python's: a run is recorded as JSON.
    numpy_too = {k: v for k, v in changes.items() if isinstance(v, numbers.Number)}
    changes = {**changes, **{k: v.item() for k, v in numpy_too.items() if hasattr(v, "item")}}
    recipe_words = {field.name for field in dataclasses.fields(Recipe)}
    own_words = {field.name for field in dataclasses.fields(Settings)} - {"model", "recipe"}
    for word in changes:
        _known("setting", word, sorted(recipe_words | own_words))
    recipe = dataclasses.replace(
        described.recipe, **{k: v for k, v in changes.items() if k in recipe_words}
    )
    own = {word: changes[word] for word in own_words & set(changes)}
    own |= {word: dict(own.get(word) or {}) for word in ("hparams", "pipeline_options")}
    settings = Settings(model=model, recipe=recipe, **own)
    _check_types(settings)
    for name, value in settings.hparams.items():
        _known(f"hparam of {model}", name, sorted(described.hparams))
        _same_type(f"--hparams: {name}", value, described.hparams[name])
    _check_recipe(recipe)
    _check_pipeline(settings)
    _check_run(settings)
    return settings


def pipeline_arguments(settings: Settings) -> dict[str, Any]:
    """The options that the pipeline's function is called with."""
    described = pipelines.describe(settings.recipe.pipeline)
    offered = {*described.options, *described.required}
    given = {word: getattr(settings, word) for word in ("data_dir", *_DATA_EXAMPLES)}
    given = {word: value for word, value in given.items() if value and word in offered}
    return given | dict(settings.pipeline_options)


def _known(kind: str, name: str, choices) -> None:
    if name in choices:
        return
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(close)}; " if close else ""
    raise UsageError(f"unknown {kind} {name!r}; {hint}known: {', '.join(choices) or 'none'}")


def _same_type(where: str, value: Any, default: Any) -> None:
    kind = type(default)
    if default is None or (kind is bool and isinstance(value, bool)):
        return
    allowed = {float: (float, int), tuple: (tuple, list)}.get(kind, kind)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise UsageError(f"{where} takes {kind.__name__} like {default!r}, received {value!r}")


def _check_types(settings: Settings) -> None:
    for part in (settings, settings.recipe):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if field.type in (bool, int, float, str):
                _same_type(f"--{field.name}", value, field.type())


def _check_recipe(recipe: Recipe) -> None:
    _known("optimizer", recipe.optimizer, OPTIMIZERS)
    _known("schedule", recipe.schedule, SCHEDULES)
    _known("precision", recipe.precision, PRECISIONS)
    _known("kernels", recipe.kernels, KERNELS)
    _known(
        "monitor", recipe.monitor, sorted({name for names in METRICS.values() for name in names})
    )
    _known("keep", recipe.keep or "last", ("last", "best"))
    limits = {  # field: (lowest, highest, whether the lowest itself is allowed)
        "batch_size": (1, math.inf, True),
        "epochs": (1, math.inf, True),
        "learning_rate": (0, math.inf, False),
        "warmup_steps": (0, math.inf, True),
        "momentum": (0, 1, True),
        "weight_decay": (0, math.inf, True),
        "clip_norm": (0, math.inf, True),
        "ema": (0, 1, True),
        "label_smoothing": (0, 1, True),
        "l1": (0, math.inf, True),
        "l2": (0, math.inf, True),
        "early_stopping": (0, math.inf, True),
        "plateau": (0, math.inf, True),
        "steps_per_execution": (0, math.inf, True),
        "seed": (0, 2**31, True),
    }
    for name, (low, high, closed) in limits.items():
        value = getattr(recipe, name)
        # Comparisons with NaN are false; the highest value itself is never allowed.
        if not ((low <= value if closed else low < value) and value < high):
            bounds = f"{'at least' if closed else 'more than'} {low}"
            bounds += "" if high == math.inf else f" and less than {high}"
            raise UsageError(f"--{name} must be {bounds}, received {value}")
    if isinstance(recipe.class_weights, str) and recipe.class_weights != "balanced":
        raise UsageError(
            f"--class_weights takes 'balanced' or numbers, received {recipe.class_weights!r}"
        )
    for pattern, factor in recipe.lr_scale:
        if not (factor >= 0 and math.isfinite(factor)):
            raise UsageError(f"--lr_scale takes factors of at least 0, received {pattern}={factor}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"--lr_scale: {pattern!r} is no regular expression: {error}"
            ) from error


def _check_pipeline(settings: Settings) -> None:
    name = settings.recipe.pipeline
    try:
        described = pipelines.describe(name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    offered = {*described.options, *described.required}
    for option, value in settings.pipeline_options.items():
        _known(f"option of pipeline {name}", option, sorted(offered))
        if option in described.options:
            _same_type(f"--pipeline_options: {option}", value, described.options[option])
            low, high = _OPTION_LIMITS.get(option, (-math.inf, math.inf))
            if isinstance(described.options[option], int) and not low <= value < high:
                bounds = "" if high == math.inf else f" and less than {high}"
                raise UsageError(
                    f"--pipeline_options: {option} must be at least {low}{bounds}, received {value}"
                )
    for word in _DATA_EXAMPLES:
        if getattr(settings, word) and word not in offered:
            takers = [
                p for p, d in pipelines.listing().items() if word in {*d.options, *d.required}
            ]
            raise UsageError(f"pipeline {name} takes no --{word}; {', '.join(takers)} do")
    for option in described.required:
        if option not in pipeline_arguments(settings):
            example = _DATA_EXAMPLES.get(option, "...")
            raise UsageError(f"pipeline {name} needs --{option}=..., e.g. --{option}={example}")


def _check_run(settings: Settings) -> None:
    for name in ("replicas", "recover_tries"):
        if getattr(settings, name) < 0:
            raise UsageError(f"--{name} must be at least 0, received {getattr(settings, name)}")
    if settings.recipe.batch_size % (settings.replicas or 1):
        raise UsageError(
            f"--batch_size={settings.recipe.batch_size} does not divide over "
            f"--replicas={settings.replicas}: every replica takes an equal share"
        )
    for name in ("max_minutes", "checkpoint_minutes"):
        if not 0 <= getattr(settings, name) < math.inf:
            raise UsageError(f"--{name} must be at least 0, received {getattr(settings, name)}")
    for word in ("workdir", "init_from"):
        if "://" in getattr(settings, word):
            raise UsageError(
                f"--{word}={getattr(settings, word)}: runs live on a local disk, where renames are "
                "atomic and locks hold; copy the finished run to remote storage"
            )
    source = pathlib.Path(settings.init_from)
    usable = (source / "run.json").is_file() or (source.suffix == ".keras" and source.is_file())
    begun = (settings.run_dir / "run.json").exists()  # it has what it started from
    if settings.init_from and not usable and not begun:
        raise UsageError(
            f"--init_from={source}: expected the folder of a run or a file that Keras 3 saved, "
            f"model.save('name.keras'); {'it is neither' if source.exists() else 'it is not there'}"
        )
