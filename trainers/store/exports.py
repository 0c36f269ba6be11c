"""Where a run's exports are: `export/<model>/<version>/`, each version appearing whole."""

import pathlib
from collections.abc import Mapping
from typing import Any

from trainers.errors import ArtefactError


def model_folder(folder: pathlib.Path, model: str) -> pathlib.Path:
    """The folder that holds the versions of a run's model."""
    return folder / "export" / model


def versions(folder: pathlib.Path) -> list[int]:
    """Numbers of the versions that have been published in the folder of a model, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def newest(folder: pathlib.Path) -> pathlib.Path:
    """The directory of the newest version that a run has exported. ArtefactError: there is none."""
    models = [path for path in folder.glob("export/*") if path.is_dir()]
    exported = [(number, model / str(number)) for model in models for number in versions(model)]
    if not exported:
        raise ArtefactError(
            f"{folder} has no export: the same trainers.run command finishes the run"
        )
    return max(exported)[1]


def of_report(folder: pathlib.Path, model: str, report: Mapping[str, Any]) -> pathlib.Path:
    """The version that a run's report was made of.

    Raises:
        ArtefactError: it is gone, or the report names a folder that is not an export of this run.
    """
    named = str(report.get("export"))
    version = model_folder(folder, model) / pathlib.Path(named).name
    if folder / named != version or not version.is_dir():
        raise ArtefactError(
            f"{folder / named} is gone: python -m trainers.export makes another version"
        )
    return version
