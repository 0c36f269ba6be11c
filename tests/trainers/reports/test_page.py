"""report.html: what stands on it, for every task; what it never does; that it may fail."""

import base64
import html.parser
import io
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.storage import tfds as source
from tests.conftest import fake_rows, made_pipeline, replaced, tiny_settings
from trainers import report as again
from trainers.config.settings import METRICS, resolve
from trainers.devices import precision as machine
from trainers.errors import ArtefactError
from trainers.evaluation import baselines, statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.reports import examples, html, page, sections
from trainers.reports import write as report
from trainers.reports import write as report_writer
from trainers.store import run_folder
from trainers.tasks.registry import TASKS
from trainers.training import run
from zoo.spec import Field

HOSTILE = "<script>alert('&\"')</script>"
VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """A page's tags and text; every tag must be closed."""

    def __init__(self, content: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def evaluation(pipeline, split: str, noise: float = 2.0) -> Evaluation:
    """Answers around the truth, as an export would give them."""
    target = pipeline.rows[split].table["label"]
    random = np.random.default_rng(len(split))
    if pipeline.task == "classification":
        truth = 4.0 * np.eye(len(pipeline.class_names))[target]
    elif pipeline.task == "regression":
        truth = target[:, None]
    else:
        truth = 4.0 * target.reshape(len(target), -1) - 2
    logits = (truth + random.normal(0, noise, truth.shape)).astype(np.float32)
    outputs = TASKS[pipeline.task].outputs(tf.constant(logits), pipeline.class_names)
    outputs = {k: v.numpy() for k, v in outputs.items() if v.dtype != tf.string}
    metrics = statistics.metrics(statistics.statistics(pipeline.task, outputs, target))
    return Evaluation(metrics, outputs, target)


def finished(folder, pipeline, **changes):
    """A folder as a run leaves it, without the training; the arguments of `report.write`."""
    (folder / "export" / "mlp_binary" / "1").mkdir(parents=True)
    settings = resolve("mlp_binary", {"workdir": str(folder), "report_baseline": False, **changes})
    facts = {"precision_because": "asked for", "replicas": 1, **machine.describe()}
    run_folder.record(folder, settings, pipeline, "float32", facts)
    metrics = METRICS[pipeline.task]
    with open(folder / "metrics.jsonl", "w") as file:
        for epoch, value in ((1, 0.75), (2, 0.5), (3, 0.625)):
            values = {f"epoch/{name}": value for name in metrics}
            for split in ("train", "validation"):
                line = {"step": epoch, "epoch": epoch, "split": split, **values}
                print(json.dumps(line), file=file)
    evaluations = {split: evaluation(pipeline, split) for split in ("validation", "test")}
    content = {
        "model": "mlp_binary",
        "seed": 0,
        "parameters": 1234567,
        "epochs": 3,
        "precision": "float32",
        "seconds": {"fit": 1.0, "total": 2.0},
        **{split: found.metrics for split, found in evaluations.items()},
        "export": "export/mlp_binary/1",
    }
    return folder, settings, pipeline, content, evaluations


def written(folder, pipeline, **changes) -> tuple[Page, dict]:
    found = report.write(*finished(folder, pipeline, **changes))
    assert found == json.loads((folder / "report.json").read_text())
    return Page((folder / "report.html").read_text(encoding="utf-8")), found


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_its_page(task, tmp_path):
    found, content = written(tmp_path, made_pipeline(task))
    for name, value in content["test"].items():
        assert name.replace("_", " ") in found.words
        low, high = content["intervals"]["test"][name]
        assert low <= value <= high
        assert html.number(value) in found.text
    assert set(content["baseline"]) == {"constant"}
    assert "No linear baseline: --report_baseline=false" in found.words
    assert content["baseline"]["constant"]["meaning"] in found.words
    for section in (
        "Training",
        "Metrics",
        "Recipe",
        "Reproduce",
        "made:1.0.0",
        "1 234 567",
    ):
        assert section in found.words
    for text in ("train: 0.5 at 2", "validation: 0.75 at 1", "validation: 0.625 at 3"):
        assert text in found.text
    own = {
        "classification": ("Confusion", "Classes", "Calibration", "confident mistakes"),
        "binary": ("Confusion", "Classes", "ROC", "Calibration", "confident mistakes"),
        "multi_label": ("Labels", "Calibration", "confident mistakes"),
        "regression": ("Errors", "Largest errors"),
    }
    for words in own[task]:
        assert words in found.words


def test_the_page_loads_and_runs_nothing(tmp_path):
    found, _ = written(tmp_path, made_pipeline("binary"))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(found.tags)
    for tag, name, value in found.attributes:
        assert name not in ("href", "srcset", "action"), tag
        assert not name.startswith("on"), tag
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for word in ("http:", "https:", "url(", "@import"):
        assert word not in text
    assert ("meta", "content", page._POLICY) in found.attributes


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_users_write_is_shown_and_never_obeyed(task, tmp_path):
    folder = tmp_path / "<b>bold"
    folder.mkdir()
    pipeline = made_pipeline(task, names=(HOSTILE, "b", "c"))
    texts = np.array([HOSTILE.encode(), b"\xff is not UTF-8"] * 30, object)
    pipeline.rows["test"].table["x"] = texts
    pipeline = replaced(pipeline, raw={"x": Field((), "string")}, source=HOSTILE)
    found, _ = written(folder, pipeline, hparams={"hidden": (1, 2)}, data_dir="a<i>b")
    assert not {"script", "b>bold", "i"} & set(found.tags)
    assert found.words.count(HOSTILE) >= 5
    assert "<b>bold" in found.words
    assert "a<i>b" in found.words
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_mistakes_are_the_rows_they_claim_to_be():
    pipeline = made_pipeline("classification")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 9, 3), np.uint8)
    pipeline.rows["test"].table["x"] = images
    pipeline = replaced(pipeline, raw={"x": Field((8, 9, 3), "uint8")})
    found = evaluation(pipeline, "test")
    sure = found.outputs["probabilities"].max(axis=1)
    wrong = np.flatnonzero(found.outputs["class"] != found.target)
    first = wrong[sure[wrong].argmax()]
    body = "".join(sections.sections(pipeline, found))
    uri = re.search(r'src="data:image/png;base64,([^"]+)"', body)[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
    np.testing.assert_array_equal(shown, images[first])
    assert body.count("<img ") == min(len(wrong), examples.how_many(pipeline))
    assert f'title="row {first}"' in body


def test_the_exported_epoch_is_marked(tmp_path):
    place = {}
    for keep in ("last", "best"):
        (tmp_path / keep).mkdir()
        written(tmp_path / keep, made_pipeline("binary"), keep=keep)
        text = (tmp_path / keep / "report.html").read_text(encoding="utf-8")
        place[keep] = float(re.search(r'class="mark" x1="([\d.]+)"', text)[1])
        dots = re.findall(r'class="dot s1" cx="([\d.]+)"', text)[:3]
    assert place["last"] == float(dots[2])
    assert place["best"] == float(dots[1])  # the loss of 0.5


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A whole run, baseline included, on random rows; its report."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
        patch.setattr(baselines, "_FEWEST_STEPS", 50)
        settings = tiny_settings("mlp_binary", folder, report_baseline=True, l2=0.5)
        return folder, run.run(settings)


def test_a_run_writes_its_page_with_both_baselines(complete):
    folder, content = complete
    found = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert set(content["baseline"]) == {"linear", "constant"}
    for entry in content["baseline"].values():
        assert set(entry["test"]) == set(content["test"])
        assert f"{entry['name']}, test" in found.text
        assert html.number(entry["test"]["loss"]) in found.text
    assert "0.5 instead of 0.02" in found.words
    facts = json.loads((folder / "run.json").read_text())
    assert facts["data"]["fingerprint"] in found.words
    assert str(folder / content["export"]) in found.words
    assert f"--workdir={folder}-again" in found.words
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "epoch/loss" in line)
    assert f"validation: {last['epoch/loss']:.5g} at 2" in found.text


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_the_page_is_written_again(complete, capsys):
    folder, content = complete
    (folder / "report.html").unlink()
    again.main(["report", f"--workdir={folder}"])
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()
    repeated = json.loads((folder / "report.json").read_text())
    assert {k: v for k, v in repeated.items() if k != "baseline"} == {
        k: v for k, v in content.items() if k != "baseline"
    }
    with pytest.raises(ArtefactError, match="holds no run"):
        report_writer.write_again(folder / "export")


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_a_page_that_cannot_be_drawn_loses_no_run(tmp_path, monkeypatch, capsys):
    def fail(finished):
        raise RuntimeError("no\nink")

    monkeypatch.setattr(page, "draw", fail)
    found = run.run(tiny_settings("mlp_binary", tmp_path))
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no report.html (RuntimeError: no ink)" in error
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert found["test"]
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "report.json").unlink()
    with pytest.raises(ArtefactError, match="is not finished"):
        report_writer.write_again(tmp_path)
