"""The plain types: fields of settings, nearest names, and no import beyond the standard library."""

import dataclasses
import math
from collections.abc import Mapping

from tests.conftest import run_python
from zoo.spec import Recipe, nearest, setting


def test_nearest_puts_the_most_similar_first():
    names = ["cifar_cnn", "mnist_cnn", "linear", "mlp"]
    assert nearest("cifarcnn", names)[0] == "cifar_cnn"
    assert nearest("zzz", names) == []
    assert len(nearest("cnn", [f"cnn{i}" for i in range(9)])) == 3


def test_setting_keeps_what_is_known_of_a_field():
    @dataclasses.dataclass
    class Example:
        size: int = setting(3, "a size", at_least=1, less_than=9, changes_numbers=False)
        options: Mapping = setting({"a": 1}, "options", kind="options")

    size, options = dataclasses.fields(Example)
    assert size.default == 3
    assert size.metadata["help"] == "a size"
    bounds = [size.metadata[key] for key in ("at_least", "more_than", "less_than")]
    assert bounds == [1, -math.inf, 9]
    assert not size.metadata["changes_numbers"]
    assert options.metadata["changes_numbers"]  # unless said otherwise
    assert options.metadata["kind"] == "options"
    assert Example().options == {"a": 1}
    assert Example().options is not Example().options


def test_recipe_is_made_of_settings():
    for field in dataclasses.fields(Recipe):
        assert field.metadata["help"]
    assert Recipe(pipeline="mnist").optimizer_options == {}


def test_spec_needs_the_standard_library_alone():
    probe = (
        "import sys, zoo.spec\n"
        "ours = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(m for m in ours if not m.startswith('_')))"
    )
    assert run_python("-S", "-c", probe).stdout.strip() == "['zoo']"
