"""Any image-classification set of TFDS by name: --pipeline=tfds_image --dataset=mnist."""

from typing import Any

from pipelines import DataError, Form, Pipeline, Schema, classes
from pipelines.core.splits import by_percent
from pipelines.steps import image
from pipelines.steps.augmented import augmented
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

LIMITS = {
    "image_size": (0, None),
    "padding": (0, None),
    "validation_percent": (1, 100),
    "labels": (0, None),
}
SHARED = "steps/augmented.py"


def pipeline(
    *,
    dataset: str,
    image_size: int = 0,
    validation_percent: int = 10,
    padding: int = 0,
    flip: bool = False,
    labels: int = 0,
    test_split: str = "",
    **shared,
) -> Pipeline:
    """Validation is the end of the training split; test is TFDS's `test`, or else `validation`.

    Args:
        dataset: TFDS's name, with a configuration and version if needed: "svhn_cropped:3.1.0".
        image_size: pixels per side after resizing; required if images differ in size.
        validation_percent: percentage of the training split.
        padding: largest shift of a training image, in pixels.
        flip: mirror half of the training images.
        labels: number of training images that keep their labels, equal per class; 0: all.
        test_split: TFDS's split to test on, if its `test` has no labels: "validation" for
            "imagenet2012".
        shared: options of `augmented`.

    Raises:
        DataError: (once its description is read) the data set does not have images with one class
            each.
    """

    def declare(info: Any) -> tuple[Schema, dict[str, str]]:
        features = info.features
        if not {"image", "label"} <= set(features) or not getattr(features["label"], "names", None):
            raise DataError(f"{dataset} has no image with one label; it has {sorted(features)}")
        shape = tuple(features["image"].shape)
        if None in shape[:2] and not image_size:
            raise DataError(
                f"the images of {dataset} differ in size: choose --pipeline_options=image_size=64"
            )
        side = image_size or min(shape[:2])
        if padding >= side:
            raise DataError(f"padding={padding} must be less than the images' {side} pixels")
        schema = classes({"image": Field(shape, "uint8")}, tuple(features["label"].names))
        # Two classes also get two logits, so that every image model accepts them.
        schema = schema._replace(task="classification", outputs=len(schema.class_names))
        return schema, by_percent(dataset, info.splits, validation_percent, test_split)

    def fit(raw):
        return {"image": image.resize(raw["image"], image_size) if image_size else raw["image"]}

    pipeline = Pipeline(
        name="tfds_image",
        source=dataset,
        declare=declare,
        shrink=fit,
        forms={"image": Form(preprocess=lambda raw: image.scale(fit(raw)))},
        augment=image.crop_and_flip(padding, flip=flip) if padding or flip else None,
    )
    return few_labels(augmented(pipeline, **shared), labels)
