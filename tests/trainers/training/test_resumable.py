"""What of a run may not change while it is continued, and that a refusal costs nothing."""

import pytest

from tests.conftest import tiny_settings
from trainers.errors import ArtefactError, UsageError
from trainers.training import run

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")

STEPS = 4  # of an epoch of the tiny mlp_binary


def test_a_refused_change_leaves_the_run_as_it_was(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, epochs=2)
    report = run.run(settings)
    before = (tmp_path / "run.json").read_bytes()
    size = settings.recipe.batch_size
    for changes, words in (
        ({"hparams": {**settings.hparams, "hidden": (5,)}}, "is of another model"),
        ({"batch_size": size // 2}, f"has epochs of {STEPS} steps, these settings of"),
    ):
        with pytest.raises(ArtefactError, match=words):
            run.run(
                tiny_settings("mlp_binary", tmp_path, epochs=4, resume_with_changes=True, **changes)
            )
        assert (tmp_path / "run.json").read_bytes() == before
    assert run.run(settings) == report


def test_wrong_class_weights_leave_the_run_as_it_was(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, epochs=1)
    report = run.run(settings)
    before = (tmp_path / "run.json").read_bytes()
    changes = {"epochs": 2, "class_weights": (1.0, 2.0, 3.0), "resume_with_changes": True}
    with pytest.raises(UsageError, match="class_weights: expected 2 numbers, received 3"):
        run.run(tiny_settings("mlp_binary", tmp_path, **changes))
    assert (tmp_path / "run.json").read_bytes() == before
    assert run.run(settings) == report
