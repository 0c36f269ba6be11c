"""Masked tokens as a task: metrics by hand, and a run that another one continues from."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.stream import stream
from tests.conftest import fake_pipeline, made_pipeline, tiny_settings, unchecked_exports
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.run import train
from trainers.serving import predict
from trainers.store.finished import Finished, finished
from trainers.store.schema import to_json
from trainers.tasks import masked_lm, registry
from trainers.tasks.masked_lm import TASK

TEXTS = "\n".join(f"the {c} cat sat on the {c} mat and {c} dogs ran" for c in "abcdefghij" * 12)


def prepared_of(**options):
    prepared = fake_pipeline("imdb", max_length=32, vocab_size=300)
    pipeline, schema = registry.over("masked_lm", prepared.pipeline, prepared.schema, options)
    return prepared.replace(
        pipeline=pipeline, schema=schema._replace(outputs=schema.outputs(prepared.state))
    )


def test_loss_and_metrics_count_hidden_tokens_alone():
    random = np.random.default_rng(1)
    logits = random.normal(size=(3, 4, 7)).astype(np.float32)
    hidden = random.integers(0, 7, (3, 4)).astype(np.int32)
    hidden[0, 0] = logits[0, 0].argmax()
    weight = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], np.float32)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log, hidden[..., None], -1)[..., 0]
    mean = (losses * weight).sum() / 6
    right = ((logits.argmax(-1) == hidden) * weight).sum() / 6
    np.testing.assert_allclose(TASK.loss(None)(hidden, logits), losses, rtol=1e-5)
    found = {}
    for metric in TASK.metrics(None):
        metric.update_state(hidden, logits, sample_weight=weight)
        found[metric.name] = float(metric.result())
    assert found == pytest.approx({"accuracy": right, "perplexity": np.exp(mean)}, rel=1e-5)
    # The same from what is kept of each row.
    kept = {
        "losses": (losses * weight).sum(1),
        "right": ((logits.argmax(-1) == hidden) * weight).sum(1),
        "hidden": weight.sum(1),
    }
    again = statistics.metrics(masked_lm.measured(kept, None))
    assert again == pytest.approx(
        {"loss": mean, "accuracy": right, "perplexity": np.exp(mean)}, rel=1e-5
    )


@pytest.mark.parametrize("packed", [True, False])
def test_any_text_gives_hidden_tokens_as_targets(packed):
    prepared = prepared_of(packed=packed, mask_rate=0.25)
    x, y, weight = next(iter(stream(prepared, "train", batch_size=4, training=True, seed=0)))
    ids = len(prepared.state["inputs/pieces"]["vocabulary"])
    assert prepared.spec.task == "masked_lm"
    assert prepared.spec.num_outputs == prepared.spec.inputs["tokens"].ids == ids
    assert set(x) == {"tokens", "masked_positions"}
    assert x["masked_positions"].shape == y.shape == weight.shape
    assert (y.numpy()[weight.numpy() > 0] >= 5).all()
    assert (x["tokens"].numpy() == 4).any()  # [MASK]
    if packed:  # every position is a token
        assert x["tokens"].shape == (4, 32)
        assert (x["tokens"].numpy() != 0).all()
        assert y.shape == (4, 8)
    assert prepared.elements == 32
    assert TASK.loss_scale(prepared) == 4.0


def test_data_that_is_no_text_is_refused():
    made = made_pipeline("binary")
    with pytest.raises(UsageError, match=r"masked_lm takes texts; made has the input forms pair"):
        registry.over("masked_lm", made.pipeline, made.schema, {})


def test_unknown_options_and_values_are_refused_at_once():
    for options, words in (
        ({"rate": 0.3}, "option of task masked_lm 'rate'.*mask_rate"),
        ({"mask_rate": 0.95}, "mask_rate.*0.9"),
        ({"packed": 3}, "packed"),
    ):
        with pytest.raises(UsageError, match=words):
            tiny_settings("bert_tiny", "", task="masked_lm", task_options=options)
    with pytest.raises(UsageError, match="option of task binary 'mask_rate'"):
        tiny_settings("mlp_binary", "", task="binary", task_options={"mask_rate": 0.3})


SMALL = {
    "pipeline": "text_lines",
    "hparams": {"width": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 8},
    "epochs": 1,
    "batch_size": 8,
    "precision": "float32",
    "kernels": "keras",
    "report_baseline": False,
}


@pytest.fixture(scope="module", name="pretrained")
def _pretrained(tmp_path_factory):
    """A finished run over lines that have classes, which it does not use."""
    folder = tmp_path_factory.mktemp("pretrained")
    lines = [f"{'early' if line[4] < 'f' else 'late'}\t{line}" for line in TEXTS.split("\n")]
    numbered = "\n".join(f"{line} {i}" for i, line in enumerate(lines))
    (folder / "lines.tsv").write_text(numbered, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        unchecked_exports(patch)
        report = train(
            "bert_tiny",
            task="masked_lm",
            data_files=str(folder / "lines.tsv"),
            pipeline_options={"max_length": 16, "vocab_size": 60},
            workdir=str(folder / "run"),
            **SMALL,
        )
    return folder, report


def test_pretraining_reports_its_metrics_with_intervals(pretrained):
    _, report = pretrained
    assert set(report["test"]) == {"loss", "accuracy", "perplexity"}
    low, high = report["intervals"]["test"]["perplexity"]
    assert 1 < low < report["test"]["perplexity"] < high


@pytest.mark.usefixtures("_unchecked_export")
def test_fine_tuning_adopts_vocabulary_and_weights(pretrained, tmp_path, caplog):
    """The second run is asked for the classes of the texts, and for longer rows."""
    folder, _ = pretrained
    with caplog.at_level("INFO"):
        report = train(
            "bert_tiny",
            init_from=(str(folder / "run"),),
            data_files=str(folder / "lines.tsv"),
            pipeline_options={"max_length": 24},
            workdir=str(tmp_path / "b"),
            **SMALL,
        )
    assert "position_embedding/embeddings extended from 16 to 24 positions" in caplog.text
    assert "new: pooler/kernel, pooler/bias, logits/kernel, logits/bias" in caplog.text
    assert report["task"] == "binary"
    past, tuned = finished(folder / "run"), finished(tmp_path / "b")
    np.testing.assert_array_equal(
        past.state["inputs/pieces"]["vocabulary"], tuned.state["inputs/pieces"]["vocabulary"]
    )


def test_a_finished_run_of_data_without_labels_knows_its_exact_source(tmp_path):
    settings, made = tiny_settings("bert_tiny", tmp_path, task="masked_lm"), prepared_of()
    exact = {"data": {"source": "imdb_reviews/plain_text:1.2.3"}}
    serving = {
        "serving": {"form": "pieces", "schema": json.loads(json.dumps(to_json(made.schema)))}
    }
    past = Finished(
        folder=tmp_path, settings=settings, facts=exact | serving, report={}, keep="last"
    )
    vars(past)["state"] = made.state
    assert past.prepared.source == "imdb_reviews/plain_text:1.2.3"
    assert "unsupervised" in past.prepared.pipeline.splits["train"]


def test_the_export_answers_with_the_mean_of_its_features(pretrained):
    folder, report = pretrained
    exported = folder / "run" / report["export"]
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    texts = tf.constant([b"the a cat sat", b""])
    answers = serve(text=texts)
    assert answers["features"].shape == (2, 8)
    assert answers["num_tokens"].numpy().tolist() == [5, 1]  # with [CLS]
    # One text alone, and beside a longer one: padding counts for nothing.
    alone = serve(text=texts[1:])
    np.testing.assert_allclose(answers["features"][1:], alone["features"], rtol=1e-4, atol=1e-5)
    request = exported / "assets.extra" / "request.json"
    [instance] = json.loads(request.read_text())["instances"]
    assert instance["text"].split()  # a window of the test texts, as text
    [answer] = predict.predict(exported, [request])
    assert len(answer["features"]) == 8


def test_imdb_without_labels_never_takes_what_classifiers_are_tested_on():
    pipeline = registry.source("masked_lm", fake_pipeline("imdb").pipeline)
    assert pipeline.schema.target is None
    splits = " ".join(pipeline.splits.values())
    assert "unsupervised" in splits
    parts = [part for split in pipeline.splits.values() for part in split.split("+")]
    assert {part.partition("[")[0] for part in parts} == {"train", "unsupervised"}
    assert [part for part in parts if part.startswith("train")] == ["train[:90%]"]
    assert pipeline.options["max_length"] == 400
    assert registry.source("binary", fake_pipeline("imdb").pipeline).schema.target is not None


def test_a_token_weighs_the_same_beside_short_and_long_texts():
    """One hidden token of a narrow batch is right, four of a wide one are wrong."""
    for metric, wanted in zip(TASK.metrics(None), (1 / 5, np.exp(4 / 5 * 10)), strict=True):
        for width, said in ((1, 1), (4, 2)):
            y = np.ones((1, width), np.int32)
            logits = 10 * np.eye(3, dtype=np.float32)[np.full(y.shape, said)]
            metric.update_state(y, logits, sample_weight=np.ones(y.shape, np.float32))
        assert float(metric.result()) == pytest.approx(wanted, rel=1e-3)  # Keras: 1 / 2
