"""The page docs/your_own_text.md shows the messages that there are."""

import pathlib
import re

import pytest

import pipelines
from pipelines import DataError
from pipelines.storage import tfds
from tests.conftest import ROOT
from tests.pipelines.test_text_table import TEXTS
from trainers.tasks import registry as tasks

PAGE = pathlib.Path(ROOT, "docs", "your_own_text.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^error: (.*)$", PAGE, flags=re.MULTILINE)
JSON = '{"review": "Superb", "stars": 5}\n'
POSTS = "".join(f'{i},"{t}","{t} {t}",{i % 2}\n' for i, t in enumerate(TEXTS))
FILES = {
    "book.txt": "It was a dark night.\nIt rained.\n",
    "notes.tsv": "x\tone\ny\ttwo\n" * 10 + "three\n",
    "reviews.jsonl": JSON * 2 + '{"review": "Superb"; "stars": 5}\n',
    "array.json": f"[{JSON}]",
    "posts.csv": f"id,title,body,topic\n{POSTS}",
    **{f"aclImdb/train/{k}/{i}.txt": "a" for k in ("pos", "neg") for i in range(3)},
    **{f"letters/{i}.txt": "Dear Ann,\nyours" for i in range(25)},
    **{f"news/{name}/all.txt": "a line\n" * 40 for name in ("sport", "weather")},
}
CASES = [  # in the order of the page
    ("text_lines", "book.txt", {}),
    ("text_lines", "notes.tsv", None),
    ("text_lines", "reviews.jsonl", {}),
    ("text_lines", "aclImdb", {}),
    ("text_lines", "letters", {}),
    ("text_folder", "letters", {}),
    ("text_folder", "news", {}),
    ("text_table", "posts.csv", {}),
    ("text_table", "posts.csv", {"target": "topic"}),
    ("text_table", "reviews.jsonl", {"target": "stars"}),
    ("text_table", "array.json", {"target": "stars"}),
]


@pytest.mark.parametrize(("message", "case"), list(zip(SHOWN, CASES, strict=True)))
def test_page_shows_messages_as_they_are(message, case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    name, files, options = case
    pipeline = pipelines.get(name, data_files=files, **(options or {}))
    with pytest.raises(DataError) as caught:
        tfds.load(tasks.source("masked_lm", pipeline) if options is None else pipeline)
    assert str(caught.value) == message
