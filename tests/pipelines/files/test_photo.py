"""Image files of every format become the same pixels, or are refused."""

import io
import os
import struct

import numpy as np
import pytest
import tensorflow as tf
import threadpoolctl
from PIL import Image, features
from sklearn.linear_model import RidgeClassifier

from pipelines import DataError
from pipelines.files import photo
from pipelines.steps import image
from tests.pipelines.files import photographs

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


def test_read_refuses_a_file_larger_than_any_image_without_reading_it(tmp_path, monkeypatch):
    path = tmp_path / "cat.jpg"
    path.write_bytes(encoded(PICTURE, "PNG"))
    assert photo.read(path) == encoded(PICTURE, "PNG")
    os.truncate(path, 60 * 2**30)  # sparse
    monkeypatch.setattr(photo, "open", Unread, raising=False)
    with pytest.raises(DataError, match=r"^61,440 MiB, more than the 512 of an image$"):
        photo.read(path)


class Unread(io.FileIO):
    """A file that fails when it is read."""

    def read(self, *_):
        pytest.fail("read")


def test_decode_passes_a_lack_of_memory_on(monkeypatch):
    """Such a file is not damaged, and must not be skipped."""

    def short(*_, **__):
        raise MemoryError

    monkeypatch.setattr(photo.ImageOps, "exif_transpose", short)
    with pytest.raises(MemoryError):
        photo.decode(encoded(PICTURE, "PNG"))


def test_decode_ignores_a_transparency_that_would_leave_nothing():
    """Bitmaps of 32 bits may have a fourth byte that says nothing, 0 everywhere."""
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0, :3] = (10, 20, 30)
    found = photo.decode(encoded(Image.fromarray(pixels, "RGBA"), "PNG"))
    np.testing.assert_array_equal(found, pixels[..., :3])


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
        raw = photo.decode(encoded(Image.fromarray(pixels), kind), 1, "uint16")
        np.testing.assert_array_equal(raw[..., 0], pixels)
    with pytest.raises(DataError, match="8 bits or in colour, where the others are grey of 16"):
        photo.decode(encoded(PICTURE, "PNG"), 3, "uint16")
    dark = Image.fromarray(np.array([[0, 1023]], np.uint16))
    with pytest.raises(DataError, match="16 bits of which 10 are used, where the others have 8"):
        photo.decode(encoded(dark, "PNG"))
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


def tiff_of_sixteen_bit_colour(pixels: np.ndarray) -> bytes:
    """A TIFF file, which Pillow cannot write: one strip behind the header, then its tags."""
    height, width, _ = pixels.shape
    strip = pixels.astype("<u2").tobytes()
    end = 8 + len(strip)
    tags = {256: width, 257: height, 258: end, 262: 2, 273: 8, 277: 3, 278: height, 279: len(strip)}
    described = b"".join(
        struct.pack("<HHII", k, 3, 3 if k == 258 else 1, v) for k, v in tags.items()
    )
    counts = struct.pack("<HHHH", 16, 16, 16, len(tags))  # bits of each colour, number of tags
    return b"II*\0" + struct.pack("<I", end + 6) + strip + counts + described + bytes(4)


@pytest.mark.parametrize(
    "encode", [lambda pixels: tf.io.encode_png(pixels).numpy(), tiff_of_sixteen_bit_colour]
)
def test_decode_refuses_sixteen_bit_colour_that_would_be_black(encode):
    pixels = np.arange(18, dtype=np.uint16).reshape(2, 3, 3) * 3855
    np.testing.assert_array_equal(photo.decode(encode(pixels)), pixels >> 8)
    with pytest.raises(DataError, match="16 bits a colour of which at most 12 are used: save"):
        photo.decode(encode(pixels >> 4))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "fractions.*: save it"),
        (encoded(Image.fromarray(np.array([[70_000, 0]], np.int32)), "TIFF"), "0 to 70000.*: save"),
        (encoded(Image.fromarray(np.array([[-1000, 0]], np.int32)), "TIFF"), "-1000 to 0.*: save"),
        (
            encoded(Image.fromarray(np.array([[0, 65535]], np.uint16)), "PNG", transparency=0),
            "with a transparent value: save",
        ),
    ],
)
def test_decode_refuses_pixels_of_unknown_range(content, reason, dtype):
    with pytest.raises(DataError, match=reason):
        photo.decode(content, dtype=dtype)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {"transparency": 3}),  # a colour of the palette
        ("GIF", {"transparency": 3}),
        ("PNG", {}),
    ],
)
def test_decode_looks_colours_of_a_palette_up(kind, options):
    indices = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    indices.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255, 10, 20, 30])
    last = [255, 255, 255] if options else [10, 20, 30]
    expected = [[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], last]]
    np.testing.assert_array_equal(photo.decode(encoded(indices, kind, **options)), expected)


