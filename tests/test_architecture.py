"""Rules of every file that no linter knows; import-linter checks who imports whom."""

import ast
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT, run_python
from trainers.config.flagfiles import RECIPES

PACKAGES = ("zoo", "pipelines", "trainers")
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in sorted(pathlib.Path(ROOT, package).rglob("*.py"))
}
LINES, FUNCTION_LINES = 300, 45
FORBIDDEN = (
    "safe_mode=False",
    "enable_unsafe_deserialization",
    "allow_pickle=True",
    "import pickle",
    "shell=True",
    "ignore_errors(",
    "--bind_all",
    "layers.Lambda(",
)


def long_functions(tree: ast.Module) -> Iterator[str]:
    """Functions of more than 45 lines without their docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
            if node.end_lineno - node.lineno + 1 - doc > FUNCTION_LINES:
                yield node.name


def decisions(tree: ast.Module) -> Iterator[str]:
    """Comparisons of a task, or of its name, with something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = [ast.unparse(side).rpartition(".")[2] for side in sides]
            values = [value for side in sides for value in getattr(side, "elts", [side])]
            literal = any(isinstance(value, ast.Constant) and value.value for value in values)
            if {"task", "task_name"} & set(names) and literal:
                yield ast.unparse(node)


def faults_of(name: str, text: str) -> Iterator[str]:
    """What is wrong with a file, in words."""
    tree = ast.parse(text)
    if len(text.splitlines()) > LINES:
        yield f"more than {LINES} lines"
    if not ast.get_docstring(tree):
        yield "no docstring"
    yield from (f"{word} is forbidden" for word in FORBIDDEN if word in text)
    if re.search(r"(?<![\w.])(eval|exec)\(", text):
        yield "eval or exec"
    yield from (
        f"{function} has more than {FUNCTION_LINES} lines" for function in long_functions(tree)
    )
    if not name.startswith(("trainers/tasks/", "zoo/")):
        yield from (f"decides by a task: {comparison}" for comparison in decisions(tree))
    private = private_attributes(tree)
    if name not in PRIVATE:
        yield from (f"private attribute {attribute}" for attribute in sorted(private))
        if "keras.src" in text.replace('"keras.src.', ""):  # a module's name in Keras's files
            yield "keras.src"
    elif not private:
        yield "needs no exception for private attributes"


# Where private attributes of Keras, TensorFlow and TFDS may be touched.
PRIVATE = ("trainers/devices/keras_patches.py", "pipelines/fetch.py")
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}  # public in spite of their names


def private_attributes(tree: ast.Module) -> set[str]:
    """Names with an underscore that are asked of an object and are not of this module's making."""
    own = {
        node.attr if isinstance(node, ast.Attribute) else node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        or (
            (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self")
            and isinstance(node.ctx, ast.Store)
        )
    }
    asked = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            asked.add(node.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "getattr",
            "setattr",
            "hasattr",
        ):
            asked |= {a.value for a in node.args[1:2] if isinstance(a, ast.Constant)}
    private = {n for n in asked if n.startswith("_") and not n.endswith("__")}
    return private - own - NAMED_TUPLE


def test_private_attributes_are_seen():
    text = """
class Thing:
    def __init__(self, model):
        self._mine = model._flatten_layers()
        getattr(model.optimizer, "_learning_rate")
        other._mine, self._ours, row._replace(a=1), model.__name__, model.loss
"""
    assert private_attributes(ast.parse(text)) == {"_flatten_layers", "_learning_rate"}


def test_files_keep_the_rules():
    assert [f"{name}: {fault}" for name in FILES for fault in faults_of(name, FILES[name])] == []


def test_rules_can_fail():
    long = 'def f():\n    """Long."""\n' + "    x = 1\n" * 45
    text = f"{long}\nif task == 'binary' or prepared.task in ('a', 'b'):\n    eval(model._x)\n"
    text += "# shell=True\n" * 300
    assert list(faults_of("trainers/fit.py", text)) == [
        "more than 300 lines",
        "no docstring",
        "shell=True is forbidden",
        "eval or exec",
        "f has more than 45 lines",
        "decides by a task: task == 'binary'",
        "decides by a task: prepared.task in ('a', 'b')",
        "private attribute _x",
    ]
    assert list(faults_of("zoo/model.py", '"""Tasks."""\nif task == "a":\n    pass\n')) == []


def calls(text: str) -> set[str]:
    """What a file calls, as it is written there."""
    nodes = ast.walk(ast.parse(text))
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def test_models_and_optimizers_are_made_in_one_place():
    """So that both are always made within the scope of the strategy."""
    compiling = {
        name: {call for call in calls(text) if call.endswith(".compile")}
        - {"re.compile", "super().compile"}
        for name, text in FILES.items()
    }
    assert [name for name, found in compiling.items() if found] == ["trainers/training/compile.py"]
    for call in ("optimizers.build", "TrainedModel"):
        callers = [name for name, text in FILES.items() if call in calls(text)]
        assert callers == ["trainers/training/compile.py"], call


def test_imports_start_nothing():
    probe = (
        "import sys, zoo, pipelines, trainers, trainers.run, trainers.config.flags\n"
        "zoo.names(); pipelines.names()\n"
        "print(sorted(set(sys.modules) & {'keras', 'tensorflow', 'numpy', 'sklearn'}))"
    )
    assert run_python("-c", probe).stdout.strip() == "[]"
    probe = (
        "import tensorflow as tf, pkgutil, importlib, zoo, pipelines, trainers\n"
        "for package in (zoo, pipelines, trainers):\n"
        "    for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(m.name)\n"
        "from tensorflow.python.eager import context\n"
        "print(context.context()._initialized)"
    )
    assert run_python("-c", probe).stdout.strip() == "False"


def test_repository_names_no_machine():
    tracked = subprocess.run(
        ["git", "ls-files"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    for name in tracked:
        path = pathlib.Path(ROOT, name)
        if path.suffix in (".png",) or name == "tests/test_architecture.py" or not path.exists():
            continue
        content = path.read_bytes()  # goldens are not all text
        for place in (b"/work/", b"/root/", b"/home/", b"/tmp/"):
            assert not re.search(rb"(?<![\w.])" + place, content), f"{name} names {place}"


def test_recipes_are_package_data():
    assert list(RECIPES.glob("*.flags"))
    assert "recipes/*.flags" in pathlib.Path(ROOT, "setup.py").read_text(encoding="utf-8")
