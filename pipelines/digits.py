"""Digits: 1 797 handwritten digits of 8x8 grey pixels, enlarged to 28x28; needs no download.

The test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), a part of
scikit-learn.
"""

import numpy as np
import sklearn.datasets
import tensorflow_datasets as tfds

from pipelines import Form, Pipeline, classes
from pipelines.steps import image, tabular
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

LIMITS = {"split_seed": (0, 2_147_483_648), "labels": (0, None)}
_CLASSES = tuple("0123456789")
_ENLARGED = 28  # the size of MNIST, so that models for it take these too


class Digits(tfds.core.GeneratorBasedBuilder):
    """scikit-learn's copy of the data as a TFDS data set."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        data = sklearn.datasets.load_digits()
        images = np.round(data.images * (255 / 16)).astype(np.uint8)  # from 0..16 to 0..255
        for i, (pixels, label) in enumerate(zip(images, data.target, strict=True)):
            yield i, {"image": pixels[..., None], "label": int(label)}


def pipeline(*, split_seed: int = 0, labels: int = 0) -> Pipeline:
    """Stratified 70 / 10 / 20 % for training / validation / test.

    Args:
        split_seed: seed of the split.
        labels: number of training images that keep their labels, equal per class; 0: all.
    """

    def cut(rows):
        return tabular.stratified(rows["all"], seed=split_seed, validation=0.1, test=0.2)

    def preprocess(raw):
        return image.scale({"image": image.resize(raw["image"], _ENLARGED)})

    pipeline = Pipeline(
        name="digits",
        source="digits:1.0.0",
        splits={"all": "train"},
        schema=classes({"image": Field((8, 8, 1), "uint8")}, _CLASSES),
        cut=cut,
        forms={"image": Form(preprocess=preprocess)},
    )
    return few_labels(pipeline, labels)
