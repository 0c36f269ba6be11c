"""What a run records in its folder, and the checks before it is continued."""

import contextlib
import dataclasses
import hashlib
import logging
import pathlib
import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from trainers.config import sizes
from trainers.config.fields import as_json
from trainers.config.settings import FIELDS, Settings, recorded_identity, resolve
from trainers.errors import ArtefactError, UsageError
from trainers.store import files, schema, sealed, untrusted
from trainers.store import state as state_file

if TYPE_CHECKING:  # at run time it would import TensorFlow in commands that only refuse
    from pipelines.core.pipeline import State
    from pipelines.core.prepared import Prepared

FORMAT = 2  # of run.json; 1: no `format`, no `serving`, a fitted state without parts
_LOG = logging.getLogger(__name__)
_MARKER = "run.json"
_RECORDED = {  # what every run.json has
    **dict.fromkeys(("identity", "settings", "data"), dict),
    **dict.fromkeys(("run", "precision"), str),
    "starts": list,
}


class Run(NamedTuple):
    """A run whose folder this process holds."""

    folder: pathlib.Path
    number: str  # drawn at its first start, carried by its checkpoints
    settings: Settings
    prepared: "Prepared"
    facts: Mapping[str, Any]  # what run.json holds


def is_begun(folder: pathlib.Path) -> bool:
    """Whether the folder has a recorded run with results that could be lost.

    A record alone, of a run that was refused or killed before its first checkpoint, does not count:
    the next run in the folder begins anew, with any settings and data, and replaces it.
    """
    # The first pattern also matches checkpoints that are being replaced, or were damaged.
    left = ("checkpoints/*step-*", "report.json", "weights*.npz", "export", "baselines")
    return (folder / _MARKER).exists() and any(any(folder.glob(name)) for name in left)


def forget(folder: pathlib.Path) -> None:
    """Removes the record and the state of a run that was refused before its first step."""
    if is_begun(folder) or (folder / "tensorboard").exists():
        return  # without a record, `claim.claim` would refuse the folder for its other files
    (folder / "pipeline" / "state.npz").unlink(missing_ok=True)
    for name in ("checkpoints", "pipeline"):
        with contextlib.suppress(OSError):  # it holds something, or was not made yet
            (folder / name).rmdir()
    (folder / _MARKER).unlink(missing_ok=True)  # last: `claim.claim` knows the folder by it


def check_identity(folder: pathlib.Path, settings: Settings, precision: str) -> None:
    """Refuses to continue a run under settings that would change its numbers.

    Raises:
        ArtefactError: the message lists the fields that differ, then and now, and what to do.
    """
    earlier = _begun(folder)
    if earlier is None or settings.resume_with_changes:
        return
    changed = _differences(_then(folder, earlier), _identity(settings, precision))
    if changed:
        raise ArtefactError(
            f"{folder} is a run with other settings ({'; '.join(changed)}): repeat its settings, "
            "choose another --workdir, or continue it with --resume_with_changes"
        )


def with_recorded_sizes(folder: pathlib.Path, settings: Settings) -> Settings:
    """The settings; a batch size or number of epochs left open is that of the folder's run."""
    earlier = _begun(folder)
    if earlier is None:
        return settings
    then = _then(folder, earlier)
    return sizes.with_sizes(settings, then["batch_size"], then["epochs"])


def check_data(folder: pathlib.Path, settings: Settings, prepared: "Prepared") -> None:
    """Raises ArtefactError if the data is not what the run in this folder began with.

    With --resume_with_changes the rows may differ, but not the state that the run trained with.
    """
    earlier = _begun(folder)
    if earlier is None:
        return
    if settings.resume_with_changes:
        check_state(folder, earlier, prepared.state)
        return
    if _format(earlier) < FORMAT:
        _LOG.warning("%s was begun by an earlier version: its data cannot be compared", folder)
        return
    then, now = earlier["data"].get("fingerprint"), data_fingerprint(prepared)
    if then != now:
        raise ArtefactError(
            f"the data is not that of {folder}: {prepared.source} had fingerprint "
            f"{then}, now {now}; choose another --workdir to train on it, or put the data back"
        )


def check_state(folder: pathlib.Path, facts: Mapping[str, Any], state: "State") -> None:
    """Raises ArtefactError if the state is not the one that run.json (`facts`) records."""
    then = facts["data"].get("state")  # earlier versions wrote none
    if then is not None and then != state_file.fingerprint(state):
        raise ArtefactError(
            f"{folder / 'pipeline' / 'state.npz'} is not what the run fitted: it was removed, "
            "damaged or is of another run"
        )


