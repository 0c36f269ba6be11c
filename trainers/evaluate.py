"""Computes metrics of a run's newest export, with the file that a server would load.

    python -m trainers.evaluate --workdir=runs/... [--split=validation] [--views=true]

Needs the data of the run. With --views=true the scores of several views of each example are
averaged (test-time augmentation) and reported as `test_tta`, never as `test`. The data sets
cifar10, image_folder and image_table have views; those of the last two are each image and its
mirror image, unless flip=False.
"""

import json
import os
import pathlib

from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command: metrics of a finished run's newest export as one JSON line."""
    flags = small_command(__file__, argv, workdir=None, split="test", views="false")
    if flags is None:
        return
    if flags["views"] not in ("true", "false"):
        raise UsageError(f"--views is true or false, received {flags['views']!r}")
    import_tensorflow()
    from trainers.evaluation.evaluate import evaluate_run

    split, views = flags["split"], flags["views"] == "true"
    metrics = evaluate_run(pathlib.Path(os.path.expanduser(flags["workdir"])), split, views=views)
    print(json.dumps({f"{split}_tta" if views else split: metrics}))


if __name__ == "__main__":
    run_command(main)
