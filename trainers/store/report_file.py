"""report.json: what a finished run measured, and the files that it was measured with."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from trainers.config.settings import Settings
from trainers.errors import ArtefactError
from trainers.store import files, sealed

_NAME = "report.json"
_KINDS = {  # types of the entries that every report has
    **dict.fromkeys(("model", "pipeline", "dataset", "precision", "export"), str),
    **dict.fromkeys(("epochs", "seed", "parameters"), int),
    **dict.fromkeys(("seconds", "validation", "test", "baseline"), dict),
}
# Types of the entries that reports of version 0.1 lack.
_LATER = {
    **dict.fromkeys(("run", "task", "exported"), str),
    **dict.fromkeys(("steps", "weights", "files"), dict),
}
_NUMBERS = ("seconds", "validation", "test")  # whose values are numbers


def read(folder: pathlib.Path) -> dict[str, Any] | None:
    """The report of the run in a folder; None: it is not finished.

    Raises:
        ArtefactError: it is damaged, lacks what every report has, or is of another run.
    """
    report = sealed.read(folder / _NAME)
    if report is None:
        return None
    number = (sealed.read(folder / "run.json") or {}).get("run")
    if number is not None and report.get("run", number) != number:
        raise ArtefactError(f"{folder / _NAME} is of another run than run.json beside it")
    expected = _KINDS | {key: kind for key, kind in _LATER.items() if key in report}
    wrong = [key for key, kind in expected.items() if not isinstance(report.get(key), kind)]
    wrong += [
        f"{key}.{name}"
        for key in _NUMBERS
        if key not in wrong
        for name, value in report[key].items()
        if not isinstance(value, int | float)
    ]
    if wrong:
        raise ArtefactError(f"{folder / _NAME} is damaged: see {', '.join(wrong[:5])}")
    return {**report, "workdir": str(folder)}  # a run may have been moved


def complete(folder: pathlib.Path, settings: Settings) -> dict[str, Any] | None:
    """The report of a run that is complete under these settings; None: there is work to do."""
    report = read(folder)
    return report if report and report["epochs"] >= settings.recipe.epochs else None


def write(folder: pathlib.Path, report: Mapping[str, Any]) -> None:
    """Writes the report whole or not at all; from here on the run is finished."""
    sealed.write(folder / _NAME, report)


def hashes(folder: pathlib.Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of a run's files, for the report; names are relative to the run's folder."""
    return {name: files.sha256(folder / name) for name in names}


def check_file(folder: pathlib.Path, report: Mapping[str, Any], name: str) -> None:
    """Raises ArtefactError if a file of a finished run is not the one that its report names."""
    recorded = report.get("files", {}).get(name)  # None: of version 0.1
    if recorded is not None and files.sha256(folder / name) != recorded:
        raise ArtefactError(f"{folder / name} is damaged, or of another run: not as it was written")
