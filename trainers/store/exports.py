"""The exports of a run: `export/<model>/<version>/`; a version appears only when it is whole."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from trainers.errors import ArtefactError
from trainers.store import report_file, saved_model, untrusted

CARD = pathlib.Path("assets.extra", "model.json")  # describes an export
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def model_folder(folder: pathlib.Path, model: str) -> pathlib.Path:
    """The folder that holds the versions of a run's model."""
    return folder / "export" / model


def versions(folder: pathlib.Path) -> list[int]:
    """Numbers of the versions that have been published in the folder of a model, in order."""
    if not folder.is_dir():
        return []
    numbered = [path for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
    return sorted(int(path.name) for path in numbered if path.is_dir())


def newest(folder: pathlib.Path) -> pathlib.Path:
    """The directory of the newest version that a run has exported.

    Raises:
        ArtefactError: there is none, or it is of another run.
    """
    models = [path for path in folder.glob("export/*") if path.is_dir()]
    exported = [(number, model / str(number)) for model in models for number in versions(model)]
    if not exported:
        raise ArtefactError(
            f"{folder} has no export: the same trainers.run command finishes the run"
        )
    _, version = max(exported)
    _check_weights(version, report_file.read(folder) or {})
    return version


def check_of_report(folder: pathlib.Path, model: str, report: Mapping[str, Any]) -> None:
    """Checks the version that a run's report was measured on.

    Raises:
        ArtefactError: it is gone or damaged, or the report names a folder that is not an export of
            this run.
    """
    named = str(report.get("export"))
    version = model_folder(folder, model) / pathlib.Path(named).name
    if folder / named != version or not version.is_dir():
        raise ArtefactError(
            f"{folder / named} is gone: python -m trainers.export makes another version"
        )
    saved_model.check(version)
    _check_weights(version, report)


def weights_of(version: pathlib.Path) -> str:
    """The fingerprint of the weights that an export records; empty: none.

    Raises:
        ArtefactError: its description is missing or damaged.
    """
    try:
        return str(untrusted.read_json(version / CARD).get("weights", ""))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{version / CARD} is damaged: {error}") from error


def _check_weights(version: pathlib.Path, report: Mapping[str, Any]) -> None:
    """Raises ArtefactError if an export's weights are those of none of the run's steps."""
    own = report.get("weights")
    if own is not None and weights_of(version) not in own.values():
        raise ArtefactError(
            f"{version} is of another run: its weights are not those of {version.parents[2]}; "
            "python -m trainers.export makes another version"
        )
