"""The judge of generated images: distances by hand, a generator that has collapsed, whole runs."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from pipelines import Rows
from pipelines.core.prepared import Prepared
from tests.conftest import fake_pipeline, tiny_settings, unchecked_exports, use_fake_data
from trainers.errors import UsageError
from trainers.evaluation import generated
from trainers.evaluation.generated import Judge, frechet_distance
from trainers.serving import predict
from trainers.store import sealed
from trainers.tasks import registry
from trainers.training import run

RANDOM = np.random.default_rng(0)


def test_frechet_distance_of_one_feature_is_that_of_means_and_deviations():
    one, other = RANDOM.normal(1, 2, (500, 1)), RANDOM.normal(4, 0.5, (300, 1))
    means = one.mean() - other.mean()
    deviations = one.std(ddof=1) - other.std(ddof=1)
    expected = float(means**2 + deviations**2)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 3) == pytest.approx(9, rel=1e-9)


def test_frechet_distance_is_that_of_matrix_square_roots():
    one = RANDOM.normal(size=(400, 6)) @ RANDOM.normal(size=(6, 6))
    other = RANDOM.normal(size=(400, 6)) @ RANDOM.normal(size=(6, 6)) + 1
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b).real
    apart = one.mean(0) - other.mean(0)
    expected = apart @ apart + np.trace(a + b - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-6)


def test_few_rows_and_features_without_variance_have_a_distance():
    one = np.zeros((5, 4))
    one[:, 0] = range(5)
    other = one.copy()
    other[:, 1] += 2
    assert frechet_distance(one, other) == pytest.approx(4, rel=1e-3)
    assert frechet_distance(np.zeros((3, 2)), np.zeros((3, 2))) == pytest.approx(0, abs=1e-9)


def test_spread_is_the_variance_within_classes():
    features = np.array([[0.0, 0], [2, 0], [5, 5], [5, 9]])
    assert generated.spread(features, np.array([0, 0, 1, 1]), 3) == pytest.approx(10 / 4)


def grey(label: np.ndarray) -> np.ndarray:
    """Images of 8x8 that are brighter by class, each with three bands of its own."""
    bands = 20 * RANDOM.random((len(label), 4, 1)) * np.array([-1, 1, -1, 1])[:, None]
    level = 60 + 100 * label[:, None, None] + bands
    return np.round(level.repeat(2, axis=1).repeat(8, axis=2))[..., None].astype(np.uint8)


def of_greys() -> tuple[Prepared, Judge]:
    """Two classes of images, and a judge that looks at how bright their bands are."""
    base = fake_pipeline("mnist")
    rows = {}
    for split, number in (("train", 4000), ("test", 2000)):
        label = np.arange(number) % 2
        field = {"image": base.raw["image"]._replace(shape=(8, 8, 1)), "label": base.schema.target}
        rows[split] = Rows(number, field, "label", table={"image": grey(label), "label": label})
    raw = {"image": rows["test"].fields["image"]}
    schema = base.schema._replace(raw=raw, class_names=("dark", "light"))
    prepared = Prepared(pipeline=base.pipeline, schema=schema, form="image", state={}, rows=rows)

    def ask(images):
        features = tf.reduce_mean(images, axis=[2, 3])[:, ::2]  # (B, 4)
        return tf.cast(tf.reduce_mean(features, axis=1) > -0.1, tf.int64), features

    return prepared, Judge("", "grey", "w", prepared, ask)


def judged(make) -> dict[str, float]:
    """What the judge says of a function of (seeds, labels)."""

    def generate(seed, label):
        return {"image": tf.constant(make(seed.numpy(), label.numpy()))}

    prepared, judge = of_greys()
    settings = dataclasses.replace(tiny_settings("gan", ""), judge_samples=2000)
    return generated.judged(generate, settings, prepared, judge)


def test_a_collapsed_generator_is_accurate_and_far_from_the_floor():
    good = judged(lambda seed, label: grey(label))
    one = grey(np.arange(2))
    collapsed = judged(lambda seed, label: one[label])
    assert good["accuracy"] == collapsed["accuracy"] == good["accuracy_of_real"] == 1
    assert good["samples"] == 2000
    assert good["frechet_distance"] < 5 * good["floor"]
    assert collapsed["frechet_distance"] > 20 * collapsed["floor"]
    assert good["spread"] == pytest.approx(1, abs=0.15)
    assert collapsed["spread"] == 0


def test_a_judge_that_sees_no_difference_within_a_class_loses_no_run(monkeypatch):
    """Its features have died, or all images of a class are copies of one."""
    prepared, judge = of_greys()
    dead = judge._replace(ask=lambda images: (judge.ask(images)[0], tf.zeros((len(images), 4))))
    monkeypatch.setitem(globals(), "of_greys", lambda: (prepared, dead))
    found = judged(lambda seed, label: grey(label))
    assert (found["spread"], found["frechet_distance"], found["accuracy"]) == (0.0, 0.0, 1.0)
    json.dumps(found, allow_nan=False)


def test_images_of_the_other_class_and_noise_are_told():
    wrong = judged(lambda seed, label: grey(1 - label))
    assert wrong["accuracy"] == 0
    assert wrong["frechet_distance"] < 5 * wrong["floor"]  # all together they are the same
    noise = judged(lambda seed, label: RANDOM.integers(0, 256, (len(seed), 8, 8, 1), np.uint8))
    assert noise["frechet_distance"] > 20 * noise["floor"]


def test_samples_to_look_at_are_ten_of_each_class():
    def generate(seed, label):
        assert seed.dtype == label.dtype == tf.int64
        return {"image": tf.cast(seed[:, None, None, None], tf.uint8)}

    found = generated.shown(generate, 3)
    assert found["image"].shape == (3, 10, 1, 1, 1)
    assert found["label"].tolist() == [0, 1, 2]
    assert found["image"].ravel().tolist() == list(range(30))


@pytest.fixture(scope="module", name="finished_runs")
def _finished_runs(tmp_path_factory):
    """A generator, and a classifier of the same images."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        unchecked_exports(patch)
        run.run(tiny_settings("mnist_cnn", folder / "mnist_cnn", epochs=1))
        report = run.run(tiny_settings("gan", folder / "gan", epochs=1))
    return folder, report


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_a_finished_run_is_judged_by_the_same_command(finished_runs):
    folder, report = finished_runs
    assert "judged" not in report
    page = (folder / "gan" / "report.html").read_text()
    assert "--judge=RUN" in page
    assert page.count("data:image/png") == 100
    judge = {"judge": str(folder / "mnist_cnn"), "judge_samples": 12}
    again = tiny_settings("gan", folder / "gan", epochs=1, **judge)
    later = run.run(again)
    found = later["judged"]
    assert found["judge"] == "mnist_cnn"
    assert found["samples"] == 12
    assert set(found) >= {"accuracy", "frechet_distance", "floor", "spread"}
    assert {name: value for name, value in later.items() if name != "judged"} == report
    events = event_accumulator.EventAccumulator(str(folder / "gan" / "tensorboard" / "judge"))
    events.Reload()
    [scalar] = events.Tensors("judge/frechet_distance")
    assert tf.make_ndarray(scalar.tensor_proto) == pytest.approx(found["frechet_distance"])
    samples = event_accumulator.EventAccumulator(str(folder / "gan" / "tensorboard" / "validation"))
    samples.Reload()
    assert len(samples.Tensors("samples")) == 1  # after its epoch
    page = (folder / "gan" / "report.html").read_text()
    assert "Frechet distance" in page
    assert "--judge=RUN" not in page
    before = sealed.read(folder / "gan" / "report.json")
    assert run.run(again)["judged"] == found  # nothing is asked again
    assert sealed.read(folder / "gan" / "report.json") == before


