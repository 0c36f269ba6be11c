"""Writes the tables of README.md (also in Chinese) and BUILD_NOTES.md, and the heads of recipes.

    python benchmarks/tables.py    # rewrites them from benchmarks/results.jsonl

results.jsonl has one measured result per line; CONTRIBUTING.md lists its fields. A table is between
the lines `<!-- results:NAME -->` and `<!-- end -->`; NAME is a key of `BLOCKS`. In a recipe the
line that starts with `# Test accuracy` is made from the result with the recipe's name.
"""

import functools
import json
import pathlib
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("README.md", "BUILD_NOTES.md", "docs/zh/README.md")
Result = dict[str, Any]

_BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
_HEAD = re.compile(r"^# Test accuracy .*$", flags=re.MULTILINE)
_KERAS = ("Keras 3, float32", "Keras 3, bfloat16", "the tutorial's script")
_wrapped = functools.partial(  # a command is not broken within a flag
    textwrap.fill, width=108, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
)
_PYTORCH = ("PyTorch, float32", "PyTorch, bfloat16", "PyTorch, compiled")


def load(root: pathlib.Path = ROOT) -> dict[str, Result]:
    """The results by id, in the order of the file."""
    text = (root / "benchmarks" / "results.jsonl").read_text(encoding="utf-8")
    results = [json.loads(line) for line in text.splitlines()]
    if len(by_id := {result["id"]: result for result in results}) != len(results):
        raise ValueError("results.jsonl: an id stands in two lines")
    return by_id


