"""Exports a finished run once more, as the next version.

python -m trainers.export --workdir=runs/... [--keep=best]
"""

import pathlib

from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command: exports a finished run once more."""
    given = small_command(__doc__, argv, workdir=None, keep="")
    if given is None:
        return
    if given["keep"] not in ("", "last", "best"):
        raise UsageError(f"--keep is last or best, received {given['keep']!r}")
    import_tensorflow()
    from trainers.serving.export import export_run

    print(export_run(pathlib.Path(given["workdir"]), given["keep"]))


if __name__ == "__main__":
    run_command(main)
