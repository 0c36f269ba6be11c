"""What `--list` prints: every name that a flag takes, with one line about it."""

import pipelines
import zoo
from trainers.config import auto
from trainers.config.flagfiles import recipes
from trainers.tasks import registry as tasks
from trainers.ways import registry as ways


def listing() -> str:
    """Models, data sets, tasks, ways and recipes, one line each."""
    groups = (
        ("models (--model=...)", {"auto": auto.SUMMARY, **_summaries(zoo)}),
        ("data sets (--pipeline=...)", _summaries(pipelines)),
        ("tasks (--task=...)", _summaries(tasks)),
        ("ways to take a training step (--way=...)", _summaries(ways)),
        ("recipes (--flagfile=...)", recipes()),
    )
    lines = []
    for title, entries in groups:
        if not entries:
            continue
        width = max((len(name) for name in entries), default=0)
        lines += [title, *(f"  {name:{width}}  {line}" for name, line in entries.items()), ""]
    return "\n".join(lines).rstrip()


def _summaries(registry) -> dict[str, str]:
    return {name: registry.describe(name).summary for name in registry.names()}
