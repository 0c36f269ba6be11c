"""What a run's model is compiled with."""

import inspect

import keras
import numpy as np
import pytest

import zoo
from pipelines.core.stream import stream
from tests.conformance.names import loaded
from tests.conftest import fake_pipeline, made_pipeline, tiny_settings
from trainers.devices import loop, machine
from trainers.devices.machine import Machine
from trainers.devices.strategy import choose
from trainers.errors import UsageError
from trainers.store import checkpoint
from trainers.tasks import registry as tasks
from trainers.training import compile as compiling
from trainers.training import dry_run


def compiled(name: str, tmp_path, prepared=None, policy: str = "float32", **changes):
    settings = tiny_settings(name, tmp_path, **changes)
    prepared = prepared or fake_pipeline(settings.recipe.pipeline)
    return compiling.compiled(settings, prepared, choose(1), policy)


@pytest.mark.parametrize("name", ["cifar_cnn", "transformer_encoder"])
def test_variables_have_the_paths_of_the_builders_own_model(name, tmp_path):
    model = compiled(name, tmp_path)
    built = zoo.get(name).build(
        fake_pipeline(zoo.describe(name).recipe.pipeline).spec,
        **{**zoo.get(name).hparams, **zoo.get(name).tiny},
    )
    assert [v.path for v in model.weights] == [v.path for v in built.weights]
    assert model.name == built.name
    assert isinstance(model.input, dict)


def test_all_variables_stand_before_the_first_step(tmp_path):
    """Those that some metrics make at their first update too, and nothing is counted in them."""
    model = compiled("mlp_binary", tmp_path, ema=0.9)
    groups = {key.split("/")[0] for key in checkpoint.variables_of(model)}
    assert groups == {"model", "optimizer", "metrics"}
    names = [metric.name for metric in model.metrics]
    assert names[0] == "loss"
    assert {"accuracy", "f1", "auc"} <= set(names)
    for metric in model.metrics:
        assert metric.variables, metric.name
        assert not any(np.any(variable.numpy()) for variable in metric.variables)


def test_same_start_whatever_the_process_did_before(tmp_path):
    one = compiled("mlp_binary", tmp_path)
    keras.random.normal((3,))
    two = compiled("mlp_binary", tmp_path)
    for a, b in zip(one.variables, two.variables, strict=True):
        assert a.path == b.path
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_choices_follow_machine_and_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "this_machine", lambda: Machine(gpus=1, cores=8))
    prepared = fake_pipeline("breast_cancer")
    settings = tiny_settings("mlp_binary", tmp_path, batch_size=2)
    steps = prepared.rows["train"].num_rows // 2
    assert compiling.choices(settings, prepared, choose(1)).steps_per_execution == steps // 4
    assert compiling.choices(settings, prepared, choose(1)).jit_compile
    assert not compiling.choices(settings, prepared, choose(2)).jit_compile
    settings = tiny_settings("mlp_binary", tmp_path, batch_size=2, steps_per_execution=5)
    assert compiling.choices(settings, prepared, choose(1)).steps_per_execution == 5


def test_recurrent_models_take_their_steps_on_a_gpu_without_xla(tmp_path, monkeypatch, recwarn):
    """It cannot compile the way back of their loop, and the run says that it did not."""
    monkeypatch.setattr(machine, "this_machine", lambda: Machine(gpus=1, cores=8))
    monkeypatch.setattr(machine, "copied_ahead", lambda dataset, device: dataset)
    settings = tiny_settings("gru", tmp_path, batch_size=8)
    prepared, one = fake_pipeline("imdb"), choose(1)
    model = compiling.compiled(settings, prepared, one, "float32")
    assert not model.jit_compile
    assert compiled("mlp_binary", tmp_path).jit_compile
    model.steps_per_execution = 1
    loop.count_steps(model, one, steps=1, validation_steps=1)
    rows = stream(prepared, "train", batch_size=8, training=True, seed=0)
    model.train_function(iter(rows))
    assert int(model.optimizer.iterations.numpy()) == 1
    assert not [one for one in recwarn if "jit_compile" in str(one.message)]
    monkeypatch.setattr(dry_run, "_prepared", lambda settings: prepared)
    assert "step not compiled by XLA" in dry_run.describe(settings)


def test_loss_scale_is_there_under_float16_alone(tmp_path):
    for policy, scaled in (("float32", False), ("mixed_float16", True)):
        model = compiled("mlp_classifier", tmp_path, made_pipeline("classification"), policy)
        assert hasattr(model.optimizer, "dynamic_scale") == scaled


def test_what_a_recipe_has_for_classes_falls_away_where_there_are_none(tmp_path):
    """Smoothing of labels, and the rate of the last layer, which the task replaces."""
    settings = tiny_settings("speed_cnn", tmp_path, task="contrastive")
    prepared = loaded(settings)
    assert settings.recipe.label_smoothing
    assert "logits" in dict(settings.recipe.lr_scale)
    model = compiling.compiled(settings, prepared, choose(1), "float32")
    assert not any("logits" in variable.path for variable in model.trainable_variables)
    for changes, said in (
        ({"label_smoothing": 0.3}, "for classes, task contrastive has none: --label_smoothing=0"),
        ({"lr_scale": (("logits", 2.0),)}, "--lr_scale: 'logits' matches none of"),
    ):
        asked = tiny_settings("speed_cnn", tmp_path, task="contrastive", **changes)
        with pytest.raises(UsageError, match=said):
            compiling.compiled(asked, prepared, choose(1), "float32")


@pytest.mark.parametrize("task", tasks.names())
def test_smoothing_reaches_the_tasks_that_have_classes(task):
    parameters = inspect.signature(tasks.get(task).loss).parameters
    assert ("label_smoothing" in parameters) == tasks.get(task).smooths


def test_penalties_are_on_kernels_alone(tmp_path):
    model = compiled("mlp_binary", tmp_path, l1=0.1, l2=0.2)
    for variable in model.trainable_variables:
        assert (variable.regularizer is not None) == (len(variable.shape) == 2), variable.path


def test_model_that_does_not_take_the_data_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cifar_cnn on made"):
        compiled("cifar_cnn", tmp_path, made_pipeline("classification"))
