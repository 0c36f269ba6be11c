"""report.html: what stands on it, for every task, and what it never does."""

import re

import numpy as np
import pytest

from tests.conftest import made_pipeline
from tests.trainers.reports.past import Page, past_run
from trainers.reports import html, page, write
from zoo.spec import Field

HOSTILE = "<script>alert('&\"')</script>"
TASKS = ("binary", "classification", "multi_label", "regression")


def written(folder, prepared, **changes) -> tuple[Page, dict]:
    report = write.write(past_run(folder, prepared, **changes))
    return Page((folder / "report.html").read_text(encoding="utf-8")), report


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_page(task, tmp_path):
    found, content = written(tmp_path, made_pipeline(task))
    for name, value in content["test"].items():
        assert name.replace("_", " ") in found.words
        low, high = content["intervals"]["test"][name]
        assert low <= value <= high
        assert html.number(value) in found.text
    assert set(content["baseline"]) == {"constant"}
    assert "No trained baseline: --report_baseline=false" in found.words
    assert content["baseline"]["constant"]["meaning"] in found.words
    for section in ("Training", "Metrics", "Recipe", "Reproduce", "made:1.0.0", "1 234 567"):
        assert section in found.words
    for text in ("train: 0.5 at 2", "validation: 0.75 at 1", "validation: 0.625 at 3"):
        assert text in found.text
    own = {
        "classification": ("Confusion", "Classes", "Calibration", "confident mistakes"),
        "binary": ("Confusion", "Classes", "ROC", "Calibration", "confident mistakes"),
        "multi_label": ("Labels", "Calibration", "confident mistakes"),
        "regression": ("Errors", "Largest errors"),
    }
    for title in own[task]:
        assert title in found.words


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"accuracy": [0.01, 0.05]}, ""),
        ({"accuracy": [-0.01, 0.05]}, "The model does not beat the n-gram model in accuracy"),
        ({"accuracy": [-0.03, -0.01]}, "The model is worse than the n-gram model in accuracy"),
        ({}, ""),
    ],
)
def test_a_baseline_that_is_not_beaten_is_named(difference, said):
    first = {"name": "n-gram model", "difference": difference}
    constant = {"name": "most frequent class", "difference": {"accuracy": [-1, 1]}}
    found = page.not_beaten("binary", {"baseline": {"text_ngram": first, "constant": constant}})
    assert found == (f"{said} on these test rows." if said else "")
    assert page.not_beaten("binary", {"baseline": {}}) == ""


def test_the_page_loads_and_runs_nothing(tmp_path):
    found, _ = written(tmp_path, made_pipeline("binary"))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(found.tags)
    for tag, name, value in found.attributes:
        assert name not in ("href", "srcset", "action"), tag
        assert not name.startswith("on"), tag
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("http:", "https:", "url(", "@import"):
        assert part not in text
    assert ("meta", "content", page._POLICY) in found.attributes


@pytest.mark.parametrize("task", TASKS)
def test_what_users_write_is_shown_and_never_obeyed(task, tmp_path):
    folder = tmp_path / "<b>bold"
    folder.mkdir()
    prepared = made_pipeline(task, names=(HOSTILE, "b", "c"))
    texts = np.array([HOSTILE.encode(), b"\xff is not UTF-8"] * 30, object)
    prepared.rows["test"].table["x"] = texts
    schema = prepared.schema._replace(raw={"x": Field((), "string")})
    prepared = prepared.replace(schema=schema, source=HOSTILE)
    found, _ = written(folder, prepared, hparams={"hidden": (1, 2)}, data_dir="a<i>b")
    assert not {"script", "b>bold", "i"} & set(found.tags)
    assert found.words.count(HOSTILE) >= 5
    assert "<b>bold" in found.words
    assert "a<i>b" in found.words
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_the_moment_of_the_export_is_written_for_people():
    assert page.utc("2026-11-29T17:28+00:00") == "2026-11-29 17:28 UTC"


def test_the_exported_epoch_is_marked(tmp_path):
    positions = {}
    for keep in ("last", "best"):
        (tmp_path / keep).mkdir()
        written(tmp_path / keep, made_pipeline("binary"), keep=keep)
        text = (tmp_path / keep / "report.html").read_text(encoding="utf-8")
        positions[keep] = float(re.search(r'class="mark" x1="([\d.]+)"', text)[1])
        dots = re.findall(r'class="dot s1" cx="([\d.]+)"', text)[:3]
    assert positions["last"] == float(dots[2])
    assert positions["best"] == float(dots[1])  # the loss of 0.5


def test_a_run_without_a_finished_epoch_has_a_page(tmp_path):
    past = past_run(tmp_path, made_pipeline("binary"))
    (tmp_path / "metrics.jsonl").unlink()
    write.write(past)
    assert "metrics.jsonl has no completed epoch" in (tmp_path / "report.html").read_text()


def test_the_mean_of_both_logits_is_offered_beside_the_model():
    both = {"test": {"accuracy": 0.925}, "difference": {"accuracy": [0.004, 0.011]}}
    first = {"name": "n-gram model", "difference": {}, "both": both}
    assert page.both("binary", {"baseline": {"text_ngram": first}}) == (
        "Averaging the model's logits with those of the n-gram model gives a test accuracy of "
        "0.9250: +0.0040 to +0.0110 compared with the model alone."
    )
    assert page.both("binary", {"baseline": {}}) == ""
    assert page.both("binary", {"baseline": {"linear": {"name": "linear model"}}}) == ""


def test_the_mark_is_at_the_step_that_was_exported_whatever_the_log_says(tmp_path):
    past = past_run(tmp_path, made_pipeline("binary"), keep="best")
    past.report["steps"] = {"last": 3, "best": 3}  # epoch 2 has the lowest loss of the log
    write.write(past)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    mark = re.search(r'class="mark" x1="([\d.]+)"', text)[1]
    assert mark == re.findall(r'class="dot s1" cx="([\d.]+)"', text)[2]


def test_the_area_under_the_curve_of_one_class_is_undefined(tmp_path):
    past = past_run(tmp_path, made_pipeline("binary"))
    kept = past.predictions["test"]
    kept["target"] = np.ones_like(kept["target"])
    past.report["test"]["auc"] = 0.0  # as the metric says
    write.write(past)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">auc</th><td>undefined</td>' in text
