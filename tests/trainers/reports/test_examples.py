"""Rows of a split as a reader sees them: images, texts and columns."""

import base64
import io
import re

import numpy as np
from PIL import Image

from tests.conftest import made_pipeline
from trainers.reports import examples
from trainers.tasks.registry import Mistakes
from zoo.spec import Field


def with_field(field: Field):
    prepared = made_pipeline("binary")
    return prepared.replace(schema=prepared.schema._replace(raw={"x": field}))


def test_grey_and_large_images_are_shown():
    grey = np.arange(0, 96, dtype=np.uint8).reshape(8, 12, 1)
    picture = Image.open(io.BytesIO(base64.b64decode(examples.png(grey).partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture), grey[..., 0])
    large = np.zeros((300, 600, 3), np.uint8)
    picture = Image.open(io.BytesIO(base64.b64decode(examples.png(large).partition(",")[2])))
    assert picture.size == (160, 80)


def test_images_stand_over_what_was_answered():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
    body = examples.gallery(
        with_field(Field((8, 9, 3), "uint8")), {"x": images}, [5, 3], [("<cat>",), ("dog",)], ["is"]
    )
    uris = re.findall(r'src="data:image/png;base64,([^"]+)"', body)
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(uri)))) for uri in uris]
    np.testing.assert_array_equal(shown, images)
    assert 'alt="is &lt;cat&gt;"' in body
    assert 'title="row 5"' in body


def test_texts_are_cut_and_escaped():
    texts = np.array([b"<b>" + b"long " * 200, b"two\nlines \xff"], object)
    body = examples.gallery(
        with_field(Field((), "string")), {"x": texts}, [0, 1], [("a",), ("b",)], ["answered"]
    )
    assert "&lt;b&gt;long" in body
    assert "long ..." in body or "lo ..." in body
    assert "two lines \N{REPLACEMENT CHARACTER}" in body


def test_columns_show_numbers_and_what_is_missing():
    body = examples.gallery(
        with_field(Field((), "float32")),
        {"x": np.array([1.5, np.nan], np.float32), "y": np.array([b"cat", b""], object)},
        [7, 8],
        [("a",), ("b",)],
        ["answered"],
    )
    assert '<th scope="row">7</th><td>a</td><td>1.5</td><td>cat</td>' in body
    assert "<td>missing</td>" in body


def test_mistakes_are_shown_as_far_as_their_rows_were_kept():
    found = Mistakes(
        "Largest errors", "", np.array([2, 0, 1]), ("error",), [("c",), ("a",), ("b",)]
    )
    row = np.array([10, 11, 12])  # of the evaluation
    kept = {"row": np.array([10, 12]), "fields/x": np.array([0.5, 0.25], np.float32)}
    prepared = with_field(Field((), "float32"))
    body = examples.mistakes_section(prepared, found, row, kept)
    assert re.findall(r'scope="row">(\d+)</th><td>(\w)</td><td>([\d.]+)', body) == [
        ("12", "c", "0.25"),
        ("10", "a", "0.5"),
    ]
    none = found._replace(index=np.array([], np.int64))
    body = examples.mistakes_section(prepared, none, row, kept)
    assert "There are no mistakes in the test rows." in body


def test_mistakes_of_texts_have_the_words_that_moved_them():
    found = Mistakes("Mistakes", "", np.array([1]), ("answered",), [("good",)])
    texts = np.array([b"fine", b"not bad <at> all"], object)
    moved = np.array([b"", b"bad -0.30, <at> +0.10"], object)
    kept = {"row": np.array([0, 4]), "fields/text": texts, "moved": moved}
    prepared = with_field(Field((), "string"))
    body = examples.mistakes_section(prepared, found, np.array([0, 4]), kept)
    cell = '<span class="moved">bad -0.30, &lt;at&gt; +0.10</span>'
    assert f"<td>good</td><td>{cell}</td><td>not bad &lt;at&gt; all</td>" in body
    assert "without any occurrence of a word" in body


def test_map_of_what_moved_an_answer_stands_under_its_image():
    images = np.full((2, 14, 14, 3), 100, np.uint8)
    maps = np.full((2, 7, 7), np.nan, np.float32)
    maps[0] = 0.0
    maps[0, 1, 1], maps[0, 5, 5] = 0.4, -0.2
    field = with_field(Field((14, 14, 3), "uint8"))
    body = examples.gallery(field, {"x": images}, [5, 3], [("a",), ("b",)], ["is"], maps)
    uris = re.findall(r'src="data:image/png;base64,([^"]+)"', body)
    assert body.count("what influenced the prediction for row 5") == 1
    assert len(uris) == 3
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uris[1])))).astype(int)
    np.testing.assert_array_equal(shown[6, 6], 100)  # nothing moved there
    red, blue = shown[2, 2], shown[11, 11]
    assert red[0] > 100 + 30
    assert red[2] < 100
    assert blue[2] > 100 + 10
    assert blue[0] < 100
    assert red[0] - 100 > blue[2] - 100  # twice the change


def test_faint_changes_are_pale():
    grey = np.full((7, 7, 1), 100, np.uint8)
    strong, faint = (examples.heat(grey, np.full((7, 7), v))[0, 0] for v in (0.05, 0.005))
    # Of 0.05 all is as red as it can be: 0.3 x 100 + 0.7 x (214, 39, 40), a tenth of it of 0.005.
    np.testing.assert_array_equal(strong, [180, 57, 58])
    np.testing.assert_array_equal(faint, [108, 96, 96])
