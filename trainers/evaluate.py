"""Metrics of an exported model: computed by the file that a server would load, from raw inputs.

    python -m trainers.evaluate --workdir=runs/... [--split=validation] [--views=true]

With --views=true every example is asked about from several sides and the logits are averaged
(test-time augmentation): `test_tta`, never mixed with `test`. Images of cifar10 have such views.
"""

import json
import pathlib

from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command: metrics of a finished run's newest export as one JSON line."""
    given = small_command(__doc__, argv, workdir=None, split="test", views="false")
    if given is None:
        return
    if given["views"] not in ("true", "false"):
        raise UsageError(f"--views is true or false, received {given['views']!r}")
    import_tensorflow()
    from trainers.evaluation.evaluate import evaluate_run

    split, views = given["split"], given["views"] == "true"
    found = evaluate_run(pathlib.Path(given["workdir"]), split, views=views)
    print(json.dumps({f"{split}_tta" if views else split: found}))


if __name__ == "__main__":
    run_command(main)