def table(header: str, rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; `|` divides the cells of the header."""
    lines = [names := header.split("|"), ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def measured(values: Result, form: str = ".4f") -> str:
    """`0.8125 ± 0.0008`, or only the mean."""
    std = values.get("std")
    return f"{values['mean']:{form}}" + (f" ± {std:{form}}" if std is not None else "")


def group(results: dict[str, Result], name: str) -> list[Result]:
    """The results whose ids begin with `name/`."""
    return [result for result in results.values() if result["id"].startswith(f"{name}/")]


def seconds(timed: Result) -> str:
    """`81 ± 2`, `31 to 48` or `4,927`, rounded to whole seconds."""
    span = f"{timed['low']:,.0f} to {timed['high']:,.0f}" if "low" in timed else ""
    return span or measured(timed, ",.0f")


def ratio(values: Result, form: str = ".2f") -> str:
    """`1.86 (1.58 to 1.91)`: median and range."""
    median, *ends = (f"{values[key]:{form}}" for key in ("median", "low", "high") if key in values)
    return f"{median} ({' to '.join(ends)})" if ends else median


def models(results: dict[str, Result]) -> str:
    """Test accuracy, size and time of the results that have `flags`, the command in README."""
    header = "model|data|flags|parameters|test accuracy|linear model|runs|fit, s"
    rows = []
    for result in (result for result in results.values() if "flags" in result):
        linear = f"{result['linear']['mean']:.3f}" if "linear" in result else ""
        model = (f"`{result['model']}`", result["data"], f"`{result['flags']}`")
        size, fit = f"{result['parameters']:,}", seconds(result["fit_seconds"])
        rows.append((*model, size, measured(result), linear, str(result["n"]), fit))
    return table(header, rows)


def details(results: dict[str, Result]) -> str:
    """Every measured accuracy with its command, spread, times and conditions."""
    items = []
    for result in (result for result in results.values() if result["metric"] == "test accuracy"):
        text = f"- **{result['id']}**, `{result['model']}` on {result['data']}: "
        text += f"**{measured(result)}**, {result['n']} run{'s' * (result['n'] > 1)}"
        between = ", " if "values" in result else " to "
        if runs := between.join(f"{v:.4f}" for v in result.get("values", result.get("range", ()))):
            text += f" ({runs})"
        if validation := result.get("validation"):
            text += f"; validation {measured(validation)}"
        if linear := result.get("linear"):
            text += f"; {linear['model']} {measured(linear)}"
        text += f"; fit {seconds(result['fit_seconds'])} s"
        if process := result.get("process_seconds"):
            text += f", whole process {seconds(process)} s"
        text += ", other work beside it" if result.get("quiet") is False else ""
        text += ", on an Intel Xeon with AMX" if "Intel" in result["machine"] else ""
        seeds = f" (S = {result['seeds']})" if "seeds" in result else ""
        items.append(_wrapped(f"{text}. {result.get('note', '')}".rstrip()))
        items.append(_wrapped(f"  `{result['command']}`{seeds}"))
    return "\n".join(items) + "\n"


def tutorial(results: dict[str, Result]) -> str:
    """The comparison of ten epochs with the tutorial's script, in sentences."""
    result = results["tutorial/cifar_cnn_article"]
    ours, theirs = map(statistics.mean, map(result["test_accuracy"].get, ("ours", "tutorial")))
    fast = f"{min(result['values']):.1f} to {max(result['values']):.1f} times faster"
    lead = "Against the TensorFlow tutorial's script, the same network for the same ten epochs:\n"
    lead += f"{fast} ({result['n']} pairs of runs), "
    lead += f"test accuracy {ours:.3f} against {theirs:.3f}.\n"
    lead += "Ours: bfloat16, batches of 128, 45,000 training and 5,000 validation images.\n"
    return (
        lead
        + "The script: float32, batches of 32, 50,000 and 10,000 images, 1.14 times the work.\n"
    )


def pairs(results: dict[str, Result]) -> str:
    """The pairs of runs behind these sentences, one by one."""
    header = "runs|ours, fit s|the script, fit s|times faster|process, times faster|accuracy"
    rows = []
    for r in group(results, "tutorial"):
        times = (*r["fit_seconds"].values(), r["values"], r["process_seconds"]["ratio"])
        ours, theirs = map(statistics.mean, r["test_accuracy"].values())
        cells = (", ".join(map(str, each)) for each in times)
        rows.append((r["id"].split("/")[1], *cells, f"{ours:.3f} against {theirs:.3f}"))
    return table(header, rows)


def steps(results: dict[str, Result], sides: Sequence[str], form: Callable[[Result], str]) -> str:
    """How many times faster our training step is than that of each side."""
    rows = []
    for result in group(results, "steps"):
        cells = (form(r) if r else "" for r in map(result["times_faster"].get, sides))
        variant = f", {result['variant']}" if "variant" in result else ""
        name = f"`{result['model']}`{variant} ({result['batch_size']})"
        rows.append((name, f"{result['mean']:,}", *cells))
    return table("|".join(("network (batch)", "examples/s", *sides)), rows)


def kernels(results: dict[str, Result]) -> str:
    """Single layers with Keras's kernels and with the trainer's."""
    rows = (
        (r["model"], r["precision"], f"{r['keras']}", f"{r['mean']}", ratio(r["times_faster"]))
        for r in group(results, "kernels")
    )
    return table("layer|precision|Keras, ns|trainer, ns|times faster", rows)


def latency(results: dict[str, Result]) -> str:
    """Latency of exported models on single examples, compared with `model.predict`."""
    rows = []
    for result in group(results, "latency"):
        one, many = (ratio(result[key], "g") for key in ("times_faster", "large_batch"))
        rows.append((f"`{result['model']}`", str(result["mean"]), one, many))
    return table("model|one example, ms|times faster|times faster, 256 examples", rows)


BLOCKS: dict[str, Callable[[dict[str, Result]], str]] = {
    "models": models,
    "accuracy": details,
    "tutorial": tutorial,
    "pairs": pairs,
    "steps": lambda r: steps(r, _KERAS + _PYTORCH, lambda v: f"{v['median']:.2f}"),
    "steps_keras": lambda r: steps(r, _KERAS, ratio),
    "steps_pytorch": lambda r: steps(r, _PYTORCH, ratio),
    "kernels": kernels,
    "latency": latency,
}


def head(result: Result) -> str:
    """The line with the result in the head of a recipe."""
    linear = f" (linear model: {result['linear']['mean']:.4f})" if "linear" in result else ""
    line = f"# Test accuracy {measured(result)} over {result['n']} runs{linear}; "
    return (line + f"fit {seconds(result['fit_seconds'])} s on two CPU cores.").replace("±", "+-")


def rendered(root: pathlib.Path = ROOT) -> dict[pathlib.Path, str]:
    """Every file that shows results -> its up-to-date text."""
    results, texts = load(root), {}
    for path in (root / page for page in PAGES):
        text = path.read_text(encoding="utf-8")
        texts[path] = _BLOCK.sub(lambda m: m[1] + BLOCKS[m[2]](results) + m[3], text)
    for path in sorted((root / "trainers" / "recipes").glob("*.flags")):
        text = path.read_text(encoding="utf-8")
        texts[path] = _HEAD.sub(lambda _, name=path.stem: head(results[name]), text)
    return texts


def main() -> None:
    """Writes the files that differ from the results, and names them."""
    for path, text in rendered().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
