"""One file's content to pixels; test_photos.py has how many files are decoded and stored."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.core.pipeline import DataError
from pipelines.files import decoding, photo
from pipelines.steps import resizing
from pipelines.storage.photo_cache import Kind


def written(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("policy", ["squash", "crop", "pad"])
def test_pixels_are_those_of_the_export_and_the_shape_that_of_the_file(policy):
    content = written(np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8))
    kind = Kind(6, policy, "uint8", decoding.decoder())
    pixels, shape = decoding.decode(content, kind)
    assert (shape, pixels.dtype) == ((9, 14), np.uint8)
    exported = resizing.square(tf.constant(photo.decode(content)), 6, policy)
    np.testing.assert_array_equal(pixels, exported)


def test_what_is_no_image_is_refused():
    with pytest.raises(DataError, match="not an image"):
        decoding.decode(b"text", Kind(6, "squash", "uint8", decoding.decoder()))


def test_decoder_names_all_that_pixels_depend_on():
    assert all(name in decoding.decoder() for name in ("Pillow", "JPEG", "TensorFlow"))
