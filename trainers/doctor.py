"""Says what this machine can do and which problems it has.

    python -m trainers.doctor [--data_dir=...]

Lists devices, missing GPU libraries, the chosen precision and why, prepared data sets, folders that
can be written, and versions. The exit code is 6 if there is a problem.
"""

import sys

from trainers.config.flags import small_command
from trainers.errors import import_tensorflow, run_command


def main(argv: list[str]) -> None:
    """The command."""
    options = small_command(__file__, argv, data_dir="")
    if options is None:
        return
    import_tensorflow()
    from trainers.devices.doctor import examine

    text, problems = examine(options["data_dir"] or None)
    print(text)
    for problem in problems:
        print(f"problem: {problem}")
    if problems:
        sys.exit(6)


if __name__ == "__main__":
    run_command(main)
