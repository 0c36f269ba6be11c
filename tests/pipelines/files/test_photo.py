"""Image files of every format become the same pixels, or are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines import DataError
from pipelines.files import photo

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[9, 80, 7], [0, 0, 0], [90, 9, 255]]])
PICTURE = Image.fromarray(COLOURS.astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_decode_of_lossless_formats_gives_the_pixels(kind):
    np.testing.assert_array_equal(photo.decode(encoded(PICTURE, kind)), COLOURS)
    palette = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(photo.decode(encoded(palette, kind)), COLOURS)


def test_decode_of_webp_gives_the_pixels():
    found = photo.decode(encoded(PICTURE, "WEBP", lossless=True))
    np.testing.assert_array_equal(found, COLOURS)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_decode_of_jpeg_takes_every_colour_space(mode):
    flat = Image.new("RGB", (40, 30), (200, 120, 40)).convert(mode)
    found = photo.decode(encoded(flat, "JPEG", quality=95))
    assert found.shape == (30, 40, 3)
    expected = np.asarray(flat.convert("RGB"), float)
    assert np.abs(found - expected).max() <= 3


def test_decode_makes_transparent_parts_white_and_half_transparent_ones_half():
    pixels = np.array([[[255, 0, 0, 0], [255, 0, 0, 128], [10, 20, 30, 255]]], np.uint8)
    found = photo.decode(encoded(Image.fromarray(pixels, "RGBA"), "PNG"))
    np.testing.assert_array_equal(found, [[[255, 255, 255], [255, 127, 127], [10, 20, 30]]])
    grey = Image.fromarray(np.array([[[0, 0], [50, 255]]], np.uint8), "LA")
    np.testing.assert_array_equal(photo.decode(encoded(grey, "PNG"))[..., 0], [[255, 50]])
    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 40, 50, 60])
    palette.putdata([0, 1])
    found = photo.decode(encoded(palette, "PNG", transparency=0))
    np.testing.assert_array_equal(found, [[[255, 255, 255], [40, 50, 60]]])


def test_decode_of_sixteen_bit_grey_keeps_its_upper_half():
    pixels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        found = photo.decode(encoded(Image.fromarray(pixels), kind))
        np.testing.assert_array_equal(found[..., 0], [[0, 0, 1, 128, 255]])
        np.testing.assert_array_equal(found[..., 1], found[..., 0])
    one_bit = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(photo.decode(encoded(one_bit, "PNG"))[..., 2], [[255, 0]])


def test_decode_makes_grey_on_request():
    found = photo.decode(encoded(PICTURE, "PNG"), channels=1)
    assert found.shape == (2, 3, 1)
    assert found[0, 1, 0] == 150  # 0.587 of 255, the weight of green in luma


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (6, lambda x: np.rot90(x, -1)),
        (8, lambda x: np.rot90(x, 1)),
    ],
)
def test_decode_turns_pictures_upright(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = photo.decode(encoded(PICTURE, "PNG", exif=exif))
    np.testing.assert_array_equal(found, upright(COLOURS))


def test_decode_takes_the_first_frame_of_a_moving_picture():
    other = Image.new("RGB", (3, 2), "white")
    content = encoded(PICTURE, "GIF", save_all=True, append_images=[other])
    np.testing.assert_array_equal(photo.decode(content), COLOURS)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image that can be read"),
        (b"plain text", "not an image that can be read"),
        (encoded(NOISE, "JPEG")[:900], "truncated|cannot|broken"),
        (encoded(NOISE, "PNG")[:900], "truncated|cannot|broken"),
        (encoded(NOISE, "GIF")[:900], "truncated|cannot|broken"),
        (encoded(NOISE, "WEBP")[:300], "."),
        (encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "fractions"),
    ],
)
def test_decode_refuses_damaged_files(content, reason):
    with pytest.raises(DataError, match=reason):
        photo.decode(content)


@pytest.mark.parametrize("limit", [4, 2])  # Pillow itself warns above, and refuses twice of it
def test_decode_refuses_too_many_pixels(limit, monkeypatch):
    content = encoded(PICTURE, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match="pixels"):
        photo.decode(content)
