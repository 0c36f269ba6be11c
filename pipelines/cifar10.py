"""CIFAR-10: 60 000 photographs of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from pipelines import DataError, Pipeline
from pipelines.steps import image
from zoo.spec import Field

_SIDE = 32


def pipeline(
    *,
    augment: bool = True,
    padding: int = 4,
    alternating_flip: bool = False,
    cutout: int = 0,
    validation: float = 0.1,
) -> Pipeline:
    """The training split without its last tenth, which validates, as in He et al. 2015 (4.2).

    Args:
        augment: shift, mirror and cut out as follows.
        padding: pixels that training images are shifted by at most.
        alternating_flip: mirror each image in every other epoch, in place of half of them anew.
        cutout: pixels a side of a grey square in each training image; 0: none.
        validation: share of the training split, from its end, in whole percents. Once the
            settings are chosen, a smaller one leaves more to learn from.

    Raises:
        DataError: a shift or a square as large as the images; a share that leaves a part empty.
    """
    for name, pixels in (("padding", padding), ("cutout", cutout)):
        if not 0 <= pixels < _SIDE:
            raise DataError(
                f"{name}={pixels} must be less than the images' {_SIDE} pixels a side, 0 or more"
            )
    percent = round(100 * (1 - validation))
    if not 1 <= percent <= 99:
        raise DataError(f"validation={validation} must be a share from 0.01 to 0.99")
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
        task="classification",
        target="label",
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        raw={"image": Field((_SIDE, _SIDE, 3), "uint8")},
        augment=image.in_turn(*steps) if augment else None,
        preprocess=image.scale,
        views=image.mirrored_and_shifted,
    )
