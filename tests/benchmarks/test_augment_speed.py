"""The benchmark of augmentations: every operation has its line, most beside Pillow."""

import re

import pytest

from tests.conftest import ROOT, run_python


@pytest.mark.slow
def test_every_operation_has_its_line(tmp_path):
    words = ("--rounds=1", "--seconds=0", "--sizes=32")
    printed = run_python(f"{ROOT}/benchmarks/augment_speed.py", *words, cwd=tmp_path).stdout
    rows = re.findall(r"^(\S.{17}) +32 +([\d,]+)(?: +([\d,]+)  ([\d.]+))?$", printed, re.M)
    names = [name.strip() for name, *_ in rows]
    assert len(names) == 14 + 8, printed
    beside = [name.strip() for name, _, pillow, _ in rows if pillow]
    assert len(beside) == 14 + 2, printed
