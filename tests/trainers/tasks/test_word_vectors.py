"""Word vectors as a task: metrics by hand, and runs whose vectors tell two topics apart."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import made_pipeline, tiny_settings, unchecked_exports
from tests.running_text import prepared_of
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.evaluation import word_vectors as evaluation
from trainers.run import train
from trainers.serving import predict
from trainers.store.finished import finished
from trainers.tasks import registry, word_vectors
from trainers.tasks.word_vectors import TASK

TOPICS = [
    ["bread", "butter", "cheese", "milk", "soup", "salt"],
    ["wheel", "engine", "brake", "road", "tyre", "lamp"],
]
TINY = {
    "word_vectors": {"row_length": 16, "subsample": 0.0, "negatives": 8, "min_count": 1},
    "cooccurrence": {"window": 4, "min_count": 1},
}


def texts() -> list[str]:
    """Each of words of one topic, among words of both."""
    random = np.random.default_rng(0)
    return [" ".join(["the", *random.choice(TOPICS[i % 2], 6), "and"]) for i in range(240)]


def test_loss_and_metrics_are_weighted_means_of_all_logits():
    random = np.random.default_rng(1)
    logits = random.normal(-1.0, 1.0, (3, 4, 5)).astype(np.float32)
    y = np.broadcast_to(np.array([1, 1, 0, 0, 0], np.float32), logits.shape)
    weight = random.integers(0, 3, logits.shape).astype(np.float32)
    prepared = prepared_of("word_vectors", ["a b"], min_count=1, negatives_per_pair=4.0)
    losses = np.log1p(np.exp(np.where(y > 0, -logits, logits)))
    np.testing.assert_allclose(TASK.loss(prepared)(y, logits), losses, rtol=1e-5)
    even = np.where(y > 0, weight, weight / 4)  # pairs and negatives are then as frequent
    right = (logits > -np.log(4)) == (y > 0)
    expected = {
        "loss": (losses * weight).sum() / weight.sum(),
        "accuracy": (right * even).sum() / even.sum(),
    }
    [metric] = TASK.metrics(prepared)
    for part in (slice(0, 1), slice(1, 3)):
        metric.update_state(y[part], logits[part], sample_weight=weight[part])
    assert float(metric.result()) == pytest.approx(expected["accuracy"], rel=1e-5)
    kept = {
        name: value.sum(axis=(1, 2))
        for name, value in {
            "losses": losses * weight,
            "weight": weight,
            "right": right * even,
            "even": even,
        }.items()
    }
    again = statistics.metrics(word_vectors.measured(kept, None))
    assert again == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", ["word_vectors", "cooccurrence"])
def test_data_that_is_no_text_is_refused(task):
    made = made_pipeline("binary")
    with pytest.raises(
        UsageError, match=rf"task {task} takes texts; made has the input forms pair"
    ):
        registry.over(task, made.pipeline, made.schema, {})


def test_models_are_for_their_own_task():
    with pytest.raises(UsageError, match="word2vec is for word_vectors, not for task cooccurrence"):
        tiny_settings("word2vec", "", task="cooccurrence")
    for options, words_ in (({"window": 0}, "window.*1"), ({"windows": 3}, "'windows'.*window")):
        with pytest.raises(UsageError, match=words_):
            tiny_settings("word2vec", "", task_options=options)


@pytest.fixture(scope="module", params=["word2vec", "glove"], name="run")
def _run(request, tmp_path_factory):
    """A finished run over texts of two topics."""
    folder = tmp_path_factory.mktemp(request.param)
    lines = [f"{'ab'[i % 2]}\t{text} {i}" for i, text in enumerate(texts())]
    (folder / "texts.tsv").write_text("\n".join(lines), encoding="utf-8")
    task = {"word2vec": "word_vectors", "glove": "cooccurrence"}[request.param]
    sizes = {"word2vec": {"epochs": 4, "batch_size": 16}, "glove": {"epochs": 40, "batch_size": 32}}
    with pytest.MonkeyPatch.context() as patch:
        unchecked_exports(patch)
        report = train(
            request.param,
            pipeline="text_lines",
            data_files=str(folder / "texts.tsv"),
            task_options=TINY[task],
            hparams={"width": 16},
            workdir=str(folder / "run"),
            **sizes[request.param],
        )
    return folder / "run", report


def test_words_of_a_topic_are_nearest_to_each_other(run):
    folder, report = run
    past = finished(folder)
    known, vectors = registry.get(report["task"]).vectors(past.prepared, past.weights)
    asked = [word for topic in TOPICS for word in topic]
    of_topics = vectors[[known.index(word) for word in asked]]
    nearest, _ = evaluation.nearest(of_topics, np.arange(12), 5)
    for i, row in enumerate(nearest):
        assert {asked[j] for j in row} | {asked[i]} == set(TOPICS[i // 6])


def test_report_and_folder_have_the_vectors(run):
    folder, report = run
    low, high = report["intervals"]["test"]["loss"]
    assert low < report["test"]["loss"] < high
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Neighbours" in page
    assert "bread" in page
    first, *lines = (folder / "vectors.txt").read_text(encoding="utf-8").splitlines()
    assert first == f"{len(lines)} 16"
    assert (folder / "tensorboard" / "train" / "projector_config.pbtxt").is_file()


def test_export_embeds_words_and_tells_their_neighbours(run):
    folder, report = run
    exported = folder / report["export"]
    asked = tf.constant(["Bread", "bread soup", "zebra", "engine"])
    served = tf.saved_model.load(str(exported)).signatures
    answers = served["serving_default"](word=asked)
    assert answers["known"].numpy().tolist() == [True, False, False, True]
    past = finished(folder)
    known, vectors = registry.get(report["task"]).vectors(past.prepared, past.weights)
    expected = np.stack(
        [vectors[known.index("bread")], np.zeros(16), np.zeros(16), vectors[known.index("engine")]]
    )
    np.testing.assert_allclose(answers["vector"], expected, rtol=1e-6)
    np.testing.assert_array_equal(served["embed"](word=asked)["vector"], answers["vector"])
    near = served["neighbours"](word=asked)
    index, cosine = evaluation.nearest(vectors, np.array([known.index("engine")]), 10)
    assert [word.decode() for word in near["words"][3].numpy()] == [known[i] for i in index[0]]
    np.testing.assert_allclose(near["cosine"][3], cosine[0], rtol=1e-4)
    assert set(near["words"][2].numpy().tolist()) == {b""}
    request = exported / "assets.extra" / "request.json"
    [instance] = json.loads(request.read_text())["instances"]
    assert instance["word"] in known
    [answer] = predict.predict(exported, [request])
    assert len(answer["vector"]) == 16
