"""The one fit: a user's callbacks, class weights, and what a resumed run does not do again."""

import keras
import numpy as np
import pytest

from pipelines.core.stream import stream
from tests.conftest import made_pipeline, tiny_settings
from trainers.devices import strategy
from trainers.errors import UsageError
from trainers.training import fit, run


class Recorded(keras.callbacks.Callback):
    """What a user's callback is told."""

    def __init__(self):
        super().__init__()
        self.epochs, self.steps = [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += bool(logs)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, {"loss", "val_loss", "val_auc"} <= set(logs)))


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_callbacks_of_the_user_are_called(tmp_path):
    callback = Recorded()
    settings = tiny_settings("mlp_binary", tmp_path, steps_per_execution=1)
    run.run(settings, callbacks=[callback])
    assert callback.epochs == [(0, True), (1, True)]
    assert callback.steps == 2 * (70 // 16)
    again = Recorded()
    run.run(settings, callbacks=[again])  # the run is complete
    assert not again.epochs


def test_class_weights_multiply_those_of_the_examples():
    prepared = made_pipeline("classification")
    weighted = fit.class_weighted(prepared, (1.0, 2.0, 4.0))
    for _, y, weight in stream(weighted, "train", batch_size=20, training=True, seed=0).take(3):
        np.testing.assert_array_equal(weight, np.array([1.0, 2.0, 4.0])[y])
    assert fit.class_weighted(prepared, ()) is prepared


def test_balanced_classes_weigh_the_same_together():
    prepared = made_pipeline("classification")
    weighted = fit.class_weighted(prepared, "balanced")
    totals = np.zeros(3)
    for _, y, weight in stream(weighted, "train", batch_size=60, training=True, seed=0).take(1):
        np.add.at(totals, y.numpy(), weight.numpy())
    np.testing.assert_allclose(totals, 20.0, rtol=1e-5)


def test_class_weights_of_a_mixture_are_those_of_its_shares():
    prepared = made_pipeline("classification")

    def mix(inputs, target, other, other_target, keys):
        return inputs, 0.75 * target + 0.25 * other_target

    weighted = fit.class_weighted(prepared.replace(mix=mix), (1.0, 2.0, 4.0))
    mixtures = 0
    for _, y, weight in stream(weighted, "train", batch_size=20, training=True, seed=0).take(3):
        np.testing.assert_array_equal(weight, y.numpy() @ np.array([1.0, 2.0, 4.0]))
        mixtures += (y.numpy() == 0.25).any(axis=1).sum()
    assert mixtures > 20
    for _, y, weight in stream(weighted, "test", batch_size=20, training=False, seed=0).take(1):
        np.testing.assert_array_equal(weight, np.array([1.0, 2.0, 4.0])[y.numpy().argmax(1)])


def test_stream_of_training_is_told_how_long_the_run_is(tmp_path, monkeypatch):
    """By which augmentation ends early."""
    told = []

    def watched(prepared, split, **options):
        told.append((split, options.get("epochs")))
        return stream(prepared, split, **options)

    monkeypatch.setattr(fit, "stream", watched)
    settings = tiny_settings("linear", tmp_path, epochs=3)
    fit._streams(settings, made_pipeline("classification"), strategy.choose(1), 0)
    assert told == [("train", 3), ("validation", None)]


def test_wrong_number_of_class_weights_is_refused():
    with pytest.raises(UsageError, match="expected 3 numbers, received 2"):
        fit.class_weighted(made_pipeline("classification"), (1.0, 2.0))
