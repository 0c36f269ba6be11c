"""Flags, flagfiles, their order, and what is refused before keras is imported."""

import json
import math
import re
import time

import pytest

import zoo
from tests.conftest import run_python
from trainers.config import flags, packages
from trainers.config.flagfiles import RECIPES
from trainers.config.settings import FIELDS, Settings
from trainers.errors import UsageError

REFUSED = {
    "--model=cifar_cnn --batch_size=-1": "at least 0",
    "--model=cifar_cnn --batch_size=ten": "--batch_size takes an integer, received 'ten'",
    "--model=cifar_cnn --nohistograms=3": "--nohistograms=3 does not take an argument",
    "--model=cifar_cnn --hparams=units": "--hparams takes name=value pairs, received 'units'",
    "--model=cifar_cnn --hparams=units=many": "int",
    "--model=cifar_cnn --class_weights=even": "--class_weights takes 'balanced' or numbers",
    "--model=cifar_cnn --class_weights=0,0": "nothing would be learnt",
    "--model=cifar_cnn --lr_scale=conv1=much": "--lr_scale takes pattern=multiplier pairs",
    "--model=cifar_cnn --optimizer_options=beta2=0.98": "nearest: beta_2",
    "--model=cifar_cnn --task=regresion": "nearest: regression",
    "--model=cifar_cnn --init_from=nowhere/model.keras": "it does not exist",
    "--model=cifar_cnn stray": "stray",
    "": "--model is missing",
}


def parse(line: str) -> Settings:
    return flags.parse(["run", *line.split()])


@pytest.mark.parametrize("line", REFUSED)
def test_refusals_say_what_was_expected_in_one_line(line):
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert REFUSED[line] in str(caught.value)


def test_every_field_is_a_flag_of_its_type(tmp_path):
    (tmp_path / "run.json").touch()
    by_type = {"int": ("7", 7), "float": ("0.25", 0.25), "bool": ("true", True)}
    special = {
        "keep": ("best", "best"),
        "optimizer": ("sgd", "sgd"),
        "optimizer_options": ("beta_2=0.98,epsilon=1e-6", {"beta_2": 0.98, "epsilon": 1e-6}),
        "schedule": ("step", "step"),
        "precision": ("float32", "float32"),
        "kernels": ("keras", "keras"),
        "monitor": ("accuracy", "accuracy"),
        "pipeline": ("cifar10", "cifar10"),
        "lr_scale": ("conv1=0,dense/kernel=2.5", (("conv1", 0.0), ("dense/kernel", 2.5))),
        "class_weights": ("1,2", (1.0, 2.0)),
        "hparams": ("filters=(4,6,8),units=9", {"filters": (4, 6, 8), "units": 9}),
        "task": ("classification", "classification"),
        "pipeline_options": ("augment=False", {"augment": False}),
        "dataset": ("", ""),
        "data_files": ("", ""),
        "target": ("", ""),
        "data_dir": ("/data", "/data"),
        "workdir": ("here", "here"),
        "init_from": (f"{tmp_path},statistics", (str(tmp_path), "statistics")),
        "init_new": ("logits,conv[12]", ("logits", "conv[12]")),
        "judge": (str(tmp_path), str(tmp_path)),
        "way": ("", ()),
        "way_options": ("", {}),
        "task_options": ("", {}),
        "replicas": ("2", 2),
    }
    for name, field in FIELDS.items():
        if name == "model":
            continue
        text, value = special.get(name) or by_type[field.type.__name__]
        settings = parse(f"--model=cifar_cnn --{name}={text}")
        owner = settings if hasattr(settings, name) and name != "keep" else settings.recipe
        assert getattr(owner, name) == value, name


