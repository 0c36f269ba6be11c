"""Breast Cancer Wisconsin (Diagnostic): 569 cell samples, 30 measurements, benign or malignant.

The data (Street, Wolberg, Mangasarian 1993) is part of scikit-learn; nothing is downloaded.
"""

import numpy as np
import sklearn.datasets
import tensorflow_datasets as tfds

from pipelines import Form, Pipeline, classes
from pipelines.steps import tabular
from pipelines.steps.columns import columns_form
from zoo.spec import Field

LIMITS = {"split_seed": (0, 2_147_483_648)}
_MEASURES = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave_points", "symmetry", "fractal_dimension"),
)
_COLUMNS = tuple(
    f"{statistic}_{measure}" for statistic in ("mean", "error", "worst") for measure in _MEASURES
)
_CLASSES = ("malignant", "benign")


class BreastCancer(tfds.core.GeneratorBasedBuilder):
    """scikit-learn's copy of the data as a TFDS data set."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        columns = {name: tfds.features.Scalar(np.float32) for name in _COLUMNS}
        label = tfds.features.ClassLabel(names=_CLASSES)
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict({**columns, "label": label}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        data = sklearn.datasets.load_breast_cancer()
        for i, (row, label) in enumerate(zip(data.data, data.target, strict=True)):
            yield i, {**dict(zip(_COLUMNS, row.tolist(), strict=True)), "label": int(label)}


def pipeline(*, split_seed: int = 0) -> Pipeline:
    """Stratified 70 / 10 / 20 % for training / validation / test.

    Args:
        split_seed: seed of the split.
    """

    def cut(rows):
        return tabular.stratified(rows["all"], seed=split_seed, validation=0.1, test=0.2)

    return Pipeline(
        name="breast_cancer",
        source="breast_cancer:1.0.0",
        splits={"all": "train"},
        schema=classes({name: Field((), "float32") for name in _COLUMNS}, _CLASSES),
        cut=cut,
        forms={
            "vector": Form(fit=tabular.fit_statistics, make_preprocess=tabular.standardize),
            "columns": columns_form(),
        },
    )
