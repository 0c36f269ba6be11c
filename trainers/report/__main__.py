"""Writes report.html of a finished run once more, from its export and its data.

python -m trainers.report --workdir=runs/...
"""

import pathlib

from trainers import report
from trainers.recipe_flags import small_command
from trainers.setup.errors import ArtefactError, import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command."""
    given = small_command(__doc__, argv, workdir=None)
    if given is None:
        return
    import_tensorflow()
    print(write_again(pathlib.Path(given["workdir"])))


def write_again(folder: pathlib.Path) -> pathlib.Path:
    """Writes the page of the run in a folder; its path.

    Raises:
        ArtefactError: the folder holds no finished run, or its export is gone.
        DataError: the data is not there any more.
    """
    from trainers.evaluate import evaluate
    from trainers.setup import data, workdir

    settings, _ = workdir.settings_of(folder)
    finished = workdir.read_json(folder / "report.json")
    if finished is None:
        raise ArtefactError(f"{folder} is not finished: the same trainers.run command continues it")
    place, version = folder / "export" / settings.model, pathlib.Path(str(finished.get("export")))
    exported = place / version.name
    if folder / version != exported or not exported.is_dir():
        raise ArtefactError(
            f"{folder / version} is gone: python -m trainers.export makes another version"
        )
    pipeline = data.load(settings, folder)
    batch_size = settings.recipe.batch_size
    evaluations = {
        split: evaluate(exported, pipeline, split, batch_size=batch_size)
        for split in ("validation", "test")
    }
    report.write(folder, settings, pipeline, finished, evaluations)
    return folder / "report.html"


if __name__ == "__main__":
    run_command(main)
