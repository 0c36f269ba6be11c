"""How a run was made stands on its page, and the command repeats it."""

import re
import shlex

from tests.conftest import made_pipeline
from tests.trainers.reports.past import Page, past_run
from trainers.config import flags
from trainers.config.settings import resolve
from trainers.reports import recipe


def test_what_differs_from_the_model_s_own_recipe_is_marked():
    body = recipe.recipe(resolve("mlp_binary", {"l2": 0.5, "hparams": {"hidden": (1, 2)}}))
    found = Page(body)
    assert "0.5 instead of 0.02" in found.words
    assert "(1, 2) instead of (64, 64)" in found.words
    assert found.tags.count("mark") == 2


def test_the_command_repeats_the_settings(tmp_path):
    past = past_run(tmp_path, made_pipeline("binary"), l2=0.5, seed=3)
    found = Page(recipe.reproduce(past, past.report))
    [command] = [text for text in found.text if text.startswith("python -m trainers.run")]
    parsed = flags.parse(["run", *shlex.split(re.sub(r"\\\n", "", command))[3:]])
    assert parsed.recipe.l2 == 0.5
    assert parsed.recipe.seed == 3
    assert parsed.recipe.precision == "float32"  # the one it had, not "auto" once more
    assert parsed.workdir == f"{tmp_path}-again"
    assert past.facts["data"]["fingerprint"] in found.words


def test_a_long_flag_stays_whole_in_the_command(tmp_path):
    past = past_run(tmp_path, made_pipeline("binary"), data_dir="x/" * 300)
    found = Page(recipe.reproduce(past, past.report))
    [command] = [text for text in found.text if text.startswith("python -m trainers.run")]
    parsed = flags.parse(["run", *shlex.split(re.sub(r"\\\n", "", command))[3:]])
    assert parsed.data_dir == "x/" * 300


def test_what_is_switched_off_is_marked():
    page = Page(recipe.recipe(resolve("mlp_binary", {"report_baseline": False})))
    assert "False instead of True" in page.words
