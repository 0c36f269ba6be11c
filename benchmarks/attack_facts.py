"""What a command says and writes about a run, without times: to be compared with another time."""

import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import lives

from trainers.store import checkpoint, exports, untrusted
from trainers.store.files import sha256

# Entries of report.json that no other run has.
_OF_ONE_RUN = ("run", "seconds", "exported", "workdir", "sha256")


def facts(command: str, life: lives.Life, run: pathlib.Path, *, ends: bool) -> dict[str, Any]:
    """What a command that succeeded has answered and written, without times.

    Args:
        ends: whether `run` had something left to do: then what it made of it counts too.
    """
    last = life.out.strip().splitlines()[-1]
    if command in ("evaluate", "predict"):
        return {"answers": life.out}
    if command == "report":
        content = _without_folder((run / "report.html").read_bytes(), run)
        return {"page": content, "report.json": _figures((run / "report.json").read_text())}
    if command == "export":
        return _exported(pathlib.Path(last))
    found: dict[str, Any] = {"answer": _figures(last)}
    if not (run / "report.html").exists():
        found["page"] = "missing"
    if ends:
        step = checkpoint.steps(run / "checkpoints")[-1]
        found["state"] = sha256(run / "checkpoints" / f"step-{step:08d}" / "state.npz")
        found |= {path.name: sha256(path) for path in sorted(run.glob("weights*.npz"))}
        found |= _exported(exports.newest(run))
        found["lines"] = _lines(run / "metrics.jsonl")
        found["unfinished"] = sorted(path.name for path in run.rglob(".writing-*"))
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The names of facts that are not the same; empty: none."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(
        f"{name} ({one.get(name)!r:.80} != {other.get(name)!r:.80})"
        for name in names
        if name != "warnings"
    )


def warnings(life: lives.Life) -> list[str]:
    """The lines on stderr that warn."""
    return [line for line in life.errors.splitlines() if line.startswith("warning: ")]


def lost(expected: list[str], found: list[str]) -> int:
    """How many lines of one list are not in the other."""
    return len([line for line in expected if line not in found])


def _figures(text: str) -> dict[str, Any]:
    report = untrusted.parse_json(text.strip().encode(), "report")
    return {k: v for k, v in report.items() if k not in _OF_ONE_RUN}


def _without_folder(content: bytes, run: pathlib.Path) -> str:
    text = re.sub(re.escape(str(run).encode()), b"RUN", content)
    return hashlib.sha256(text).hexdigest()


def _exported(version: pathlib.Path) -> dict[str, str]:
    """Of an export its numbers and its card; the graph's file is another one each time."""
    names = ("variables/variables.data-00000-of-00001", "assets.extra/model.json")
    return {name: sha256(version / name) for name in names}


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of metrics.jsonl without the speed, those that are damaged as they are."""
    found = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        try:
            record = json.loads(line)
            found.append(str({k: v for k, v in record.items() if "per_second" not in k}))
        except (ValueError, AttributeError):
            found.append(line)
    return found
