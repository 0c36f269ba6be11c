"""Simple models of features: neighbours against NumPy in float64, and what a run reports."""

import types

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.rows import take
from tests.conftest import fake_pipeline, tiny_settings
from trainers.evaluation import probe
from trainers.reports import probe as page
from trainers.store import saved_model

RANDOM = np.random.default_rng(0)


def blobs(number: int, width: int = 6, classes: int = 3, noise: float = 1.0):
    labels = RANDOM.integers(0, classes, number)
    centres = np.random.default_rng(1).normal(size=(classes, width))
    features = centres[labels] + noise * RANDOM.normal(size=(number, width))
    return features.astype(np.float32), labels


def test_neighbours_vote_by_their_cosines():
    bank, labels = blobs(500)
    asked, _ = blobs(40)
    model = probe.neighbours(bank, labels)
    one, other = (x.astype(np.float64) for x in (asked, bank))
    one, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other))
    cosine = one @ other.T
    nearest = np.argsort(-cosine, axis=1)[:, :200]
    votes = np.zeros((40, 3))
    for i, row in enumerate(nearest):
        np.add.at(votes[i], labels[row], np.exp(cosine[i, row] / 0.1))
    np.testing.assert_allclose(
        model.predict_proba(asked), votes / votes.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-5
    )


def test_a_small_bank_is_its_own_neighbourhood():
    assert probe.neighbours(*blobs(30)).n_neighbors == 30


def test_the_linear_model_has_the_penalty_that_validation_likes_best():
    train, validation = blobs(60, 40, noise=2.0), blobs(300, 40, noise=2.0)
    model = probe.linear(*train, *validation)
    # Standardised, then no gradient is left: that of the cross-entropy is C times the weights'.
    scale, regression = model.named_steps.values()
    x = (train[0] - train[0].mean(axis=0)) / train[0].std(axis=0)
    np.testing.assert_allclose(scale.transform(train[0]), x, atol=1e-4)
    error = regression.predict_proba(x) - np.eye(3)[train[1]]
    np.testing.assert_allclose(-regression.C * error.T @ x, regression.coef_, atol=1e-2)
    others = [
        type(model)([("a", scale), ("b", type(regression)(C=c, max_iter=500))]).fit(*train)
        for c in (0.01, 0.1, 1.0)
    ]
    assert model.score(*validation) == max(one.score(*validation) for one in others)


def probed(monkeypatch, prepared):
    """The probe of a network whose features are the mean colours of an image."""

    def serve(image):
        return {"features": tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2])}

    served = types.SimpleNamespace(signatures={"serving_default": serve})
    monkeypatch.setattr(saved_model, "load", lambda exported: served)
    return probe.probe(None, tiny_settings("cifar_cnn", ""), prepared)


def coloured(every: dict[str, int]):
    """Red, green and blue images; of each split every so many have the label -1."""
    prepared = fake_pipeline("cifar10")
    rows = {}
    for split, part in prepared.rows.items():
        label = part.table["label"] % 3
        image = np.zeros_like(part.table["image"])
        image[np.arange(len(label)), :, :, label] = 100
        if split in every:
            label = np.where(np.arange(len(label)) % every[split], label, -1)
        rows[split] = part._replace(table={"image": image, "label": label})
    return prepared.replace(rows=rows)


def test_labels_that_are_there_are_used_alone(monkeypatch):
    found = probed(monkeypatch, coloured({"train": 2}))
    assert found == {
        "rows": 35,
        "neighbours": 35,
        "validation": {"knn": 1.0, "linear": 1.0},
        "test": {"knn": 1.0, "linear": 1.0},
    }
    shown = str(page.section(found))
    assert "vote of the 35 nearest training rows" in shown
    assert shown.count("1.0000") == 4


def test_hidden_labels_of_test_rows_are_no_wrong_answers(monkeypatch):
    """As TFDS has them in the test split of imagenet2012."""
    found = probed(monkeypatch, coloured({"validation": 3, "test": 2}))
    assert found["validation"] == found["test"] == {"knn": 1.0, "linear": 1.0}
    assert probed(monkeypatch, coloured({"test": 1})) is None


def test_data_without_labels_is_not_probed(monkeypatch):
    prepared = fake_pipeline("cifar10")
    rows = {
        split: part._replace(target=None, table={"image": take(part, np.arange(13))["image"]})
        for split, part in prepared.rows.items()
    }
    assert probed(monkeypatch, prepared.replace(rows=rows)) is None


@pytest.mark.parametrize("labels", [np.zeros(70, np.int64), -np.ones(70, np.int64)])
def test_fewer_than_two_classes_are_not_probed(monkeypatch, labels):
    prepared = fake_pipeline("cifar10")
    train = prepared.rows["train"]
    train = train._replace(table={**train.table, "label": labels})
    found = probed(monkeypatch, prepared.replace(rows={**prepared.rows, "train": train}))
    assert found is None
