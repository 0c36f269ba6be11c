"""The section on features that were learnt without labels."""

import re

from trainers.reports import probe


def test_section_says_what_was_compared_and_how_well():
    found = {
        "rows": 1200,
        "neighbours": 200,
        "validation": {"knn": 0.51237, "linear": 0.6},
        "test": {"knn": 0.5, "linear": 0.61},
    }
    text = re.sub(r"<[^>]+>", " ", str(probe.section(found)))
    assert "vote of the 200 nearest training rows" in text
    assert "labels of 1\u202f200 training rows" in text
    cells = re.findall(r"\d\.\d{4}", text)
    assert sorted(cells) == ["0.5000", "0.5124", "0.6000", "0.6100"]
    header = re.findall(r"(\w+) accuracy", text)
    values = {"test": ("0.5000", "0.6100"), "validation": ("0.5124", "0.6000")}
    assert cells == [values[split][row] for row in (0, 1) for split in header]
