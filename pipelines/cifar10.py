"""CIFAR-10: 60 000 photographs of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from pipelines import Pipeline, image
from zoo.spec import Field


def pipeline(*, augment: bool = True) -> Pipeline:
    """45 000 / 5 000 of the training split for training / validation, as He et al. 2015 (4.2).

    Args:
        augment: shift by up to 4 pixels and mirror.
    """
    return Pipeline(
        name="cifar10",
        source="cifar10:3.*.*",
        splits={"train": "train[:90%]", "validation": "train[90%:]", "test": "test"},
        task="classification",
        target="label",
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        raw={"image": Field((32, 32, 3), "uint8")},
        augment=image.crop_and_flip(4) if augment else None,
        preprocess=image.scale,
    )
