"""What the metadata of a field decides: types, choices and bounds."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest

from trainers.config import fields
from trainers.config.settings import FIELDS
from trainers.errors import UsageError
from zoo.spec import setting


@dataclasses.dataclass(kw_only=True)
class Example:
    name: str = setting(dataclasses.MISSING, "a name")
    size: int = setting(3, "a size", at_least=1, less_than=9)
    rate: float = setting(0.1, "a rate", more_than=0)
    shape: str = setting("", "a shape", choices=("round", "square"))
    options: Mapping = setting({"a": 1}, "options", kind="options")


EXAMPLE = {field.name: field for field in dataclasses.fields(Example)}


def test_every_flag_has_help_a_codec_and_says_whether_it_changes_the_numbers():
    for name, field in FIELDS.items():
        assert field.metadata["help"], name
        assert isinstance(field.metadata["changes_numbers"], bool)
        value = fields.default(field)
        if value is None:
            assert name in ("model", "pipeline")
            continue
        assert fields.accept(field, value) == value
        assert fields.accept(field, fields.parse(field, fields.text(field, value))) == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size", 0, "--size must be at least 1 and less than 9, received 0"),
        ("size", 9, "--size must be at least 1 and less than 9, received 9"),
        ("size", 2.0, "--size takes an integer, received 2.0"),
        ("rate", 0, "--rate must be more than 0, received 0.0"),
        ("rate", math.nan, "--rate must be more than 0, received nan"),
        ("rate", math.inf, "--rate must be more than 0, received inf"),
        ("shape", "rond", "unknown shape 'rond'; nearest: round; known: round, square"),
        ("options", [1], r"--options takes name=value pairs, received \[1\]"),
    ],
)
def test_accept_refuses_in_one_line(name, value, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        fields.accept(EXAMPLE[name], value)


def test_accept_keeps_what_is_within_bounds():
    accepted = [fields.accept(EXAMPLE["size"], value) for value in (1, 8, np.int64(3))]
    assert accepted == [1, 8, 3]
    assert type(accepted[2]) is int
    assert fields.accept(EXAMPLE["shape"], "") == ""
    assert fields.accept(EXAMPLE["shape"], "square") == "square"


def test_parse_names_the_flag_and_what_it_takes():
    with pytest.raises(UsageError, match=r"^--size takes an integer, received 'ten'$"):
        fields.parse(EXAMPLE["size"], "ten")


def test_default_mappings_are_not_shared():
    first = fields.default(EXAMPLE["options"])
    first["b"] = 2
    assert fields.default(EXAMPLE["options"]) == {"a": 1}
    assert fields.default(EXAMPLE["name"]) is None


@pytest.mark.parametrize(
    ("value", "default", "limits", "message"),
    [
        ("many", 3, (None, None), "x takes int like 3, received 'many'"),
        (True, 3, (None, None), "x takes int like 3, received True"),
        (1, True, (None, None), "x takes bool like True, received 1"),
        (1.5, 3, (None, None), "x takes int like 3, received 1.5"),
        (None, (), (None, None), r"x takes tuple like \(\), received None"),
        (5, 8, (6, None), "x must be at least 6, received 5"),
        (100, 10, (1, 100), "x must be at least 1 and less than 100, received 100"),
        (math.nan, 0.5, (None, None), "x must be finite, received nan"),
    ],
)
def test_check_option_refuses_other_types_and_sizes(value, default, limits, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        fields.check_option("x", value, default, limits)


def test_check_option_takes_integers_for_numbers_and_lists_for_tuples():
    fields.check_option("x", 1, 0.5, (0, 2))
    fields.check_option("x", [1, 2], (4,))
    fields.check_option("x", "anything", None)
    fields.check_option("x", False, True)
