"""The benchmark of the tokenizers: both sides are measured, and compared over real texts."""

import re

import pytest

from pipelines import DataError
from pipelines.storage import builders
from tests.conftest import ROOT, run_python


@pytest.mark.slow
def test_both_sides_give_the_same_ids_of_film_reviews():
    pytest.importorskip("tokenizers")
    try:
        builders.check_prepared("imdb_reviews/plain_text:1.*.*", None)
    except DataError:
        pytest.skip("imdb_reviews is not prepared in TFDS_DATA_DIR")
    script = f"{ROOT}/benchmarks/tokenizer_speed.py"
    printed = run_python(script, "--tiny", "--compare", "--vocab_size=2000").stdout
    found = re.findall(r"(\w+) +1024 texts, (\d+) ids: 0 texts differ, 0 lost bytes", printed)
    assert [name for name, _ in found] == ["bytes", "word_pieces"]
    assert all(int(number) > 200_000 for _, number in found)
    printed = run_python(script, "--tiny", "--repeats=1", "--vocab_size=2000").stdout
    assert len(re.findall(r"ours \d+\.\d\d MB/s", printed)) == 3
    assert len(re.findall(r"theirs \d+\.\d\d MB/s", printed)) == 2
