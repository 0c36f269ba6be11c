"""The section of the page about hidden patches."""

import numpy as np

from trainers.reports import rebuilt


def test_each_kind_of_picture_is_a_row():
    page = str(rebuilt.section(np.zeros((5, 3, 8, 8, 1), np.uint8)))
    assert page.count("<img ") == 15
    for name in ("visible part", "prediction", "original"):
        assert page.count(f'alt="{name}, example ') == 5
