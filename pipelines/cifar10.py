"""CIFAR-10: 60 000 photographs of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from pipelines import DataError, Form, Pipeline, classes
from pipelines.steps import image
from pipelines.steps.augmented import augmented
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

LIMITS = {"padding": (0, 32), "cutout": (0, 32), "labels": (0, None)}
SHARED = "steps/augmented.py"
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
    labels: int = 0,
    **shared,
) -> Pipeline:
    """Validation is the last tenth of the training split, as in He et al. 2015 (section 4.2).

    Args:
        augment: shift, mirror and cut out training images at random.
        padding: largest shift in pixels.
        alternating_flip: mirror each image in every other epoch instead of at random.
        cutout: side in pixels of a grey square in each training image; 0: none.
        validation: fraction of the training split, rounded to whole percents.
        labels: number of training images that keep their labels, equal per class; 0: all.
        shared: options of `augmented`.

    Raises:
        DataError: `padding` or `cutout` is not smaller than the images, or `validation` is not from
            0.01 to 0.99.
    """
    for name, pixels in (("padding", padding), ("cutout", cutout)):
        if not 0 <= pixels < _SIDE:
            raise DataError(
                f"{name}={pixels} must be at least 0 and less than the images' {_SIDE} pixels"
            )
    percent = round(100 * (1 - validation))
    if not 1 <= percent <= 99:
        raise DataError(f"validation={validation} must be a fraction from 0.01 to 0.99")
    moved = image.crop_and_flip(padding, alternating=alternating_flip) if augment else None
    cut = image.cut_out(cutout) if augment and cutout else None
    pipeline = Pipeline(
        name="cifar10",
        source="cifar10:3.*.*",
        splits={
            "train": f"train[:{percent}%]",
            "validation": f"train[{percent}%:]",
            "test": "test",
        },
        schema=classes({"image": Field((_SIDE, _SIDE, 3), "uint8")}, _CLASSES),
        forms={"image": Form(preprocess=image.scale)},
        augment=moved,
        tta_views=image.mirrored_and_shifted,
    )
    return few_labels(augmented(pipeline, last=cut, **shared), labels)
