"""Asks an exported model about files, one JSON line an example.

    python -m trainers.predict --workdir=runs/... photo.png table.csv texts.txt request.json

Image files for models of images, CSV files with a header for models of columns and files with a
text in each line for models of text, all read as in training; JSON files in the form that
TensorFlow Serving's REST interface takes, for any model.
Needs TensorFlow and Pillow only.
"""

import json
import pathlib

from pipelines.files import photo
from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command

TABLES = (".csv", ".tsv")


def main(argv: list[str]) -> None:
    """The command: answers for each example in the files."""
    flags = small_command(__doc__, argv, files=True, workdir=None)
    if flags is None:
        return
    files = [pathlib.Path(name) for name in flags["files"]]
    if not files:
        raise UsageError("name the files to predict: images, .csv, .txt or .json")
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} does not exist")
        if path.suffix.lower() not in (*photo.SUFFIXES, *TABLES, ".txt", ".json"):
            raise UsageError(
                f"{path}: expected an image ({' '.join(photo.SUFFIXES)}), .csv, .tsv, .txt or .json"
            )
    import_tensorflow()
    from trainers.serving.predict import predict
    from trainers.store import exports

    for line in predict(exports.newest(pathlib.Path(flags["workdir"])), files):
        print(json.dumps(line))


if __name__ == "__main__":
    run_command(main)
