"""Runs of several seeds: their settings, and the spread of what they report, by hand."""

import pytest

from trainers.errors import UsageError
from trainers.studies import repeat


def test_spread_by_hand():
    figures = repeat.spread([1.0, 2.0, 6.0])
    assert figures["n"] == 3
    assert figures["mean"] == 3.0
    assert figures["std"] == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert (figures["min"], figures["max"]) == (1.0, 6.0)
    # 4.30265 is the 97.5 % point of Student's t with two degrees of freedom, as in any table.
    reach = 4.30265 * 7**0.5 / 3**0.5
    assert figures["low"] == pytest.approx(3 - reach, abs=1e-4)
    assert figures["high"] == pytest.approx(3 + reach, abs=1e-4)


def test_spread_of_one_value_has_no_interval():
    figures = repeat.spread([0.5])
    assert figures["mean"] == 0.5
    assert figures["std"] is figures["low"] is figures["high"] is None


def test_spread_of_equal_values_is_zero():
    figures = repeat.spread([0.5, 0.5, 0.5])
    assert (figures["std"], figures["low"], figures["high"]) == (0.0, 0.5, 0.5)


def test_spread_of_values_that_are_not_finite_has_no_interval():
    figures = repeat.spread([0.5, float("inf")])
    assert figures["mean"] == float("inf")
    assert figures["std"] is figures["low"] is None


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("3,7,9", [3, 7, 9]), ("4,", [4])]
)
def test_parse_seeds_takes_a_number_or_a_list(text, seeds):
    assert repeat.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "", ",", "1.5", "2,2", "1, 2", "20240131", "9" * 5000]
)
def test_parse_seeds_refuses_anything_else(text):
    with pytest.raises(UsageError, match="--seeds"):
        repeat.parse_seeds(text)


def test_plan_gives_every_seed_a_folder_and_the_common_file_lies_beside_them():
    runs = repeat.plan([3, 7], ["--model=mlp_binary"])
    assert [str(run.run_dir) for run in runs] == [
        "runs/mlp_binary-breast_cancer-s3",
        "runs/mlp_binary-breast_cancer-s7",
    ]
    common = repeat.common_path(runs[0], "repeat.json")
    assert str(common) == "runs/mlp_binary-breast_cancer-repeat.json"
    runs = repeat.plan([3, 7], ["--model=mlp_binary", "--workdir=all/of them"])
    assert [str(run.run_dir) for run in runs] == ["all/of them/seed-3", "all/of them/seed-7"]
    assert str(repeat.common_path(runs[0], "repeat.json")) == "all/of them/repeat.json"


def test_summary_and_table_leave_out_what_failed(tmp_path):
    settings = repeat.plan([0, 1, 2], ["--model=mlp_binary"])[0]
    figures = {"dataset": "d:1", "parameters": 7, "seconds": {"fit": 1.0}}
    reports = [
        {**figures, "test": {"accuracy": value}, "validation": {"accuracy": 0.5}}
        for value in (0.9, 0.92)
    ]
    outcomes = [
        repeat.Outcome(0, tmp_path, 0, reports[0], "done"),
        repeat.Outcome(1, tmp_path, 3, None, "error: the data is damaged"),
        repeat.Outcome(2, tmp_path, 0, reports[1], "done"),
    ]
    result = repeat.summary(settings, ["--model=mlp_binary"], outcomes)
    assert result["seeds"] == [0, 2]
    assert result["failed"] == [
        {"seed": 1, "exit_code": 3, "message": "error: the data is damaged"}
    ]
    assert result["statistics"]["test"]["accuracy"]["values"] == [0.9, 0.92]
    rows = [line.split() for line in repeat.statistics_table(result["statistics"])]
    # The sample standard deviation of 0.90 and 0.92 is 0.02 / sqrt(2).
    assert rows[1][:7] == ["test", "accuracy", "2", "0.9100", "0.0141", "0.9000", "0.9200"]


def test_plan_checks_a_run_in_its_own_folder(tmp_path):
    for name in ("seed-0", "seed-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text('{"settings": {"model": "mlp"}}')
    words = ["--pipeline=breast_cancer", f"--workdir={tmp_path}"]
    runs = repeat.plan([0, 1], ["--model=auto", *words])
    assert [run.model for run in runs] == ["mlp", "mlp"]  # as the runs themselves will be
    # What they began with is not needed again.
    assert repeat.plan([0, 1], ["--model=mlp", *words, f"--init_from={tmp_path / 'gone'}"])
    with pytest.raises(UsageError, match="it does not exist"):
        repeat.plan([0, 2], ["--model=mlp", *words, f"--init_from={tmp_path / 'gone'}"])


def test_plan_refuses_a_folder_that_is_not_on_this_disk():
    with pytest.raises(UsageError, match="local disk"):
        repeat.plan([0, 1], ["--model=mlp_binary", "--workdir=s3://bucket/run"])


def test_plan_refuses_a_last_flag_without_its_value():
    with pytest.raises(UsageError, match="workdir"):
        repeat.plan([0, 1], ["--model=mlp", "--workdir"])


def test_summary_takes_reports_that_lack_a_number_of_others(tmp_path):
    settings = repeat.plan([0, 1], ["--model=mlp_binary"])[0]
    figures = {"dataset": "d:1", "parameters": 7, "test": {"loss": 1.0}, "validation": {}}
    outcomes = [
        repeat.Outcome(seed, tmp_path, 0, {**figures, "seconds": seconds}, "done")
        for seed, seconds in enumerate([{"fit": 1.0, "saving": 0.5}, {"fit": 3.0, "total": 4.0}])
    ]
    found = repeat.summary(settings, [], outcomes)["statistics"]["seconds"]
    assert {name: figures["values"] for name, figures in found.items()} == {
        "fit": [1.0, 3.0],
        "saving": [0.5],
        "total": [4.0],
    }