def test_model_recipe_then_flagfiles_then_command_line(tmp_path):
    inner, outer = tmp_path / "inner.flags", tmp_path / "outer.flags"
    inner.write_text("# a comment\n--epochs=5\n--batch_size=32\n--seed=3\n")
    outer.write_text(f"--flagfile={inner}\n\n--batch_size=48\n")
    own = zoo.describe("cifar_cnn").recipe
    for line in (
        f"--model=cifar_cnn --seed=9 --flagfile={outer}",
        f"--flagfile={outer} --seed=9 --model=cifar_cnn",
        f"--seed=9 --flagfile {outer} --model=cifar_cnn",
    ):
        recipe = parse(line).recipe
        assert (recipe.epochs, recipe.batch_size, recipe.seed) == (5, 48, 9)
        assert recipe.learning_rate == own.learning_rate


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.flags")), ids=lambda p: p.stem)
def test_recipes_parse_and_state_what_was_measured(path):
    text = path.read_text(encoding="utf-8")
    line = "" if "\n--model=" in text else "--model=cifar_cnn"
    assert parse(f"{line} --flagfile={path.stem}")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for word in ("python -m trainers.run", "accuracy", "runs", "cores"):
        assert word in head, f"the head of {path.name} does not state {word!r}"


_PROBE = """
import sys, json, time
started = time.perf_counter()
from trainers import run
from trainers.errors import run_command
sys.argv = ["run", *sys.argv[1:]]
code = 0
try:
    run_command(run.main)
except SystemExit as error:
    code = error.code
loaded = [name for name in ("keras", "tensorflow", "sklearn") if name in sys.modules]
print(json.dumps([code, loaded]))
"""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("--list", 0),
        *((line, 2) for line in REFUSED if re.search("batch_size=-1|units=many|nowhere/", line)),
    ],
)
def test_help_list_and_refusals_take_no_second_and_import_no_keras(line, code):
    seconds = math.inf
    for _ in range(3):  # the best of three: other processes of a test run share the cores
        started = time.perf_counter()
        done = run_python("-c", _PROBE, *line.split())
        seconds = min(seconds, time.perf_counter() - started)
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []]
    assert seconds < 1.0
    if code:
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stderr.startswith("error: ")


def test_a_reader_that_leaves_early_is_no_error():
    probe = (
        "import os, sys\n"
        "from trainers import run\n"
        "from trainers.errors import run_command\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "sys.argv = ['run', '--list']; run_command(run.main)"
    )
    done = run_python("-c", probe)
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "report", "doctor"])
def test_other_commands_help_and_refuse_at_once(command):
    done = run_python("-X", "importtime", "-m", f"trainers.{command}", "--help")
    assert f"python -m trainers.{command}" in done.stdout
    assert "keras.src" not in done.stderr
    assert "tensorflow.python" not in done.stderr
    done = run_python("-m", f"trainers.{command}", "--workdri=x", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Unknown command line flag 'workdri'")


@pytest.mark.parametrize(
    "line",
    [f"--model={name}" for name in zoo.names()]
    + [
        "--model=cifar_cnn --flagfile=shapes --seed=7 --pipeline_options=augment=False",
        "--model=cifar_cnn --pipeline=tfds_image --dataset=a:1.0.0 --data_dir=a,b --l2=0",
        "--model=cifar_cnn --lr_scale=conv1=0,logits=10 --class_weights=1,2.5 --ema=0",
        "--model=cifar_cnn --class_weights=balanced --histograms --noreport_baseline",
        "--model=mlp_binary --hparams=hidden=(128,64),dropout=0.2 --l2=0 --workdir=a/b",
        "--model=speed_cnn --optimizer_options=muon_momentum=0.5,nesterov=False --lr_scale=",
        "--model=mlp --optimizer=muon --optimizer_options=exclude_layers=('logits',),rms_rate=None",
        "--model=mlp --init_from=statistics,none --init_new=logits,dense[12]/ --task=binary",
        "--model=bert_tiny --optimizer=adam --optimizer_options=epsilon=1e-6",
        "--model=bert_tiny --optimizer=adam",
    ],
)
def test_settings_are_written_as_the_flags_that_ask_for_them(line, monkeypatch):
    monkeypatch.setattr(packages, "required", lambda model: None)  # weights may not be installed
    settings = parse(line)
    words = flags.command_line(settings)
    assert flags.parse(["run", *words]) == settings
    assert words[0] == line.split()[0]
    if " " not in line:
        assert len(words) == 1  # the model's own recipe needs no other flag


@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "report", "repeat", "doctor"])
def test_help_is_there_although_python_keeps_no_docstrings(command):
    done = run_python("-OO", "-m", f"trainers.{command}", "--help")
    assert f"python -m trainers.{command}" in done.stdout
