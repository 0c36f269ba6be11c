"""The parts that a way may give: all optional, and each of them asked for by the trainer."""

import dataclasses
import pathlib
import re

from tests.conftest import ROOT
from trainers.ways.way import Way


def test_way_without_parts_changes_nothing():
    way = Way()
    assert way.facts == {}
    assert all(getattr(way, f.name) is None for f in dataclasses.fields(way) if f.name != "facts")


def test_every_part_of_a_way_is_used_by_the_trainer():
    files = [p for p in pathlib.Path(ROOT, "trainers").rglob("*.py") if p.name != "way.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for field in dataclasses.fields(Way):
        assert re.search(rf"\bway\.{field.name}\b|giving\(\"{field.name}\"\)", code), field.name
