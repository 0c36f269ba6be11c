"""Runs once for each seed, then prints mean, spread and confidence interval of each result.

    python -m trainers.repeat --seeds=5 -- --model=cifar_cnn --flagfile=shapes

`--seeds=5` means 0, 1, 2, 3, 4; `--seeds=3,7,9` names them. The flags of trainers.run follow after
`--`, without --seed. The runs follow one another, each in its own process and folder (with
--workdir=DIR: DIR/seed-0, ...), with its output in a .log file beside that folder. The same command
again continues: finished runs are not repeated. A run that fails does not stop the others.

A table is printed, then one line of JSON, which is also kept beside the runs:
runs/<model>-<pipeline>[-<dataset>]-repeat.json, or DIR/repeat.json. The interval is Student's t: it
covers the mean over all seeds in 95 of 100 such repetitions, if the values are about normal.
"""

import json
import logging
import sys

from trainers.config import flags
from trainers.errors import UsageError, run_command, signalled
from trainers.store.files import replace_whole
from trainers.studies.repeat import (
    common_path,
    log_path,
    outcome_line,
    parse_seeds,
    plan,
    run_seed,
    statistics_table,
    summary,
)

_LOG = logging.getLogger("trainers.repeat")  # as a program this module is called __main__


def main(argv: list[str]) -> None:
    """The command. Exits with the code of the first run that failed."""
    split = argv.index("--") if "--" in argv else len(argv)
    own, run_flags = argv[:split], argv[split + 1 :]
    if split == len(argv) and not {"--help", "-h", "-help"} & set(argv):
        raise UsageError("write the flags of trainers.run after '--': --seeds=5 -- --model=...")
    values = flags.small_command(__file__, own, seeds="5")
    if values is None:
        return
    runs = plan(parse_seeds(values["seeds"]), run_flags)
    if runs is None:  # --help or --list among the run's flags
        return
    outcomes, stopped = [], 0
    _LOG.info("%d runs; output in %s and so on", len(runs), log_path(runs[0].run_dir))
    for settings in runs:
        outcome, number = run_seed(settings, run_flags)
        outcomes.append(outcome)
        _LOG.info("%s", outcome_line(outcome))
        if number:
            stopped = outcome.exit_code or signalled(number)
            break
    result = summary(runs[0], run_flags, outcomes)
    if result["seeds"]:  # an empty result does not replace an earlier one
        path = common_path(runs[0], "repeat.json")
        replace_whole(path, json.dumps(result, indent=1).encode())
        print("\n".join(["", *statistics_table(result["statistics"]), f"kept in {path}"]))
    print(json.dumps(result))
    unfinished = len(outcomes) < len(runs)
    failures = [outcome.exit_code for outcome in outcomes if outcome.exit_code]
    sys.exit(stopped if stopped and (unfinished or failures) else next(iter(failures), 0))


if __name__ == "__main__":
    run_command(main)
