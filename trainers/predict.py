"""Predicts with an exported model, one JSON line for each example.

    python -m trainers.predict --workdir=runs/... photo.png table.csv texts.txt request.json
    python -m trainers.predict --workdir=runs/... --strict table.csv

Takes image files for models of images, CSV files with a header for models of columns, and files
with one text per line for models of text, all read as in training. Any model also takes JSON files
in the format of TensorFlow Serving's REST interface.
Values of a table that did not occur in training, or that cannot be read, are counted on stderr at
the end. With --strict they are refused before the first answer is printed.
Needs TensorFlow and Pillow only.
"""

import json
import os
import pathlib
import sys

from pipelines.files import photo
from pipelines.files.shown import shown
from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command

TABLES = (".csv", ".tsv")


def main(argv: list[str]) -> None:
    """The command: answers for each example in the files."""
    flags = small_command(__file__, argv, files=True, workdir=None, strict=False)
    if flags is None:
        return
    files = [pathlib.Path(name) for name in flags["files"]]
    if not files:
        raise UsageError("name the files to predict: images, .csv, .txt or .json")
    for path in files:
        if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
            exists = os.path.lexists(path)
            raise UsageError(f"{shown(path)} {'is not a file' if exists else 'does not exist'}")
        known = path.suffix.lower() in (*photo.SUFFIXES, *TABLES, ".txt", ".json")
        if not known and not photo.begins_as_image(path):
            images = " ".join(photo.SUFFIXES)
            raise UsageError(
                f"{shown(path)}: expected an image ({images}), .csv, .tsv, .txt or .json"
            )
    import_tensorflow()
    from pipelines.storage.progress import progress
    from trainers.serving.predict import predict
    from trainers.store import exports, untrusted

    workdir = pathlib.Path(os.path.expanduser(flags["workdir"]))
    untrusted.check_plain(workdir)
    answers = predict(exports.newest(workdir), files, strict=flags["strict"])
    if not sys.stdout.isatty():  # on a terminal the answers themselves show the progress
        answers = progress(answers, None, "predict")
    for answer in answers:
        print(json.dumps(answer))


if __name__ == "__main__":
    run_command(main)
