"""CIFAR-10: 60 000 photographs of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from pipelines import DataError, Form, Pipeline, classes
from pipelines.steps import image
from zoo.spec import Field

LIMITS = {"padding": (0, 32), "cutout": (0, 32)}
_SIDE = 32
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def pipeline(
    *,
    augment: bool = True,
    padding: int = 4,
    alternating_flip: bool = False,
    cutout: int = 0,
    validation: float = 0.1,
) -> Pipeline:
    """Validation is the last tenth of the training split, as in He et al. 2015 (section 4.2).

    Args:
        augment: shift, mirror and cut out training images.
        padding: largest shift in pixels.
        alternating_flip: mirror each image in every other epoch instead of at random.
        cutout: pixels per side of a grey square in each training image; 0: none.
        validation: fraction of the training split, rounded to whole percents.

    Raises:
        DataError: a shift or a square as large as the images; a fraction that leaves a split empty.
    """
    for name, pixels in (("padding", padding), ("cutout", cutout)):
        if not 0 <= pixels < _SIDE:
            raise DataError(
                f"{name}={pixels} must be at least 0 and less than the images' {_SIDE} pixels"
            )
    percent = round(100 * (1 - validation))
    if not 1 <= percent <= 99:
        raise DataError(f"validation={validation} must be a fraction from 0.01 to 0.99")
    steps = [image.crop_and_flip(padding, alternating=alternating_flip)]
    if cutout:
        steps.append(image.cut_out(cutout))
    return Pipeline(
        name="cifar10",
        source="cifar10:3.*.*",
        splits={
            "train": f"train[:{percent}%]",
            "validation": f"train[{percent}%:]",
            "test": "test",
        },
        schema=classes({"image": Field((_SIDE, _SIDE, 3), "uint8")}, _CLASSES),
        forms={"image": Form(preprocess=image.scale)},
        augment=image.in_turn(*steps) if augment else None,
        tta_views=image.mirrored_and_shifted,
    )
