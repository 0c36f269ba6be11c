"""The code on the pages of docs/: it is that of tested files, or it runs."""

import importlib
import pathlib
import re
import sys

import numpy as np
import pytest

from pipelines import MissingDataError
from pipelines.core.prepared import prepare, served
from pipelines.core.stream import stream
from pipelines.storage import tfds
from tests.conftest import ROOT, fake_load
from trainers.tasks import registry as tasks
from zoo import registry
from zoo.spec import DataSpec, Field

DOCS = pathlib.Path(ROOT, "docs")
STRANGERS = pathlib.Path(ROOT, "tests", "conformance", "strangers", "trainers")


def python_blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def first_python_block(page: str) -> str:
    return python_blocks(page)[0]


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Imports the code of a page as a module of that name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_MODELS", {})

    def load(page: str, name: str, block: int = 0):
        (tmp_path / f"{name}.py").write_text(python_blocks(page)[block], encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize(
    ("page", "file"),
    [("a_new_task.md", "tasks/denoise.py"), ("a_new_way.md", "ways/shrink.py")],
)
def test_page_shows_the_file_that_test_stranger_runs(page, file):
    assert first_python_block(page) == (STRANGERS / file).read_text(encoding="utf-8")


def test_a_new_model_registers_and_builds(imported):
    module = imported("a_new_model.md", "one_layer")
    [(name, listing)] = registry.read(pathlib.Path(module.__file__))
    assert (name, listing.summary) == (
        "one_layer",
        "One hidden layer over the features of a table.",
    )
    entry = registry._MODELS["one_layer"]
    spec = DataSpec({"features": Field((30,), "float32")}, "binary", 1)
    assert entry.build(spec).count_params() == listing.parameters == 30 * 32 + 32 + 32 + 1
    logits = entry.build(spec, **entry.tiny)({"features": np.zeros((4, 30), np.float32)})
    assert logits.shape == (4, 1)


def test_a_new_data_set_makes_batches(imported):
    module = imported("a_new_data_set.md", "svhn")
    pipeline, rows, schema = fake_load(module.pipeline(padding=4))
    prepared = prepare(pipeline, schema, rows)
    assert prepared.spec == DataSpec({"image": Field((32, 32, 3), "float32")}, "classification", 10)
    x, y, weight = next(iter(stream(prepared, "train", batch_size=8, training=True, seed=0)))
    assert x["image"].shape == (8, 32, 32, 3)
    assert np.abs(x["image"]).max() <= 1.0
    assert (y.shape, weight.numpy().tolist()) == ((8,), [1.0] * 8)


def test_a_new_data_set_of_one_s_own_files_fits_its_state(imported, tmp_path):
    module = imported("a_new_data_set.md", "spectra", block=1)
    pipeline = module.pipeline(data_files=str(tmp_path / "spectra.npz"))
    with pytest.raises(MissingDataError, match=r"spectra\.npz is not a file"):
        tfds.load(pipeline)
    random = np.random.default_rng(0)
    curve = random.normal(5, 2, (300, 200)).astype(np.float32)
    protein = random.normal(12, 1.5, 300)
    protein[7] = 1200.0  # mistyped
    np.savez(tmp_path / "spectra.npz", curve=curve, protein=protein)
    pipeline, rows, schema = tfds.load(pipeline)
    pipeline, schema = tasks.get("regression").over(pipeline, schema)
    prepared = prepare(pipeline, schema, rows)
    assert prepared.spec == DataSpec({"features": Field((200,), "float32")}, "regression", 1)
    assert sum(part.num_rows for part in prepared.rows.values()) == 300
    train = prepared.rows["train"].table
    state = prepared.state["inputs/vector"]
    np.testing.assert_allclose(state["mean"], train["curve"].mean(axis=0), rtol=1e-5)
    made = np.asarray(prepared.preprocess({"curve": train["curve"]})["features"])
    np.testing.assert_allclose(made.mean(axis=0), np.zeros(200), atol=1e-4)
    np.testing.assert_allclose(made.std(axis=0), np.ones(200), atol=1e-4)
    assert prepared.state["target"]["mean"] == pytest.approx(12, abs=0.3)
    assert prepared.state["target"]["std"] == pytest.approx(1.5, abs=0.3)
    again = served(pipeline, schema, state=prepared.state)
    assert again.state["target"] == prepared.state["target"]


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_of_a_page_lead_to_files(page):
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert all((DOCS / link).exists() for link in links), links
