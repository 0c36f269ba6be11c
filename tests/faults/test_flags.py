"""Commands that cannot be meant: exit code 2, one line, nothing written; docs/faults.md."""

import json
import os
import pathlib

import pytest
from PIL import Image

from pipelines.storage import tfds
from tests.conftest import run_python, tiny_settings
from trainers import errors
from trainers.config import flags
from trainers.config.settings import resolve
from trainers.training import fit, run

REFUSED = {
    "unknown flag": ("--modle=cifar_cnn", "Unknown command line flag 'modle'. Did you mean: model"),
    "unknown model": ("--model=cifarcnn", "'cifarcnn'; nearest: cifar_cnn"),
    "no batch": (
        "--model=cifar_cnn --batch_size=-1",
        "--batch_size must be at least 0",
    ),
    "negative rate": ("--model=cifar_cnn --learning_rate=-1", "must be more than 0, received -1"),
    "rate that is not a number": ("--model=cifar_cnn --learning_rate=nan", "received nan"),
    "infinite rate": ("--model=cifar_cnn --learning_rate=inf", "received inf"),
    "no such flagfile": ("--model=cifar_cnn --flagfile=gone.flags", "'gone.flags' is neither a fi"),
    "flagfile in a circle": ("--model=cifar_cnn --flagfile=a.flags", "a.flags includes itself"),
    "stray word": ("--model=cifar_cnn epochs=3", "'epochs=3' is not a flag"),
    "no epochs": ("--model=cifar_cnn --epochs=-1", "--epochs must be at least 0, received -1"),
    "no flag for the run's name": ("--model=cifar_cnn --run_name=../../x", "'run_name'"),
    "steps of an epoch": ("--model=cifar_cnn --steps_per_epoch=900", "'steps_per_epoch'"),
    "monitor": ("--model=cifar_cnn --monitor=val_acuracy", "'val_acuracy'; nearest: accuracy"),
    "share": (
        "--model=cifar_cnn --pipeline=tfds_image --dataset=mnist"
        " --pipeline_options=validation_percent=150",
        "validation_percent must be at least 1 and less than 100, received 150",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_command_says_why_in_one_line_and_writes_nothing(fault, tmp_path):
    line, said = REFUSED[fault]
    (tmp_path / "a.flags").write_text("--flagfile=b.flags\n")
    (tmp_path / "b.flags").write_text("--flagfile=a.flags\n")
    done = run_python("-m", "trainers.run", *line.split(), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    [told] = done.stderr.splitlines()
    assert told.startswith("error: ")
    assert said in told
    assert sorted(os.listdir(tmp_path)) == ["a.flags", "b.flags"]


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_flag_given_twice_counts_as_its_last_and_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.flags").write_text("--epochs=9\n--seed=4\n--seed=5\n")
    words = ["--model=mlp_binary", "--epochs=8", "--flagfile=twice.flags", "--epochs=1"]
    settings = flags.parse(["run", *words, "--batch_size=16", "--noreport_baseline"])
    assert (settings.recipe.epochs, settings.recipe.seed) == (1, 5)
    run.run(settings)
    facts = json.loads((tmp_path / "runs" / "mlp_binary-breast_cancer-s5" / "run.json").read_text())
    assert facts["settings"]["recipe"]["epochs"] == 1
    assert facts["settings"]["recipe"]["seed"] == 5


@pytest.mark.parametrize("word", ["../../x", "/etc/passwd", "..", "a/../..", "~/x", "\n", "-rf"])
def test_folder_of_a_run_is_within_runs_whatever_the_data_is_called(word):
    for changes in (
        {"pipeline": "tfds_image", "dataset": word},
        {"pipeline": "image_folder", "data_files": word},
        {"pipeline": "csv", "data_files": f"a{word},b", "target": "y"},
    ):
        folder = resolve("cifar_cnn", changes).run_dir
        assert folder.parent == pathlib.Path("runs")
        assert folder.name.startswith(f"cifar_cnn-{changes['pipeline']}")
        assert folder.name.endswith("-s0")
        assert folder.name.isprintable()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("validation_percent", value) for value in (0, 100, -20)),
        *(("image_size", -3), ("padding", -1)),
    ],
)
def test_options_of_images_out_of_bounds_are_refused(option, value):
    changes = {"pipeline": "tfds_image", "dataset": "shapes"}
    with pytest.raises(errors.UsageError, match=f"{option} must be at least .*received {value}"):
        resolve("cifar_cnn", {**changes, "pipeline_options": {option: value}})


@pytest.mark.parametrize(("option", "value"), [("vocab_size", 5), ("max_length", 1)])
def test_options_of_texts_out_of_bounds_are_refused(option, value):
    changes = {"pipeline": "imdb", "pipeline_options": {option: value}}
    with pytest.raises(errors.UsageError, match=f"{option} must be at least .*received {value}"):
        resolve("transformer_encoder", changes)


@pytest.mark.parametrize("seed", [-1, 2**40])
def test_split_seeds_out_of_bounds_are_refused(seed):
    with pytest.raises(errors.UsageError, match="split_seed must be at least 0 and less than"):
        resolve("mlp_binary", {"pipeline_options": {"split_seed": seed}})


@pytest.mark.parametrize(
    ("model", "monitor", "choices"),
    [
        ("mlp_binary", "r2", "loss, accuracy, precision, recall, f1, auc"),
        ("cifar_cnn", "auc", "loss, accuracy, top_5_accuracy"),
        ("cifar_cnn", "top_5_accuracy", "loss, accuracy"),  # two classes
    ],
)
def test_monitor_that_the_task_does_not_have_is_refused_before_the_first_step(
    model, monitor, choices, tmp_path, monkeypatch
):
    monkeypatch.setattr(fit, "fit", lambda *_, **__: pytest.fail("began to train"))
    changes = {"monitor": monitor}
    if model == "cifar_cnn":  # its classes are known only once the folder is read
        for i in range(80):
            path = tmp_path / "photos" / ("day", "night")[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (3 * i, 0, 0)).save(path)
        changes |= {"pipeline": "image_folder", "data_files": tmp_path / "photos"}
    else:
        monkeypatch.setattr(tfds, "load", lambda *_, **__: pytest.fail("began to load"))
    message = f"--monitor={monitor}: expected one of {choices}, the metrics of this task on"
    with pytest.raises(errors.UsageError, match=message) as caught:
        run.run(tiny_settings(model, tmp_path / "run", **changes))
    assert errors.exit_code(caught.value) == 2
    assert os.listdir(tmp_path / "run") == [".lock"]
