"""What the data-set files say of themselves, read without importing them."""

import pathlib

import pytest

import pipelines
from pipelines.core import registry
from tests.conftest import ROOT, run_python

FILE = '''"""Numbers: as many as wanted.

More on them.
"""

import module_that_is_not_there

LIMITS = {"many": (1, None)}


def pipeline(*, where: str, many: int = 3, seed: int = 0):
    """Rows."""
'''


def test_names_are_the_files_with_a_pipeline():
    files = {path.stem for path in pathlib.Path(ROOT, "pipelines").glob("*.py")}
    assert set(registry.names()) == files - {"__init__", "fetch"}
    assert registry.names() == sorted(registry.names())


def test_listing_reads_a_file_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "numbers.py").write_text(FILE)
    (tmp_path / "helper.py").write_text('"""No data set."""\n')
    monkeypatch.setattr(registry, "_FOLDER", tmp_path)
    registry.listing.cache_clear()
    try:
        assert registry.names() == ["numbers"]
        assert registry.describe("numbers") == registry.Listing(
            summary="Numbers: as many as wanted.",
            options={"many": 3, "seed": 0},
            required=("where",),
            limits={"many": (1, None)},
        )
    finally:
        registry.listing.cache_clear()


def test_listing_takes_shared_options_from_their_file(tmp_path, monkeypatch):
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "noisy.py").write_text(
        'LIMITS = {"noise": (0, 9)}\nCHOICES = {"kind": ("a", "b")}\n\n'
        'def noisy(pipeline, *, noise=1, kind="a"):\n    """Adds noise."""\n'
    )
    text = FILE.replace("seed: int = 0", "seed: int = 0, **shared")
    (tmp_path / "numbers.py").write_text(f'{text}\n\nSHARED = "steps/noisy.py"\n')
    monkeypatch.setattr(registry, "_FOLDER", tmp_path)
    registry.listing.cache_clear()
    try:
        described = registry.describe("numbers")
    finally:
        registry.listing.cache_clear()
    assert described.options == {"many": 3, "seed": 0, "noise": 1, "kind": "a"}
    assert described.required == ("where",)
    assert described.limits == {"many": (1, None), "noise": (0, 9)}
    assert described.choices == {"kind": ("a", "b")}


def test_describe_imports_neither_the_file_nor_tensorflow():
    probe = "import sys, pipelines; pipelines.describe('csv'); print('tensorflow' in sys.modules)"
    assert run_python("-c", probe).stdout.strip() == "False"


def test_get_hands_options_on_and_keeps_them_all():
    pipeline = pipelines.get("cifar10", cutout=8, erase=0.5)
    own = {
        "augment": True,
        "padding": 4,
        "alternating_flip": False,
        "cutout": 8,
        "validation": 0.1,
        "labels": 0,
    }
    assert own.items() < pipeline.options.items()
    shared = {"policy", "resized_crop", "jitter", "erase", "mix", "mix_alpha", "augment_until"}
    assert pipeline.options.keys() == own.keys() | shared
    assert pipeline.options["erase"] == 0.5


def test_get_of_an_unknown_name_says_the_nearest():
    with pytest.raises(ValueError, match="unknown pipeline 'cifar-10'; nearest: cifar10"):
        pipelines.get("cifar-10")
    with pytest.raises(ValueError, match=r"nearest: .*breast_cancer, .*imdb, .*tfds_text"):
        pipelines.describe("qqqqqqqq")


def test_accepted_takes_numbers_as_text_where_the_default_is_one():
    assert registry.accepted(-999, "") == "-999"
    assert registry.accepted(0.5, "") == "0.5"
    assert registry.accepted(True, "") is True
    assert registry.accepted(3, 0) == 3
    assert registry.accepted((0, 1), "") == "0,1"  # ignore=0,1: columns that pandas has named
    assert registry.accepted((0, "b"), "") == "0,b"
    assert registry.accepted((0, 1), (2,)) == (0, 1)
    assert registry.accepted((None,), "") == (None,)
    assert registry.accepted((), "") == ()
