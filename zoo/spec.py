"""The plain types in which models, data sets and trainers meet: standard library only."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple


class Field(NamedTuple):
    """One tensor without its batch dimension."""

    shape: tuple[int | None, ...]
    dtype: str


class DataSpec(NamedTuple):
    """All that a model may know of its data: the inputs as `Pipeline.example` returns them."""

    inputs: Mapping[str, Field]
    task: str  # a key of trainers.tasks.TASKS; decides the head
    num_outputs: int  # width of the logits
    vocab_size: int | None = None
    max_length: int | None = None  # size of position tables


def _setting(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained unless a flag says otherwise; each field is a flag of its name."""

    pipeline: str = dataclasses.field(metadata={"help": "data set to train on; see --list"})
    batch_size: int = _setting(128, "examples a step, over all replicas together")
    epochs: int = _setting(10, "passes over the training split")

    optimizer: str = _setting("adamw", "name of a Keras optimizer, e.g. sgd, adamw, muon, lion")
    learning_rate: float = _setting(1e-3, "peak learning rate")
    schedule: str = _setting("constant", "shape of the rate over the run, after the warm-up")
    warmup_steps: int = _setting(0, "steps of linear rise from zero to the peak rate")
    momentum: float = _setting(0.9, "of sgd (Nesterov's) and rmsprop; others have their own")
    weight_decay: float = _setting(
        0.0, "decoupled decay of kernels and embeddings per unit of rate"
    )
    clip_norm: float = _setting(0.0, "largest norm of all gradients together; 0: no clipping")
    ema: float = _setting(
        0.0, "decay of the averaged weights that are tested and exported; 0: none"
    )
    lr_scale: tuple[tuple[str, float], ...] = _setting(
        (),
        "factors on updates of variables whose path a pattern finds: conv1=0,logits=10; 0 freezes",
    )

    label_smoothing: float = _setting(0.0, "share of the target spread over all classes")
    l1: float = _setting(0.0, "L1 penalty on kernels and embeddings")
    l2: float = _setting(0.0, "L2 penalty on kernels and embeddings")
    class_weights: str | tuple[float, ...] = _setting(
        (), "weight of each class in the loss: 'balanced', or numbers in the order of the classes"
    )

    early_stopping: int = _setting(0, "epochs without improvement after which to stop; 0: never")
    plateau: int = _setting(
        0, "epochs without improvement after which the rate is halved; 0: never"
    )
    monitor: str = _setting("loss", "validation metric that decides which epoch is best")
    keep: str = _setting(
        "", "weights to test and export: last or best (default: best with early stopping)"
    )

    precision: str = _setting("auto", "auto, float32, bfloat16 or float16; auto asks the machine")
    kernels: str = _setting("auto", "auto or keras; auto has faster ones for layers that it knows")
    steps_per_execution: int = _setting(0, "steps the device runs between two looks; 0: chosen")
    seed: int = _setting(0, "of start weights, order, augmentation and dropout")