@pytest.mark.parametrize(
    ("brand", "kind"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")]
)
def test_decode_names_a_kind_that_needs_a_plug_in(brand, kind, monkeypatch):
    monkeypatch.setattr(photo, "FORMATS", ("JPEG", "PNG"))  # as where it is not installed
    content = b"\0\0\0\x18ftyp" + brand + 12 * b"\0"
    assert photo.looks_like_image(content[:12])
    with pytest.raises(DataError, match=f"a {kind} image: install .*, or save it as JPEG or PNG"):
        photo.decode(content)


def test_decode_reads_avif_where_pillow_does():
    if not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    flat = Image.new("RGB", (32, 24), (200, 120, 40))
    found = photo.decode(encoded(flat, "AVIF", quality=95)).astype(int)
    assert np.abs(found - [200, 120, 40]).max() <= 6


@pytest.mark.parametrize(
    ("sides", "size", "scale"),
    [
        ((640, 480), 20, 8),  # 80 x 60, where 40 are wanted
        ((640, 319), 20, 4),  # an eighth would have 39.9 pixels down
        ((640, 480), 60, 4),
        ((640, 480), 61, 2),
        ((640, 480), 121, 1),
        ((320, 640), 20, 8),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_decode_to_shrink_keeps_both_sides_twice_as_long(sides, size, scale, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = photographs.originals()[0].resize(sides)
    content = photographs.jpeg(picture, exif=exif)
    pixels, whole = photo.decode_to_shrink(content, size)
    upright = sides if orientation == 6 else sides[::-1]  # (height, width)
    assert whole == upright
    assert pixels.shape == (*(-(-side // scale) for side in upright), 3)
    assert min(pixels.shape[:2]) >= 2 * size or scale == 1
    exact = photo.decode(content)
    assert exact.shape == (*upright, 3)
    if orientation == 6:
        lying, _ = photo.decode_to_shrink(photographs.jpeg(picture), size)
        np.testing.assert_array_equal(pixels, np.rot90(lying, -1))
    elif scale == 1:
        np.testing.assert_array_equal(pixels, exact)
    else:  # means of squares of 2 to 8 pixels a side
        rows, columns = (side // scale for side in upright)
        squares = exact[: rows * scale, : columns * scale]
        means = squares.reshape(rows, scale, columns, scale, 3).mean(axis=(1, 3))
        assert np.abs(pixels[:rows, :columns] - means).mean() < 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_decode_to_shrink_of_other_files_is_the_accurate_one(kind):
    content = encoded(photographs.originals()[1], kind)
    pixels, whole = photo.decode_to_shrink(content, 8)
    np.testing.assert_array_equal(pixels, photo.decode(content))
    assert whole == (427, 640)


def test_decode_to_shrink_reduces_the_first_of_several_pictures_of_a_phone():
    """MPO: JPEG files one after the other."""
    one, other = photographs.originals()
    content = photographs.jpeg(one)
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).save(out, "MPO", save_all=True, append_images=[other])
    pixels, whole = photo.decode_to_shrink(out.getvalue(), 20)
    assert (whole, pixels.shape) == ((427, 640), (54, 80, 3))
    assert np.abs(pixels - photo.decode_to_shrink(content, 20)[0].astype(float)).mean() < 3


def test_decode_to_shrink_refuses_what_decode_refuses(monkeypatch):
    content = photographs.jpeg(photographs.originals()[0])
    with pytest.raises(DataError, match="truncated"):
        photo.decode_to_shrink(content[: len(content) // 2], 8)
    with pytest.raises(DataError, match="8 bits or in colour"):
        photo.decode_to_shrink(content, 8, "uint16")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 427 * 640 - 1)
    with pytest.raises(DataError, match="pixel"):
        photo.decode_to_shrink(content, 8)  # of the whole, not of what is decoded of it


def test_two_hundred_photographs_differ_little_when_they_are_decoded_reduced():
    """As docs/your_own_images.md says: 1.5 of 255 grey levels, 2% of a model's answers."""
    size, num_seen, qualities = 24, 120, (75, 85, 92, 97)
    made = list(photographs.photographs(num_seen + 200, largest=400, seed=0))
    labels = np.array([label for label, _ in made])
    contents = [photographs.jpeg(p, qualities[i % 4]) for i, (_, p) in enumerate(made)]
    reduced = [photo.decode_to_shrink(content, size)[0] for content in contents]
    exact = [photo.decode(content) for content in contents[num_seen:]]
    smaller = [a.size < b.size for a, b in zip(reduced[num_seen:], exact, strict=True)]
    assert np.mean(smaller) > 0.9
    trained, served = (
        np.stack([image.resize(tf.constant(p), size) for p in pictures]).astype(float)
        for pictures in (reduced, exact)
    )
    seen, asked = trained[:num_seen], trained[num_seen:]
    with threadpoolctl.threadpool_limits(1):
        model = RidgeClassifier(3e4).fit(seen.reshape(num_seen, -1), labels[:num_seen])
        answers = [model.predict(pictures.reshape(200, -1)) for pictures in (asked, served)]
    assert 0.6 < np.mean(answers[1] == labels[num_seen:]) < 1.0  # some are nearly another class
    assert np.mean(answers[0] != answers[1]) <= 0.02
    assert np.abs(asked - served).mean() <= 1.5


def test_a_camera_raw_file_is_not_an_image_though_it_begins_like_one(tmp_path):
    for name in ("a.tif", "a.NEF", "a"):
        Image.new("L", (3, 2)).save(tmp_path / name, "TIFF")
    names = [name for name in ("a.tif", "a.NEF", "a") if photo.begins_as_image(tmp_path / name)]
    assert names == ["a.tif", "a"]