def record(
    folder: pathlib.Path,
    settings: Settings,
    prepared: "Prepared",
    precision: str,
    facts: Mapping[str, Any],
) -> Run:
    """Writes run.json: the command, the resolved settings, the data, and `facts` of the machine.

    `facts` are kept for every start of the run. If they differ from those of the first start, the
    run still continues, with a warning that it may not give the same bits.
    """
    earlier = _begun(folder) or {"run": uuid.uuid4().hex[:16], "starts": []}
    now = as_json(facts)
    if earlier["starts"]:
        changed = _differences(earlier["starts"][0], now)
        if changed:
            _LOG.warning(
                "%s was begun under other conditions (%s): it continues, but not to the same bits",
                folder,
                "; ".join(changed),
            )
    content = {
        "format": FORMAT,
        "run": earlier["run"],
        "command": sys.argv,
        "identity": _identity(settings, precision),
        "settings": dataclasses.asdict(settings),
        "precision": precision,
        "data": {
            "source": prepared.source,
            "rows": {split: rows.num_rows for split, rows in prepared.rows.items()},
            "state": state_file.fingerprint(prepared.state),
            "fingerprint": data_fingerprint(prepared),
        },
        "serving": {"form": prepared.form, "schema": schema.to_json(prepared.schema)},
        **facts,
        "starts": [*earlier["starts"], now],
    }
    sealed.write(folder / _MARKER, content)
    return Run(folder, content["run"], settings, prepared, content)


def settings_of(folder: pathlib.Path) -> tuple[Settings, dict[str, Any]]:
    """The settings of an earlier run, and the whole content of its run.json.

    Raises:
        ArtefactError: there is no run in the folder, or its settings are not valid in this version;
            or it holds more than plain files and folders.
    """
    untrusted.check_plain(folder)
    facts = _recorded(folder)
    if facts is None:
        raise ArtefactError(
            f"{folder} holds no run: train one with python -m trainers.run --workdir={folder}"
        )
    stored = facts["settings"]
    here = {"workdir": str(folder), "debug": False, "dry_run": False}
    try:
        changes = {
            name: value
            for name, value in {**stored, **stored["recipe"], **here}.items()
            if name in FIELDS and name != "model"
        }
        return resolve(stored["model"], changes), facts
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / _MARKER} does not describe a run: {error}") from error


def data_fingerprint(prepared: "Prepared") -> str:
    """A short hash of all rows of prepared data and of what was fitted on them.

    For rows on disk it covers their number and their files' content (`Rows.identity`).
    """
    digest = hashlib.sha256(state_file.fingerprint(prepared.state).encode())
    for split, rows in sorted(prepared.rows.items()):
        content = files.fingerprint(rows.table) if rows.table is not None else rows.identity
        digest.update(f"{split}:{rows.num_rows}:{content};".encode())
    return digest.hexdigest()[:16]


def _begun(folder: pathlib.Path) -> dict[str, Any] | None:
    """The run.json of a run with results that could be lost; None: there is none."""
    facts = _recorded(folder)  # refuses a run.json that is not ours: it is never replaced
    return facts if is_begun(folder) else None


def _recorded(folder: pathlib.Path) -> dict[str, Any] | None:
    """The content of run.json; None: there is none. ArtefactError: it is damaged."""
    facts = sealed.read(folder / _MARKER)
    if facts is None:
        return None
    wrong = [key for key, kind in _RECORDED.items() if not isinstance(facts.get(key), kind)]
    if wrong or not all(isinstance(start, dict) for start in facts["starts"]):
        raise ArtefactError(f"{folder / _MARKER} is damaged: see {', '.join(wrong) or 'starts'}")
    if _format(facts) not in range(1, FORMAT + 1):
        raise ArtefactError(
            f"{folder / _MARKER} has format {facts['format']!r:.20}; this version reads up to "
            f"{FORMAT}"
        )
    return facts


def _format(facts: Mapping[str, Any]) -> Any:
    return facts.get("format", 1)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """The fields that differ, each with its value then and now."""
    changed = []
    for field in sorted({*then, *now}):
        old, new = then.get(field), now.get(field)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += _differences(old, new, f"{path}{field}.")
        elif old != new:
            changed.append(f"{path}{field} {old!r} -> {new!r}")
    return changed


def _then(folder: pathlib.Path, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a recorded run. ArtefactError: a value is damaged."""
    try:
        return recorded_identity(earlier["identity"])
    except UsageError as error:
        raise ArtefactError(f"{folder / _MARKER} is damaged: {error}") from error


def _identity(settings: Settings, precision: str) -> dict[str, Any]:
    return settings.identity() | {"precision": precision}
