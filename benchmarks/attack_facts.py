"""What a command prints and writes about a run, without times, to compare two calls of it."""

import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import lives

from trainers.store import checkpoint, exports, untrusted
from trainers.store.files import sha256

# Entries of report.json that differ between any two runs.
_OF_ONE_RUN = ("run", "seconds", "exported", "workdir", "sha256")


def facts(command: str, life: lives.Life, run: pathlib.Path, *, ends: bool) -> dict[str, Any]:
    """What a successful command printed and wrote, without times.

    Args:
        ends: whether `run` had work left to do; then its results are facts too.
    """
    last = life.out.strip().splitlines()[-1]
    if command in ("evaluate", "predict"):
        return {"answers": life.out}
    if command == "report":
        content = _without_folder((run / "report.html").read_bytes(), run)
        return {"page": content, "report.json": _figures((run / "report.json").read_text())}
    if command == "export":
        return _exported(pathlib.Path(last))
    result: dict[str, Any] = {"answer": _figures(last)}
    if not (run / "report.html").exists():
        result["page"] = "missing"
    if ends:
        step = checkpoint.steps(run / "checkpoints")[-1]
        result["state"] = sha256(run / "checkpoints" / f"step-{step:08d}" / "state.npz")
        result |= {path.name: sha256(path) for path in sorted(run.glob("weights*.npz"))}
        result |= _exported(exports.newest(run))
        result["lines"] = _lines(run / "metrics.jsonl")
        result["unfinished"] = sorted(path.name for path in run.rglob(".writing-*"))
    return result


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The facts that differ, with their values; empty: none."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(
        f"{name} ({one.get(name)!r:.80} != {other.get(name)!r:.80})"
        for name in names
        if name != "warnings"
    )


def warnings(life: lives.Life) -> list[str]:
    """The lines on stderr that warn."""
    return [line for line in life.errors.splitlines() if line.startswith("warning: ")]


def lost(expected: list[str], received: list[str]) -> int:
    """The number of expected lines that are missing."""
    return len([line for line in expected if line not in received])


def _figures(text: str) -> dict[str, Any]:
    report = untrusted.parse_json(text.strip().encode(), "report")
    return {k: v for k, v in report.items() if k not in _OF_ONE_RUN}


def _without_folder(content: bytes, run: pathlib.Path) -> str:
    text = re.sub(re.escape(str(run).encode()), b"RUN", content)
    return hashlib.sha256(text).hexdigest()


def _exported(version: pathlib.Path) -> dict[str, str]:
    """Hashes of an export's weights and model card; the graph's file differs each time."""
    names = ("variables/variables.data-00000-of-00001", "assets.extra/model.json")
    return {name: sha256(version / name) for name in names}


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of metrics.jsonl without speeds; damaged lines are unchanged."""
    lines = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        try:
            record = json.loads(line)
            lines.append(str({k: v for k, v in record.items() if "per_second" not in k}))
        except (ValueError, AttributeError):
            lines.append(line)
    return lines
