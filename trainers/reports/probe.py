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


def section(found: Mapping[str, Any]) -> Html:
    """Accuracies of simple models of the features: report.json's `probe`."""
    header = ["", *(f"{split} accuracy" for split in reversed(SPLITS))]
    lines = [
        [meaning.format(**found), *(f"{found[split][name]:.4f}" for split in reversed(SPLITS))]
        for name, meaning in _NAMES.items()
    ]
    remark = (
        f"The labels of {count(found['rows'])} training rows, which the network was not trained "
        "on, and its exported features, without augmentation. Neighbours are those of the highest "
        "cosine, each weighing e to the tenfold cosine; the penalty of the regression is chosen "
        "by validation."
    )
    return html.section("Features", html.table(header, lines, kind="numbers"), html.note(remark))
