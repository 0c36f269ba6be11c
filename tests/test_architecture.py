"""The rules that hold for every file: who imports whom, how long, and what is never written."""

import ast
import pathlib
import re
import subprocess

import pytest

import zoo
from tests.conftest import ROOT, run_python
from trainers.config.flags import RECIPES

PACKAGES = ("zoo", "pipelines", "trainers")
FILES = sorted(p for package in PACKAGES for p in pathlib.Path(ROOT, package).rglob("*.py"))
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


def imports(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrow(path):
    package, names = path.relative_to(ROOT).parts[0], imports(path)
    ours = {name for name in names if name.split(".")[0] in PACKAGES}
    if package == "zoo":
        assert {name.split(".")[0] for name in ours} <= {"zoo"}
        assert not {n for n in names if n.split(".")[0] in ("tensorflow", "tensorflow_datasets")}
    if package == "pipelines":
        assert {name for name in ours if not name.startswith("pipelines")} <= {"zoo.spec"}
        assert "keras" not in {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_documented_and_safe(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))
    for word in FORBIDDEN:
        assert word not in text
    assert not re.search(r"(?<![\w.])(eval|exec)\(", text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_private_keras_is_touched_in_one_file(path):
    if path.name == "distribute.py":
        return
    text = path.read_text(encoding="utf-8")
    assert "keras.src" not in text.replace(
        '"keras.src.', ""
    )  # a module's name in Keras's own files


def test_importing_the_packages_starts_nothing():
    probe = (
        "import sys, zoo, pipelines, trainers, trainers.run, trainers.recipe_flags\n"
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


def test_zoo_models_are_backend_neutral():
    for name in zoo.names():
        path = pathlib.Path(ROOT, "zoo", f"{zoo.describe(name).module}.py")
        assert "tensorflow" not in {module.split(".")[0] for module in imports(path)}


def test_the_repository_names_no_machine():
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
        text = path.read_text(encoding="utf-8")
        for place in ("/work/", "/root/", "/home/", "/tmp/"):  # noqa: S108
            assert not re.search(rf"(?<![\w.]){place}", text), f"{name} names {place}"


def test_recipes_are_package_data():
    assert list(RECIPES.glob("*.flags"))
    assert "recipes/*.flags" in pathlib.Path(ROOT, "setup.py").read_text(encoding="utf-8")
