"""Writes report.html of a finished run again, from the files in the run's folder.

python -m trainers.report --workdir=runs/...
"""

import os
import pathlib

from trainers.config.flags import small_command
from trainers.errors import import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command: writes the page again, and prints its path."""
    flags = small_command(__file__, argv, workdir=None)
    if flags is None:
        return
    import_tensorflow()
    from trainers.reports.write import write_again

    print(write_again(pathlib.Path(os.path.expanduser(flags["workdir"]))))


if __name__ == "__main__":
    run_command(main)
