"""The optimizers and their arguments by name, to check them without importing keras.

A test compares names and defaults with the classes.
"""

import re
from collections.abc import Mapping
from typing import Any

from trainers.config.fields import check_name, check_option
from trainers.errors import UsageError
from zoo.spec import Recipe

_ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_NEWTON_SCHULZ = {"muon_a": 3.4445, "muon_b": -4.775, "muon_c": 2.0315}
# What --optimizer_options can set, with the optimizer's own defaults.
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"nesterov": False},  # the trainer turns it on where there is momentum
    "adam": {**_ADAM, "amsgrad": False},
    "adamw": {**_ADAM, "amsgrad": False},
    "adagrad": {"initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "adadelta": {"rho": 0.95, "epsilon": 1e-7},
    "adamax": _ADAM,
    "nadam": _ADAM,
    "ftrl": {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
        "l2_shrinkage_regularization_strength": 0.0,
        "beta": 0.0,
    },
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7, "centered": False},
    "adafactor": {
        "beta_2_decay": -0.8,
        "epsilon_1": 1e-30,
        "epsilon_2": 1e-3,
        "clip_threshold": 1.0,
        "relative_step": True,
    },
    "lion": {"beta_1": 0.9, "beta_2": 0.99},
    "lamb": _ADAM,
    "muon": {
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        **_NEWTON_SCHULZ,
        "rms_rate": 0.2,  # None: not scaled
        "exclude_layers": (),  # regular expressions on the paths of variables that Adam gets
        "exclude_embeddings": True,
        "adam_lr_ratio": 1.0,
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "adam_weight_decay": 0.004,  # the trainer sets --weight_decay
        "epsilon": 1e-7,
    },
    "muon_sgd": {"nesterov": False, "muon_momentum": 0.6, "ns_steps": 3, **_NEWTON_SCHULZ},
}
# The lowest allowed, and the first that is too high.
_LIMITS = {
    **dict.fromkeys(("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "rho"), (0, 1)),
    **dict.fromkeys(("momentum", "muon_momentum"), (0, 1)),
    **dict.fromkeys(("epsilon", "epsilon_1", "epsilon_2", "adam_weight_decay", "beta"), (0, None)),
    **dict.fromkeys(("initial_accumulator_value", "adam_lr_ratio", "clip_threshold"), (0, None)),
    "ns_steps": (1, 101),
}
# Arguments that have a flag of their own, for every optimizer or for those of WITH_MOMENTUM.
OWN_FLAGS = {
    "learning_rate": "--learning_rate",
    "weight_decay": "--weight_decay",
    "global_clipnorm": "--clip_norm",
    "clipnorm": "--clip_norm",
    "clipvalue": "--clip_norm",
    "use_ema": "--ema",
    "ema_momentum": "--ema",
    "ema_overwrite_frequency": "--ema",
    "loss_scale_factor": "--precision",
    "gradient_accumulation_steps": "--way",
}
WITH_MOMENTUM = ("sgd", "rmsprop", "muon_sgd")  # they take --momentum


def defaults(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's fields, without its optimizer's options if `changes` has another optimizer."""
    other = changes.get("optimizer", recipe.optimizer) != recipe.optimizer
    return {**vars(recipe), **({"optimizer_options": {}} if other else {})}


def check(recipe: Recipe) -> None:
    """UsageError unless the recipe's optimizer exists and takes its options."""
    check_name("optimizer", recipe.optimizer, ARGUMENTS)
    arguments = ARGUMENTS[recipe.optimizer]
    flags = OWN_FLAGS
    if recipe.optimizer in WITH_MOMENTUM:
        flags = {**flags, "momentum": "--momentum"}
    for name, value in recipe.optimizer_options.items():
        if name in flags:
            raise UsageError(f"--optimizer_options: {name} is set by {flags[name]}")
        check_name(f"option of optimizer {recipe.optimizer}", name, arguments)
        if value is None and name in ("rms_rate", "adam_weight_decay"):
            continue
        label = f"--optimizer_options: {name}"
        check_option(label, value, arguments[name], _LIMITS.get(name, (None, None)))
        if name == "exclude_layers":
            for pattern in value:
                _check_pattern(label, pattern)


def _check_pattern(label: str, pattern: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(f"{label} takes regular expressions, received {pattern!r}") from error
