"""Sections on how a run was made: its recipe, and how to repeat it."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import zoo
from trainers.config.flags import command_line, own_value
from trainers.config.settings import FIELDS, RECIPE_FIELDS, Settings, values
from trainers.reports import html
from trainers.reports.html import Html, count, element
from trainers.store.finished import Finished


def recipe(settings: Settings) -> Html:
    """The recipe; values that differ from the model's own recipe are marked."""
    current = values(settings)

    def flag(name: str) -> tuple[Any, ...]:
        own = own_value(settings.model, name)
        return _field(name, current[name], own, FIELDS[name].metadata["help"])

    rows = [flag(name) for name in RECIPE_FIELDS]
    for name, own in zoo.describe(settings.model).hparams.items():
        rows.append(_field(f"hparams: {name}", settings.hparams.get(name, own), own, ""))
    elsewhere = (*RECIPE_FIELDS, "model", "hparams", "workdir")
    for name in FIELDS:
        is_own = current[name] == own_value(settings.model, name)
        if name not in elsewhere and (current[name] or not is_own):
            rows.append(flag(name))
    remark = (
        f"Values that differ from {settings.model}'s own recipe are marked, followed by the "
        "recipe's value."
    )
    table = html.table(("field", "value", "meaning"), rows, kind="recipe")
    return html.section("Recipe", html.note(remark), table)


def _field(name: str, value: Any, own: Any, meaning: str) -> tuple[Any, ...]:
    if (value or None) == (own or None):
        return name, _plain(value), meaning
    was = element("span", f" instead of {_plain(own)}", class_="was")
    return name, element("mark", _plain(value), was), meaning


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={part!r}" for key, part in value.items()) or "none"
    return "not given" if value in ("", (), None) else str(value)


def reproduce(past: Finished, report: Mapping[str, Any]) -> Html:
    """The command that repeats the run, and the data and machine of the run."""
    facts, exported = past.facts, past.folder / report["export"]
    exact = dataclasses.replace(past.settings.recipe, precision=facts["precision"])
    replicas = past.settings.replicas or (facts["replicas"] if facts["replicas"] > 1 else 0)
    again = dataclasses.replace(
        past.settings,
        recipe=exact,
        replicas=replicas,
        workdir=f"{past.folder}-again",
        resume_with_changes=False,
    )
    command = _shell(["python -m trainers.run", *map(shlex.quote, command_line(again))])
    request = exported / "assets.extra" / "request.json"
    arguments = (f"--workdir={past.folder}", str(request))
    query = _shell(["python -m trainers.predict", *map(shlex.quote, arguments)])
    data, hardware = facts["data"], facts["hardware"]
    rows = ", ".join(f"{count(number)} {split}" for split, number in data["rows"].items())
    facts_by_name = {
        "data": f"{data['source']}, {rows} rows",
        "fingerprint of the data": data["fingerprint"],
        "precision": f"{facts['precision']}: {facts['precision_because']}",
        "replicas": facts["replicas"],
        "hardware": f"{hardware['cpu']}, {hardware['cores']} cores, "
        f"{', '.join(hardware['gpus']) or 'no GPU'}",
        "platform": hardware["platform"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "folder of the run": past.folder.resolve(),
        "export": exported.resolve(),
    }
    lines = [element("div", element("dt", k), element("dd", v)) for k, v in facts_by_name.items()]
    promise = "This gives the same numbers on the same kind of machine with the same versions:"
    if past.settings.resume_with_changes:
        promise = "The run was continued with changed settings; this command has the latest:"
    return html.section(
        "Reproduce",
        html.note(promise),
        element("pre", html.whole(command)),
        html.note("A request to the exported model:"),
        element("pre", html.whole(query)),
        element("dl", *lines, class_="facts"),
    )


def _shell(parts: Sequence[str]) -> str:
    """A command on several lines that can be copied unchanged."""
    return " \\\n  ".join(parts)
