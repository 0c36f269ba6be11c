"""The page's section on features that were learnt without labels."""

from collections.abc import Mapping
from typing import Any

from trainers.reports import html
from trainers.reports.html import Html, count
from trainers.store.finished import SPLITS

_NAMES = {
    "knn": "vote of the {neighbours} nearest training rows",
    "linear": "logistic regression on the features",
}


def section(results: Mapping[str, Any]) -> Html:
    """Accuracies of simple models of the features: report.json's `probe`."""
    header = ["", *(f"{split} accuracy" for split in reversed(SPLITS))]
    lines = [
        [meaning.format(**results), *(f"{results[split][name]:.4f}" for split in reversed(SPLITS))]
        for name, meaning in _NAMES.items()
    ]
    remark = (
        f"Fitted to the exported features and the labels of {count(results['rows'])} training "
        "rows, without augmentation; the network was not trained on the labels. Neighbours are the "
        "rows with the highest cosine similarity c, each weighted by exp(10 c); the penalty of the "
        "regression is chosen by validation."
    )
    return html.section("Features", html.table(header, lines, kind="numbers"), html.note(remark))
