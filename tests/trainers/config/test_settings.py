"""Settings from a model and changes: what is refused, how runs are named, what identifies them."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from trainers.config import checks, packages
from trainers.config.checks import task_of
from trainers.config.settings import FIELDS, Settings, recorded_identity, resolve
from trainers.errors import UsageError
from trainers.training.start import probe, statistics
from zoo.spec import Recipe

REFUSED = [  # changes to cifar_cnn, and what the message says
    ({"optimizer": "adma"}, "nearest: adam"),
    ({"optimizer_options": {"beta2": 0.98}}, "unknown option of optimizer adamw 'beta2'"),
    ({"schedule": "cosin"}, "unknown schedule 'cosin'; nearest: cosine"),
    ({"precision": "float64"}, "unknown precision 'float64'; nearest: float16, bfloat16, float32"),
    ({"kernels": "fast"}, "known: auto, keras"),
    ({"monitor": "acuracy"}, "unknown monitor 'acuracy'; nearest: accuracy"),
    ({"keep": "first"}, "known: last, best"),
    ({"label_smoothing": 1.0}, "less than 1"),
    ({"task": "clasification"}, "unknown task 'clasification'; nearest: classification"),
    ({"hparams": {"depth": 3}}, "unknown hparam of cifar_cnn 'depth'"),
    ({"hparams": {"units": "many"}}, "--hparams: units takes int like 64, received 'many'"),
    ({"pipeline": "cifar100"}, "unknown pipeline 'cifar100'; nearest: cifar10"),
    ({"pipeline_options": {"crop": 2}}, "unknown option of pipeline cifar10 'crop'"),
    ({"pipeline_options": {"cutout": -1}}, "--pipeline_options: cutout must be at least 0"),
    ({"dataset": "mnist"}, "pipeline cifar10 takes no --dataset; tfds_image"),
    ({"pipeline": "tfds_image"}, "pipeline tfds_image needs --dataset=..., e.g. --dataset=mnist"),
    ({"replicas": 3}, "--batch_size=128 does not divide over --replicas=3"),
    ({"replicas": -1}, "--replicas must be at least 0, received -1"),
    ({"recover_tries": -1}, "--recover_tries must be at least 0, received -1"),
    ({"max_minutes": -1}, "--max_minutes must be at least 0, received -1.0"),
    ({"class_weights": "even"}, "--class_weights takes 'balanced' or numbers, received 'even'"),
    ({"lr_scale": (("(", 1.0),)}, "regular expression"),
    ({"lr_scale": (("conv1", -1.0),)}, "at least 0"),
    ({"way": ("acumulate",)}, "unknown way 'acumulate'"),
    ({"way_options": {"accumulate.steps": 4}}, "which --way lacks: 'accumulate'"),
    ({"workdir": "gs://bucket/run"}, "local disk"),
    ({"init_from": ("hf://someone/model.keras",)}, "local disk"),
    ({"init_from": ("nowhere",)}, "it does not exist"),
    ({"init_from": ("nowhere/model.keras",)}, "it does not exist"),
    ({"init_from": ("/",)}, r"model.save\('name.keras'\); it is none of these"),
    ({"init_new": ("(",)}, "regular expression"),
    ({"epochs": "3"}, "--epochs takes an integer, received '3'"),
    ({"epoch": 3}, "unknown setting 'epoch'; nearest: epochs"),
    ({"model": "mlp"}, "unknown setting 'model'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_resolve_refuses_in_one_line(changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve("cifar_cnn", changes)
    assert "\n" not in str(caught.value)


def test_init_from_takes_only_files_of_keras_3(tmp_path):
    for name in ("model.h5", "model.weights.h5", "model.keras.zip", "saved_model.pb"):
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match=r"model\.save\('name\.keras'\); it is none of these"):
            resolve("cifar_cnn", {"init_from": str(tmp_path / name)})


def test_init_from_is_not_looked_for_once_the_run_has_begun(tmp_path):
    (tmp_path / "run.json").touch()
    changes = {"init_from": ["gone.keras", "none"], "workdir": tmp_path}
    assert resolve("cifar_cnn", changes).init_from == ("gone.keras", "none")


def test_resolve_takes_fields_of_recipe_and_settings():
    settings = resolve("mlp_binary", {"epochs": 3, "hparams": {"hidden": [4]}})
    assert settings.recipe.epochs == 3
    assert settings.hparams == {"hidden": (4,)}
    assert settings.recipe.l2 == zoo.describe("mlp_binary").recipe.l2


def test_resolve_takes_numbers_of_numpy():
    changes = {
        "learning_rate": np.float32(0.5),
        "epochs": np.int64(3),
        "histograms": np.bool_(True),
    }
    settings = resolve("mlp", {**changes, "hparams": {"dropout": np.float64(0.25)}})
    assert json.loads(json.dumps(dataclasses.asdict(settings)))["hparams"] == {"dropout": 0.25}
    assert settings.recipe.learning_rate == 0.5
    assert type(settings.recipe.learning_rate) is float
    assert type(settings.recipe.epochs) is int
    assert settings.histograms is True


@pytest.mark.parametrize(
    ("model", "changes", "folder"),
    [
        ("mlp_binary", {}, "runs/mlp_binary-breast_cancer-s0"),
        (
            "cifar_cnn",
            {"pipeline": "tfds_image", "dataset": "svhn/cropped:1.*", "seed": 4},
            "runs/cifar_cnn-tfds_image-svhn-cropped-1.--s4",
        ),
        ("mlp", {"task": "regression"}, "runs/mlp-breast_cancer-regression-s0"),
        ("mlp", {"workdir": "a/b", "seed": 4}, "a/b"),
    ],
)
def test_run_folder_is_named_after_what_is_trained(model, changes, folder):
    assert str(resolve(model, changes).run_dir) == folder


def test_task_is_the_flags_then_the_models_then_the_datas():
    assert task_of(resolve("mlp", {}), "binary") == "binary"
    assert task_of(resolve("mlp", {"task": "regression"}), "binary") == "regression"
    assert task_of(resolve("mlp_classifier", {}), "binary") == "classification"
    with pytest.raises(UsageError, match="mlp_binary is for binary, not for task regression"):
        resolve("mlp_binary", {"task": "regression"})


def test_ways_and_their_options_are_checked():
    changes = {"way": "accumulate", "way_options": {"accumulate.steps": 2}}
    settings = resolve("mlp", changes)
    assert (settings.way, settings.way_options) == (("accumulate",), {"accumulate.steps": 2})
    for options, message in (
        ({"accumulate.step": 4}, "unknown option of way accumulate 'step'; nearest: steps"),
        ({"accumulate.steps": 0}, "--way_options: accumulate.steps must be at least 1"),
        ({"accumulate.steps": 0.5}, "--way_options: accumulate.steps takes int like 4"),
        ({"accumulate.steps": 5}, "--batch_size=64 does not divide over .* each in 5 parts"),
    ):
        with pytest.raises(UsageError, match=message):
            resolve("mlp", {"batch_size": 64, "way": "accumulate", "way_options": options})


def test_identity_is_everything_that_is_not_marked_otherwise():
    outside = {
        *("data_files", "data_dir", "workdir", "replicas", "histograms", "profile"),
        *("report_baseline", "checkpoint_minutes", "max_minutes", "recover_tries"),
        *("resume_with_changes", "dry_run", "debug", "steps_per_execution"),
        *("judge", "judge_samples"),
    }
    assert set(resolve("mlp", {}).identity()) == set(FIELDS) - outside
    # A new field of either class is part of it without being named anywhere.
    assert set(FIELDS) == {
        field.name for cls in (Settings, Recipe) for field in dataclasses.fields(cls)
    } - {"recipe"}


def test_identity_recorded_before_a_field_existed_has_its_default():
    changes = {"init_from": "none", "lr_scale": (("logits", 2.0),)}
    identity = resolve("mlp", changes).identity()
    earlier = {**identity, "init_from": "none"}
    for name in ("task", "way", "way_options", "init_new", "optimizer_options"):
        del earlier[name]
    assert recorded_identity(earlier) == identity
    assert recorded_identity(json.loads(json.dumps(earlier))) == identity
    other = resolve("mlp", {**changes, "optimizer_options": {"beta_2": 0.98}}).identity()
    assert recorded_identity(earlier) != other
    assert recorded_identity({**earlier, "of_old": 1})["of_old"] == 1  # shown as a difference


def test_start_sources_by_name_are_those_that_exist():
    assert checks.START_SOURCES == ("none", statistics.NAME, packages.SOURCE, probe.NAME)


def test_data_flags_reach_the_pipelines_that_take_them():
    changes = {"pipeline": "tfds_image", "dataset": "mnist", "data_dir": "d"}
    settings = resolve("cifar_cnn", {**changes, "pipeline_options": {"padding": 2}})
    assert checks.pipeline_arguments(settings) == {"dataset": "mnist", "padding": 2}
    settings = resolve("mlp_binary", {"pipeline": "mnist_parity", "data_dir": "d"})
    assert checks.pipeline_arguments(settings) == {"data_dir": "d"}
