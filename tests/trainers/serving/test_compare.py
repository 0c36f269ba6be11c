"""An export is asked in a process without our packages, and its answers are compared."""

import numpy as np
import pytest
import tensorflow as tf

from trainers.errors import ArtefactError
from trainers.serving import compare

TEXTS = np.array([b"a\0b", b"", b"\xff\0"], object)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two signatures: one of numbers, one of texts."""
    folder = tmp_path_factory.mktemp("export")
    number = tf.TensorSpec((None,), tf.float32, name="x")
    text = tf.TensorSpec((None,), tf.string, name="text")
    double = tf.function(lambda x: {"double": 2 * x, "positive": x > 0})
    echo = tf.function(lambda text: {"text": text, "length": tf.strings.length(text)})
    signatures = {
        "double": double.get_concrete_function(x=number),
        "echo": echo.get_concrete_function(text=text),
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    return folder


def test_every_signature_is_asked_and_texts_keep_their_zero_bytes(exported):
    x = np.array([1.5, -2.0], np.float32)
    found = compare.run_in_new_process(exported, {"double": {"x": x}, "echo": {"text": TEXTS}})
    np.testing.assert_array_equal(found["double"]["double"], [3.0, -4.0])
    assert found["double"]["positive"].tolist() == [True, False]
    assert found["echo"]["text"].tolist() == TEXTS.tolist()
    assert found["echo"]["length"].tolist() == [3, 0, 2]


def test_packages_are_found_where_this_process_finds_them(exported, tmp_path, monkeypatch):
    """As those of `pip install --user`, where isolated processes do not look."""
    (tmp_path / "only_here.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    program = compare._SCRIPT.replace("import numpy", "import only_here\nimport numpy")
    monkeypatch.setattr(compare, "_SCRIPT", program)
    found = compare.run_in_new_process(exported, {"double": {"x": np.ones(1, np.float32)}})
    assert found["double"]["double"].tolist() == [2.0]


def test_an_export_that_does_not_load_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="does not load by itself"):
        compare.run_in_new_process(tmp_path, {"double": {"x": np.zeros(1, np.float32)}})


def test_numbers_may_differ_by_their_rounding():
    a = {"f": {"y": np.array([1.0, 1000.0])}}
    compare.check_equal(a, {"f": {"y": a["f"]["y"] * (1 + 0.9e-5)}})
    with pytest.raises(
        ArtefactError, match=r"f of the export: y differs from the model's by 2\.0e-05"
    ):
        compare.check_equal(a, {"f": {"y": a["f"]["y"] * (1 + 2e-5)}})


def test_a_value_that_is_not_a_number_is_refused():
    with pytest.raises(ArtefactError, match="differs"):
        compare.check_equal({"f": {"y": np.ones(2)}}, {"f": {"y": np.array([1.0, np.nan])}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([b"cat", b"dog"], object), np.array([b"cat", b"ship"], object)),
        (np.array([True, False]), np.array([True, True])),
    ],
)
def test_classes_and_texts_are_compared_where_the_signature_is_exact(one, other):
    compare.check_equal({"f": {"y": one}}, {"f": {"y": other}})  # they may follow from a tie
    compare.check_equal({"f": {"y": one}}, {"f": {"y": one.copy()}}, exact=["f"])
    with pytest.raises(ArtefactError, match=r"y is .* where the model's is"):
        compare.check_equal({"f": {"y": one}}, {"f": {"y": other}}, exact=["f"])


def test_other_outputs_and_shapes_are_refused():
    with pytest.raises(ArtefactError, match=r"returns \['z'\], expected \['y'\]"):
        compare.check_equal({"f": {"y": np.ones(2)}}, {"f": {"z": np.ones(2)}})
    with pytest.raises(ArtefactError, match=r"has shape \(3,\), the model's \(2,\)"):
        compare.check_equal({"f": {"y": np.ones(2)}}, {"f": {"y": np.ones(3)}})


def test_operands_of_tf32_would_be_noticed():
    """Ten bits of mantissa in a product of 256: 1e-4 and more, where 1e-5 is allowed."""
    random = np.random.default_rng(0)
    a, b = (random.normal(size=shape).astype(np.float32) for shape in ((8, 256), (256, 4)))
    rounded = [(x.view(np.int32) + 0x1000 & ~0x1FFF).view(np.float32) for x in (a, b)]
    with pytest.raises(ArtefactError, match="differs"):
        compare.check_equal({"f": {"y": a @ b}}, {"f": {"y": rounded[0] @ rounded[1]}})


def test_pixels_may_differ_by_one_level():
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    compare.check_equal({"generate": {"image": pixels}}, {"generate": {"image": pixels + 1}})
    with pytest.raises(ArtefactError, match="image differs from the model's by 2 of 255 levels"):
        compare.check_equal({"generate": {"image": pixels}}, {"generate": {"image": pixels + 2}})
    with pytest.raises(ArtefactError, match="where the model's is"):
        compare.check_equal(
            {"generate": {"image": pixels}}, {"generate": {"image": pixels + 1}}, ["generate"]
        )
