"""What a pipeline fitted, stored in `pipeline/state.npz` of its run as `<part>/<name>`."""

import pathlib

import numpy as np

from pipelines.core.pipeline import State
from trainers.errors import ArtefactError
from trainers.store import arrays, files

# Names of the earlier format, which had no parts.
_EARLIER_TARGET = {"target_mean": "mean", "target_deviation": "std"}
_EARLIER_INPUTS = {"deviation": "std"}


def save(folder: pathlib.Path, state: State) -> None:
    """Stores the state in a run's folder, whole or not at all; an empty state has no file.

    Call it before run.json is written: only run.json says that the state is this run's.
    """
    if not state:
        _path(folder).unlink(missing_ok=True)
        return
    (folder / "pipeline").mkdir(exist_ok=True)
    arrays.write(_path(folder), flat(state))


def load(folder: pathlib.Path, default_form: str) -> State | None:
    """The state that a run stored; None: it has stored none yet.

    Args:
        default_form: the pipeline's; a state of the earlier format is read as this form's.

    Raises:
        ArtefactError: the file is damaged, or holds something else.
    """
    path = _path(folder)
    if not path.exists():
        return None
    try:
        return _nested(arrays.read(path), default_form)
    except (ValueError, OSError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error


def fingerprint(state: State) -> str:
    """A short hash of all that was fitted."""
    return files.fingerprint(flat(state))


def flat(state: State) -> dict[str, np.ndarray]:
    """Every array of the state by `<part>/<name>`: `inputs/pieces/vocabulary`, `target/mean`."""
    return {f"{part}/{name}": array for part, held in state.items() for name, array in held.items()}


def _nested(stored: dict[str, np.ndarray], default_form: str) -> State:
    state: dict[str, dict[str, np.ndarray]] = {}
    for key, array in stored.items():
        part, _, name = key.rpartition("/")
        if key in _EARLIER_TARGET:
            part, name = "target", _EARLIER_TARGET[key]
        elif not part:
            part, name = f"inputs/{default_form}", _EARLIER_INPUTS.get(key, key)
        if part != "target" and not part.startswith("inputs/"):
            raise ValueError(f"{key!r} is not a part of a state")
        state.setdefault(part, {})[name] = array
    return state


def _path(folder: pathlib.Path) -> pathlib.Path:
    return folder / "pipeline" / "state.npz"
