"""The table of optimizers against the classes, and what of their options is refused."""

import inspect
import math

import keras
import pytest

from trainers.config.optimizers import ARGUMENTS, OWN_FLAGS, WITH_MOMENTUM, check
from trainers.config.settings import resolve
from trainers.errors import UsageError
from trainers.training.muon import MuonSGD
from zoo.spec import Recipe

CLASSES = {
    **{name.lower(): getattr(keras.optimizers, name) for name in dir(keras.optimizers)},
    "muon_sgd": MuonSGD,
}


def signature(name: str) -> dict:
    """The arguments of an optimizer with their defaults, those of the class it derives from too."""
    arguments = {}
    for kind in reversed(CLASSES[name].__mro__[: 2 if name == "muon_sgd" else 1]):
        for parameter in inspect.signature(kind.__init__).parameters.values():
            if parameter.default is not inspect.Parameter.empty:
                arguments[parameter.name] = parameter.default
    return arguments


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_and_defaults_are_those_of_the_class(name):
    arguments = signature(name)
    own_flags = {"name", *OWN_FLAGS, *(["momentum"] if name in WITH_MOMENTUM else [])}
    assert own_flags <= set(arguments)
    expected = {key: value for key, value in arguments.items() if key not in own_flags}
    table = {key: value if value != () else None for key, value in ARGUMENTS[name].items()}
    assert table == expected


@pytest.mark.parametrize(
    ("optimizer", "options", "message"),
    [
        ("adma", {}, "unknown optimizer 'adma'; nearest: adam"),
        ("adamw", {"beta2": 0.98}, "unknown option of optimizer adamw 'beta2'; nearest: beta_"),
        ("sgd", {"ns_steps": 5}, "unknown option of optimizer sgd 'ns_steps'"),
        ("adamw", {"beta_2": "high"}, "beta_2 takes float like 0.999, received 'high'"),
        ("adamw", {"beta_2": 1.0}, "beta_2 must be at least 0 and less than 1, received 1.0"),
        ("adamw", {"beta_2": None}, "beta_2 takes float like 0.999, received None"),
        ("adamw", {"epsilon": math.nan}, "epsilon must be at least 0, received nan"),
        ("muon", {"ns_steps": 0}, "ns_steps must be at least 1"),
        ("muon", {"ns_steps": 2.5}, "ns_steps takes int like 5"),
        ("muon", {"exclude_layers": ("[",)}, r"takes regular expressions, received '\['"),
        ("muon", {"exclude_layers": (1,)}, "takes regular expressions, received 1"),
        ("adam", {"amsgrad": 1}, "amsgrad takes bool like False"),
        ("sgd", {"momentum": 0.8}, "momentum is set by --momentum"),
        ("adam", {"clipnorm": 1.0}, "clipnorm is set by --clip_norm"),
        ("adam", {"gradient_accumulation_steps": 2}, "is set by --way"),
    ],
)
def test_wrong_options_are_refused(optimizer, options, message):
    recipe = Recipe(pipeline="shapes", optimizer=optimizer, optimizer_options=options)
    with pytest.raises(UsageError, match=message):
        check(recipe)


def test_options_of_the_table_are_taken():
    for name, arguments in ARGUMENTS.items():
        check(Recipe(pipeline="shapes", optimizer=name, optimizer_options=arguments))
    options = {"rms_rate": None, "momentum": 0.9, "exclude_layers": ("logits",)}
    check(Recipe(pipeline="shapes", optimizer="muon", optimizer_options=options))


def test_another_optimizer_does_not_get_the_options_of_the_recipes():
    own = {"initial_accumulator_value": 1e-6}
    assert resolve("text_ngram", {"epochs": 3}).recipe.optimizer_options == own
    assert resolve("text_ngram", {"optimizer": "adagrad"}).recipe.optimizer_options == own
    assert resolve("text_ngram", {"optimizer": "adam"}).recipe.optimizer_options == {}
    asked = {"optimizer": "adam", "optimizer_options": {"beta_2": 0.98}}
    assert resolve("text_ngram", asked).recipe.optimizer_options == {"beta_2": 0.98}
