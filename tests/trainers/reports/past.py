"""A finished run without the training: what the page is drawn from."""

import html.parser
import json
import types

import numpy as np

from trainers.config.settings import resolve
from trainers.devices import precision
from trainers.evaluation import baselines, records, statistics
from trainers.evaluation.baselines import Baselines
from trainers.evaluation.evaluate import Evaluation
from trainers.store import run_folder
from trainers.tasks import registry

_VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """A page's tags and text; every tag must be closed."""

    def __init__(self, content: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def evaluation(prepared, split: str, noise: float = 2.0) -> Evaluation:
    """Answers around the truth, as an export would give them."""
    target = prepared.rows[split].table["label"]
    random = np.random.default_rng(len(split))
    if prepared.task == "classification":
        truth = 4.0 * np.eye(len(prepared.class_names))[target]
    elif prepared.task == "regression":
        truth = target[:, None]
    else:
        truth = 4.0 * target.reshape(len(target), -1) - 2
    outputs = {"logits": (truth + random.normal(0, noise, truth.shape)).astype(np.float32)}
    metrics = statistics.metrics(registry.get(prepared.task).statistics(outputs, target))
    return Evaluation(metrics, np.arange(len(target)), target, outputs)


def past_run(folder, prepared, **changes):
    """A folder as a run leaves it; stands for a trainers.store.finished.Finished."""
    (folder / "export" / "mlp_binary" / "1").mkdir(parents=True)
    settings = resolve("mlp_binary", {"workdir": str(folder), "report_baseline": False, **changes})
    facts = {"precision_because": "asked for", "replicas": 1, **precision.describe()}
    run = run_folder.record(folder, settings, prepared, "float32", facts)
    metrics = registry.describe(prepared.task).metrics
    with open(folder / "metrics.jsonl", "w") as file:
        for epoch, value in ((1, 0.75), (2, 0.5), (3, 0.625)):
            values = {f"epoch/{name}": value for name in metrics}
            for split in ("train", "validation"):
                line = {"step": epoch, "epoch": epoch, "split": split, **values}
                print(json.dumps(line), file=file)
    tested = {split: evaluation(prepared, split) for split in ("validation", "test")}
    found = Baselines([baselines.constant_answer(prepared)], "--report_baseline=false")
    report = {
        "model": "mlp_binary",
        "seed": 0,
        "parameters": 1234567,
        "epochs": 3,
        "precision": "float32",
        "seconds": {"fit": 1.0, "total": 2.0},
        **{split: one.metrics for split, one in tested.items()},
        "baseline": found.described(),
        "no_baseline": found.missing,
        "export": "export/mlp_binary/1",
    }
    return types.SimpleNamespace(
        folder=folder,
        settings=settings,
        facts=run.facts,
        report=report,
        prepared=prepared,
        examples=records.examples(prepared, registry.get(prepared.task), tested["test"]),
        predictions={s: records.predictions(one, found, s) for s, one in tested.items()},
    )
