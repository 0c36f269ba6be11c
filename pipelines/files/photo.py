"""Image files to pixels, for training and for `trainers.predict`. Pillow and NumPy only."""

import io

import numpy as np
from PIL import Image, ImageOps

from pipelines.core.pipeline import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = (*(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")


def decode(content: bytes, channels: int = 3) -> np.ndarray:
    """The first frame of an image file, rotated by its EXIF tag: (H, W, channels) uint8.

    Transparent parts become white. 16-bit grey keeps its upper eight bits. Colour profiles are not
    applied.

    Args:
        channels: 3 for colour, 1 for grey.

    Raises:
        DataError: not an image, cut short, or of more pixels than Pillow's limit against bombs.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise DataError(f"{image.width}x{image.height} pixels are more than Pillow allows")
            upright = _opaque(ImageOps.exif_transpose(image))
            pixels = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"not an image that can be read ({', '.join(FORMATS)})") from error
    except (
        Exception
    ) as error:  # damaged files raise a dozen kinds, from struct.error to SyntaxError
        raise DataError(str(error) or type(error).__name__) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG, GIF, TIFF or WebP file."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        pixels = np.clip(np.asarray(image, np.int64), 0, 2**16 - 1)
        return Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.mode == "F":
        raise DataError("pixels are fractions of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
