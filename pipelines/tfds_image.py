"""Any image-classification set of TFDS by name: --pipeline=tfds_image --dataset=mnist."""

from pipelines import DataError, Pipeline
from pipelines.steps import image
from pipelines.storage import tfds as source
from zoo.spec import Field


def pipeline(
    *,
    dataset: str,
    data_dir: str | None = None,
    image_size: int = 0,
    validation_percent: int = 10,
    padding: int = 0,
    flip: bool = False,
) -> Pipeline:
    """The last part of the training split is validation; `test`, or else `validation`, is test.

    Args:
        dataset: TFDS's name, with configuration and version where wanted: "mnist", "svhn_cropped".
        data_dir: TFDS's data folder.
        image_size: pixels a side that images are resized to; needed where they differ in size.
        validation_percent: of the training split, held out.
        padding: pixels that training images are shifted by at most.
        flip: mirror half of the training images.

    Raises:
        DataError: TFDS has no such set, or it is not one of images with one class each.
    """
    info = source.find_builder(dataset, data_dir).info
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
        raise DataError(f"padding={padding} must be less than the images' {side} pixels a side")
    test = next((split for split in ("test", "validation") if split in info.splits), None)
    if info.splits and test is None:
        raise DataError(f"{dataset} has no test split; it has {sorted(info.splits)}")

    def fit(raw):
        return {"image": image.resize(raw["image"], image_size) if image_size else raw["image"]}

    return Pipeline(
        name="tfds_image",
        source=dataset,
        splits={
            "train": f"train[:{100 - validation_percent}%]",
            "validation": f"train[{100 - validation_percent}%:]",
            "test": test or "test",
        },
        task="classification",
        target="label",
        class_names=tuple(features["label"].names),
        raw={"image": Field(shape, "uint8")},
        store=fit,
        augment=image.crop_and_flip(padding, flip=flip) if padding or flip else None,
        preprocess=lambda raw: image.scale(fit(raw)),
    )
