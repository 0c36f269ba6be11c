"""Decodes image files, for training and for `trainers.predict`. Pillow and NumPy only."""

import io
import os
import pathlib

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, features

from pipelines.core.pipeline import DataError

try:  # a plug-in that makes Pillow read HEIC
    from pillow_heif import register_heif_opener
except ImportError:
    _HEIF: tuple[str, ...] = ()
else:
    register_heif_opener()
    _HEIF = ("HEIF",)

_AVIF = ("AVIF",) if features.check("avif") else ()  # depends on how Pillow was built
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", *_AVIF, *_HEIF)
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif"),
)
# Camera raw files begin as TIFF files do, but Pillow reads at most their preview, and a JPEG of the
# same photograph often lies beside them.
_RAW = (".cr2", ".dng", ".nef", ".nrw", ".arw", ".orf", ".pef", ".rw2", ".srw")
DECODER = 1  # to be increased when files decode to other pixels: it invalidates caches
# Most bytes of a file: twice those of the largest image that Pillow opens, uncompressed, in colour.
LARGEST = 512 * 2**20
_KINDS = {  # brands of ISO media files
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_PLUG_INS = {"HEIC": "pillow-heif", "AVIF": "Pillow 11.3 or later with AVIF"}
_FRACTIONS = "pixels are fractions of unknown range: save it with 8 bits, or as grey of 16"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")


def read(path: pathlib.Path) -> bytes:
    """The content of an image file. DataError: it has more than `LARGEST` bytes; it is not read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise DataError(
                f"{size / 2**20:,.0f} MiB, more than the {LARGEST / 2**20:,.0f} of an image"
            )
        return file.read(LARGEST)


def decode(content: bytes, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    """The first frame of an image file, rotated by its EXIF tag: (H, W, channels).

    Transparent parts become white. Colour profiles are not applied.

    Args:
        channels: 3 for colour, 1 for grey.
        dtype: uint8, or uint16 for the unchanged values of 16-bit grey; uint8 keeps their upper
            eight bits.

    Raises:
        DataError: the file is not an image, is truncated, or has more pixels than Pillow's limit
            against decompression bombs; it has 8 bits or colour, but `dtype` is uint16; it has 16
            bits of which at most 12 are used, but `dtype` is uint8; its pixels are fractions, or
            whole numbers beyond 16 bits.
    """
    return _decoded(content, channels, dtype, None)[0]


def decode_to_shrink(
    content: bytes, size: int, dtype: str = "uint8"
) -> tuple[np.ndarray, tuple[int, int]]:
    """As `decode`, but faster for an image that will be shrunk to `size` pixels per side.

    A JPEG is decoded at the smallest of 1/2, 1/4 and 1/8 of its scale at which both sides are at
    least twice `size`: the inverse DCT then computes fewer pixels per block.

    Returns:
        (H, W, 3) of the reduced image, and (height, width) of the original one, both upright.

    Raises:
        DataError: as `decode`.
    """
    return _decoded(content, 3, dtype, size)


def _decoded(
    content: bytes, channels: int, dtype: str, size: int | None
) -> tuple[np.ndarray, tuple[int, int]]:
    try:
        with _opened(content) as image:
            width, height = image.size
            if width * height > Image.MAX_IMAGE_PIXELS:
                raise DataError(f"{width}x{height} pixels are more than Pillow allows")
            if size is not None:
                # Only JPEG files have a draft. The size asked for is square, so that it does not
                # matter that the image is rotated afterwards.
                image.draft(None, (2 * size, 2 * size))
            upright = ImageOps.exif_transpose(image)
            turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            if dtype == "uint16":
                pixels = np.repeat(_sixteen_bits(upright)[..., None], channels, axis=-1)
            else:
                _check_depth(image, content)
                pixels = np.asarray(_opaque(upright).convert("L" if channels == 1 else "RGB"))
    except (DataError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # damaged files raise a dozen kinds, from struct.error to SyntaxError
        raise DataError(str(error) or type(error).__name__) from error
    whole = (width, height) if turned else (height, width)
    return pixels.reshape(*pixels.shape[:2], channels), whole


def is_wide(path: pathlib.Path) -> bool | None:
    """Whether an image file is grey of 16 bits; None: it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.mode.startswith("I")
    except Exception:  # as in `decode`, which names the error
        return None


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG, GIF, TIFF, WebP, HEIC or AVIF file."""
    return (
        head.startswith(_SIGNATURES)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _KINDS)
    )


def begins_as_image(path: pathlib.Path) -> bool:
    """Whether a file begins like an image (see `looks_like_image`) and is no camera raw file."""
    if path.suffix.lower() in _RAW or not path.is_file():
        return False
    with open(path, "rb") as file:
        return looks_like_image(file.read(12))


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        kind = _KINDS.get(content[8:12]) if content[4:8] == b"ftyp" else None
        if kind is not None:
            raise DataError(
                f"a {kind} image: install {_PLUG_INS[kind]}, or save it as JPEG or PNG"
            ) from error
        raise DataError(f"not an image that can be read ({', '.join(FORMATS)})") from error


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise DataError(_FRACTIONS)
    if not image.mode.startswith("I"):
        raise DataError(
            "8 bits or in colour, where the others are grey of 16: save all of them alike"
        )
    if "transparency" in image.info:
        raise DataError("grey of 16 bits with a transparent value: save it without transparency")
    pixels = np.asarray(image, np.int64)
    if pixels.min() < 0 or pixels.max() >= 2**16:
        raise DataError(
            f"pixels from {pixels.min()} to {pixels.max()}, where 0 to 65535 can be read: save it "
            "as grey of 16 bits"
        )
    return pixels.astype(np.uint16)


def _check_depth(image: Image.Image, content: bytes) -> None:
    """DataError: 16-bit colour that becomes black, since Pillow keeps only the upper eight bits."""
    if image.mode.startswith("I"):
        return
    png = content.startswith(b"\x89PNG") and content[24] == 16
    tiff = image.format == "TIFF" and 16 in _bits_of_tiff(image)
    if (png or tiff) and max(high for _, high in image.convert("RGB").getextrema()) < 16:
        raise DataError("16 bits a colour of which at most 12 are used: save it with 8 bits")


def _bits_of_tiff(image: Image.Image) -> tuple[int, ...]:
    bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())
    return bits if isinstance(bits, tuple) else (bits,)


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        pixels = _sixteen_bits(image)
        if 0 < pixels.max() < 2**12:
            raise DataError(
                f"16 bits of which {int(pixels.max()).bit_length()} are used, where the others "
                "have 8: save all of them alike"
            )
        return Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.mode == "F":
        raise DataError(_FRACTIONS)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3] == (0, 0):  # bitmaps of 32 bits whose fourth byte is not used
            return image.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
