"""A pipeline's fitted state on disk: parts come back, the earlier format is read as parts."""

import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import arrays, state

STATE = {
    "inputs/pieces": {"vocabulary": np.array([b"a", b"b"]), "vocab_size": np.int64(2)},
    "target": {"mean": np.float64(3.5), "std": np.float64(2.0)},
}


def same(one, two) -> bool:
    one, two = state.flat(one), state.flat(two)
    return one.keys() == two.keys() and all((one[key] == two[key]).all() for key in one)


def test_state_comes_back_in_its_parts(tmp_path):
    state.save(tmp_path, STATE)
    again = state.load(tmp_path, "other")
    assert again.keys() == STATE.keys()
    assert same(again, STATE)
    with np.load(tmp_path / "pipeline" / "state.npz") as file:
        assert sorted(file.files) == [
            *("inputs/pieces/vocab_size", "inputs/pieces/vocabulary", "target/mean", "target/std")
        ]


def test_state_of_the_earlier_format_is_the_default_forms(tmp_path):
    (tmp_path / "pipeline").mkdir()
    flat = {"vocabulary": np.array([b"a"]), "target_mean": np.float32(3)}
    arrays.write(tmp_path / "pipeline" / "state.npz", {**flat, "target_deviation": np.float32(2)})
    expected = {
        "inputs/pieces": {"vocabulary": flat["vocabulary"]},
        "target": {"mean": np.float32(3), "std": np.float32(2)},
    }
    assert same(state.load(tmp_path, "pieces"), expected)


def test_no_state_is_none(tmp_path):
    assert state.load(tmp_path, "pieces") is None


def test_a_part_that_no_pipeline_has_is_refused(tmp_path):
    state.save(tmp_path, {"weights": {"a": np.zeros(1)}})
    with pytest.raises(ArtefactError, match="not a part"):
        state.load(tmp_path, "pieces")


def test_an_empty_state_is_no_file(tmp_path):
    state.save(tmp_path, {})
    state.save(tmp_path, STATE)
    state.save(tmp_path, {})  # takes away that of a run which fitted something
    assert state.load(tmp_path, "pieces") is None


def test_fingerprint_covers_parts_names_and_values(tmp_path):
    state.save(tmp_path, STATE)
    assert state.fingerprint(state.load(tmp_path, "other")) == state.fingerprint(STATE)
    others = [{}, {"target": STATE["target"]}, {**STATE, "target": {"mean": np.float64(3.5)}}]
    others.append({**STATE, "target": {**STATE["target"], "std": np.float64(2.5)}})
    assert len({state.fingerprint(one) for one in (STATE, *others)}) == 5
