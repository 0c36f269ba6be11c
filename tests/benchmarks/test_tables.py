"""The figures in README.md, BUILD_NOTES.md and recipes are those of benchmarks/results.jsonl."""

import importlib.util
import pathlib
import re
import shutil
import statistics

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = sorted(ROOT.glob("trainers/recipes/*.flags"))


def _module():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = _module()
RESULTS = tables.load()


@pytest.fixture(name="copy")
def _copy(tmp_path):
    """The files that show results, and the results, where a test may change them."""
    for path in (*tables.rendered(), ROOT / "benchmarks" / "results.jsonl"):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def _stale(root: pathlib.Path) -> list[str]:
    rendered = tables.rendered(root).items()
    return [path.name for path, text in rendered if path.read_text(encoding="utf-8") != text]


def test_tables_equal_the_results():
    assert _stale(ROOT) == [], "run: python benchmarks/tables.py"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("README.md", "0.8930 ± 0.0010", "0.8940 ± 0.0010"),
        ("BUILD_NOTES.md", "0.8772 ± 0.0027", "0.8772 ± 0.0020"),
        ("trainers/recipes/shapes.flags", "0.9425 +- 0.0026", "0.9452 +- 0.0026"),
    ],
)
def test_tables_find_a_changed_figure(copy, name, before, after):
    path = copy / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    assert _stale(copy) == [path.name]


def test_blocks_all_stand_in_a_page():
    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in tables.PAGES)
    opened = re.findall(r"<!-- results:(\w+) -->", pages)
    assert set(opened) == set(tables.BLOCKS)
    assert pages.count("<!-- end -->") == len(opened)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_head_has_one_line_of_results_and_no_other_figure(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    measured = [line for line in comments if line.startswith("# Test accuracy")]
    result = RESULTS.get(path.stem)
    assert measured == ([tables.head(result)] if result else [])
    others = "\n".join(line for line in comments if line not in measured)
    assert not re.search(r"\d\.\d{2}|\d s\b", others)


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_result_says_what_was_measured_and_how(result):
    for key in ("id", "model", "data", "command", "metric", "machine"):
        assert isinstance(result[key], str)
        assert result[key]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    assert result["mean"] > 0
    assert result["n"] >= 1
    assert result["std"] is None or result["n"] > 1
    assert result["command"].startswith("python ")
    assert not re.search(r"(?:^|[\s=])[/~.]", result["command"])  # a path of one machine alone


@pytest.mark.parametrize(
    "result", [r for r in RESULTS.values() if "values" in r], ids=lambda r: r["id"]
)
def test_result_mean_and_std_are_those_of_its_runs(result):
    values = result["values"]
    assert len(values) == result["n"]
    digits = 4 if result["metric"] == "test accuracy" else 2
    assert result["mean"] == round(statistics.mean(values), digits)
    assert result["std"] == round(statistics.stdev(values), digits)


def test_measured_and_seconds_by_hand():
    assert tables.measured({"mean": 0.8125, "std": 0.00081}) == "0.8125 ± 0.0008"
    assert tables.measured({"mean": 0.9126, "std": None}) == "0.9126"
    assert tables.seconds({"low": 731, "high": 892}) == "731 to 892"
    assert tables.seconds({"mean": 81.4, "std": 2.1}) == "81 ± 2"
    assert tables.seconds({"mean": 4927}) == "4,927"
    assert tables.ratio({"median": 1.86, "low": 1.584, "high": 1.9}) == "1.86 (1.58 to 1.90)"
    assert tables.table("a|b", [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_load_refuses_an_id_twice(copy):
    path = copy / "benchmarks" / "results.jsonl"
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="two lines"):
        tables.load(copy)
