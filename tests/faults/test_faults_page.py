"""The page of faults numbers them without a gap, and names only tests that there are."""

import ast
import functools
import pathlib
import re

import pytest

from tests.conftest import ROOT

_ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|")
_PAGE = pathlib.Path(ROOT, "docs", "faults.md").read_text(encoding="utf-8")
ROWS = [_ROW.fullmatch(line).groups() for line in _PAGE.splitlines() if re.match(r"\| *\d", line)]


@functools.cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse(pathlib.Path(ROOT, "tests", file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_faults_are_all_there_in_order():
    number = int(re.search(r"^(\d+) faults, each", _PAGE, re.MULTILINE)[1])
    assert [int(row) for row, *_ in ROWS] == list(range(1, number + 1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_faults_have_tests_that_exist(row):
    _, _, happens, cell = row
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", cell)
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == cell
    for file, name in named:
        assert name in functions_of(file), f"{file} has no {name}"
    assert named or "not built yet" in happens
