"""The plain types that models, data sets and trainers share. Standard library only."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Field(NamedTuple):
    """One tensor without its batch dimension."""

    shape: tuple[int | None, ...]
    dtype: str
    ids: int | tuple[int, ...] | None = None  # size of the vocabulary, or one for each column
    length: int | None = None  # maximum length of a sequence that is padded with zeros


class DataSpec(NamedTuple):
    """Everything that a model may know about its data."""

    inputs: Mapping[str, Field]  # what `Pipeline.example` returns as x
    task: str  # the name of a file in trainers/tasks
    num_outputs: int  # width of the logits


def nearest(name: str, choices: Iterable[str]) -> list[str]:
    """The choices most similar to a misspelt name, best first; at most three."""
    return difflib.get_close_matches(name, list(choices), n=3, cutoff=0.4)


def setting(
    default: Any,
    meaning: str,
    *,
    kind: str = "",
    choices: tuple[str, ...] = (),
    at_least: float = -math.inf,
    more_than: float = -math.inf,
    less_than: float = math.inf,
    changes_numbers: bool = True,
) -> Any:
    """A field of Recipe, or of Settings in trainers/config, with the facts about its flag.

    Args:
        default: the value without the flag; `dataclasses.MISSING`: the flag is required.
        meaning: the text of `--help`.
        kind: a key of trainers.config.codecs.CODECS; empty: the name of the field's type.
        choices: the allowed values; empty: any.
        at_least, more_than, less_than: bounds of a number.
        changes_numbers: False if weights and metrics do not depend on the value, so that a run may
            be continued with another one.
    """
    metadata = {
        "help": meaning,
        "kind": kind,
        "choices": choices,
        "at_least": at_least,
        "more_than": more_than,
        "less_than": less_than,
        "changes_numbers": changes_numbers,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained by default; each field is a flag of the same name."""

    pipeline: str = setting(dataclasses.MISSING, "data set to train on; see --list")
    batch_size: int = setting(
        128,
        "examples per training step, over all replicas together; 0 chooses by the number of rows",
        at_least=0,
    )
    epochs: int = setting(
        10, "passes over the training split; 0 chooses: about 2000 steps or more", at_least=0
    )

    optimizer: str = setting("adamw", "a Keras optimizer (sgd, adamw, muon, lion, ...) or muon_sgd")
    optimizer_options: Mapping[str, Any] = setting(
        {}, "other arguments of the optimizer: beta_2=0.98,epsilon=1e-6", kind="options"
    )
    learning_rate: float = setting(1e-3, "peak learning rate", more_than=0)
    schedule: str = setting(
        "constant",
        "learning rate after the warm-up: constant, linear, cosine, step or one_cycle",
        choices=("constant", "linear", "cosine", "step", "one_cycle"),
    )
    warmup_steps: int = setting(0, "steps of linear warm-up to the peak learning rate", at_least=0)
    momentum: float = setting(
        0.9,
        "momentum of rmsprop, and Nesterov momentum of sgd and muon_sgd",
        at_least=0,
        less_than=1,
    )
    weight_decay: float = setting(
        0.0, "decoupled decay of kernels and embeddings, scaled by the learning rate", at_least=0
    )
    clip_norm: float = setting(
        0.0, "largest global norm of the gradients; 0 does not clip", at_least=0
    )
    ema: float = setting(
        0.0,
        "decay of the moving average of the weights, which is tested and exported; 0: no average",
        at_least=0,
        less_than=1,
    )
    lr_scale: tuple[tuple[str, float], ...] = setting(
        (),
        "learning-rate multiplier per variable, by regular expression on its path: "
        "conv1=0,logits=10; 0 freezes",
        kind="factors",
    )

    label_smoothing: float = setting(
        0.0, "fraction of the target spread evenly over all classes", at_least=0, less_than=1
    )
    l1: float = setting(0.0, "L1 penalty on kernels and embeddings", at_least=0)
    l2: float = setting(0.0, "L2 penalty on kernels and embeddings", at_least=0)
    class_weights: str | tuple[float, ...] = setting(
        (),
        "weight of each class in the loss: 'balanced', or numbers in the order of the classes",
        kind="class_weights",
    )

    early_stopping: int = setting(
        0,
        "stop after this many epochs without improvement (with --epochs=0 at least a quarter of "
        "all epochs); 0 never stops",
        at_least=0,
    )
    plateau: int = setting(
        0,
        "halve the learning rate after this many epochs without improvement; 0 never does",
        at_least=0,
    )
    monitor: str = setting("loss", "validation metric that decides which epoch is best")
    keep: str = setting(
        "",
        "weights to test and export: last or best (default: best with early stopping)",
        choices=("last", "best"),
    )

    precision: str = setting(
        "auto",
        "auto, float32, bfloat16 or float16; auto chooses for this machine",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    kernels: str = setting(
        "auto",
        "auto or keras; auto replaces layers with faster equivalents",
        choices=("auto", "keras"),
    )
    steps_per_execution: int = setting(
        0,
        "training steps per call into TensorFlow; 0 chooses",
        at_least=0,
        changes_numbers=False,  # the same steps
    )
    seed: int = setting(
        0,
        "seed of initial weights, shuffling, augmentation and dropout",
        at_least=0,
        less_than=2**31,
    )
