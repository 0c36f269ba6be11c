"""Exports a finished run once more, as the next version; its data is not needed.

python -m trainers.export --workdir=runs/... [--keep=best]
"""

import os
import pathlib

from trainers.config.flags import small_command
from trainers.errors import UsageError, import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command: exports a finished run once more."""
    flags = small_command(__file__, argv, workdir=None, keep="")
    if flags is None:
        return
    if flags["keep"] not in ("", "last", "best"):
        raise UsageError(f"--keep is last or best, received {flags['keep']!r}")
    import_tensorflow()
    from trainers.serving.export import export_run

    print(export_run(pathlib.Path(os.path.expanduser(flags["workdir"])), flags["keep"]))


if __name__ == "__main__":
    run_command(main)