@pytest.mark.usefixtures("_fake_data")
def test_a_judge_that_does_not_fit_is_refused(finished_runs, tmp_path):
    folder, _ = finished_runs
    with pytest.raises(UsageError, match=r"gan names no layer of features; these do: .*mnist_cnn"):
        run.run(tiny_settings("gan", tmp_path, judge=str(folder / "gan")))
    assert not (tmp_path / "checkpoints").exists()
    asked = tiny_settings("gan", tmp_path, judge=str(folder / "mnist_cnn"))
    with pytest.raises(UsageError, match="with other classes or images than cifar10"):
        generated.judge_of(asked, fake_pipeline("cifar10"))
    two = tiny_settings("gan", tmp_path, judge=str(folder / "mnist_cnn"), judge_samples=2)
    with pytest.raises(UsageError, match="no two of the 2 test images that are compared are of"):
        generated.judge_of(two, fake_pipeline("mnist"))
    with pytest.raises(UsageError, match="expected the folder of a finished run"):
        tiny_settings("gan", tmp_path, judge=str(folder))
    with pytest.raises(UsageError, match=r"--judge is for tasks that make images \(adversarial"):
        run.run(tiny_settings("mnist_cnn", tmp_path, judge=str(folder / "mnist_cnn")))


def test_a_request_is_answered_and_one_of_no_class_is_refused(finished_runs, tmp_path):
    folder, report = finished_runs
    exported = folder / "gan" / report["export"]
    [answer] = predict.predict(exported, [exported / "assets.extra" / "request.json"])
    assert answer["class_name"] in "0123456789"
    assert np.shape(answer["image"]) == (28, 28, 1)
    table = tmp_path / "asked.csv"
    table.write_text("seed,label\n5,3\n5,3\n6,3\n")
    one, again, other = predict.predict(exported, [table])
    assert one["image"] == again["image"]
    assert one["image"] != other["image"]
    request = {"instances": [{"seed": 1, "label": 3}, {"seed": 1, "label": 10}]}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request))
    with pytest.raises(UsageError, match=r"request.json:0 to .*:1: .*not a class from 0 to 9"):
        list(predict.predict(exported, [path]))


def test_tasks_that_make_images_say_so():
    makers = [name for name in registry.names() if registry.get(name).generates]
    assert makers == ["adversarial", "rectified_flow"]


@pytest.mark.slow
@pytest.mark.usefixtures("_fake_data")
@pytest.mark.parametrize("model", ["diffusion", "gan"])
def test_an_export_makes_the_same_images_in_another_process(model, tmp_path):
    """The export is compared there; here an image alone with the same beside others."""
    report = run.run(tiny_settings(model, tmp_path, epochs=1))
    generate = tf.saved_model.load(str(tmp_path / report["export"])).signatures["generate"]
    seeds, labels = tf.constant([5, 6, 7], tf.int64), tf.constant([1, 1, 9], tf.int64)
    together = generate(seed=seeds, label=labels)
    assert together["class_name"].numpy().tolist() == [b"1", b"1", b"9"]
    for i in range(3):
        alone = generate(seed=seeds[i : i + 1], label=labels[i : i + 1])["image"]
        off = np.abs(alone[0].numpy().astype(int) - together["image"][i].numpy())
        assert off.max() <= 1
        assert off.mean() < 0.01
    assert (together["image"][0] != together["image"][1]).numpy().any()
