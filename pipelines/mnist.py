"""MNIST: 70 000 handwritten digits of 28x28 grey pixels (LeCun, Bottou, Bengio, Haffner 1998)."""

from pipelines import Form, Pipeline, classes
from pipelines.steps import image
from pipelines.steps.augmented import augmented
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

LIMITS = {"labels": (0, None)}
SHARED = "steps/augmented.py"
CLASSES = tuple("0123456789")


def pipeline(*, augment: bool = True, labels: int = 0, **shared) -> Pipeline:
    """55 000 / 5 000 / 10 000 images for training / validation / test.

    Args:
        augment: rotate by up to 10 degrees, zoom by up to 10%, shift by up to 2 pixels.
        labels: number of training images that keep their labels, equal per class; 0: all.
        shared: options of `augmented`.
    """
    pipeline = Pipeline(
        name="mnist",
        source="mnist:3.*.*",
        splits={"train": "train[:55000]", "validation": "train[55000:]", "test": "test"},
        schema=classes({"image": Field((28, 28, 1), "uint8")}, CLASSES),
        forms={"image": Form(preprocess=image.scale)},
        augment=image.affine(degrees=10.0, zoom=0.1, shift=2.0) if augment else None,
    )
    return few_labels(augmented(pipeline, **shared), labels)
