"""Any table of TFDS by name, by value."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import pipelines
from pipelines import DataError
from pipelines.storage import tfds as source
from tests.pipelines.test_csv import joined
from zoo.spec import Field


class ZooTestFires(tfds.core.GeneratorBasedBuilder):
    """A table with all that TFDS's tables have."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network
    SPLITS = ("train",)

    def _info(self) -> tfds.core.DatasetInfo:
        inner = {
            "wind.speed": tfds.features.Scalar(np.float32),
            "month": tfds.features.ClassLabel(names=["jan", "feb"]),
            "site": tfds.features.Text(),
            "wet": tfds.features.Scalar(np.bool_),
            "place": tfds.features.Tensor(shape=(2,), dtype=np.int32),
            "notes": tfds.features.Sequence(np.int64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "features": inner,
                    "area": np.float64,
                    "burnt": tfds.features.ClassLabel(names=["yes", "no"]),
                }
            ),
            supervised_keys=("area", "features"),  # as forest_fires has them
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict:
        del dl_manager
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        for i in range(60 if split == "test" else 300):
            yield (
                i,
                {
                    "features": {
                        "wind.speed": np.nan if i % 10 == 9 else i / 4,
                        "month": i % 2,
                        "site": ["dale", "", " hill "][i % 3],
                        "wet": i % 5 == 0,
                        "place": [i, -i],
                        "notes": [1, 2],
                    },
                    "area": np.nan if i == 7 else i * 10.0,
                    "burnt": -1 if i == 8 else i % 3 // 2,
                },
            )


class ZooTestFiresSplit(ZooTestFires):
    """The same with a test split of its own."""

    SPLITS = ("train", "test")


def load(place, dataset="zoo_test_fires", **options):
    pipeline = pipelines.get("tfds_table", dataset=dataset, data_dir=str(place), **options)
    return pipelines.prepared(*source.load(pipeline))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def test_features_become_columns(place, capsys):
    pipeline = load(place)
    number, text = Field((), "float32"), Field((), "string")
    assert pipeline.raw == {
        "wind_speed": number,
        "month": text,
        "site": text,
        "wet": number,
        "place_0": number,
        "place_1": number,
        "burnt": text,
    }
    assert (pipeline.task, pipeline.target, pipeline.source) == (
        "regression",
        "area",
        "zoo_test_fires:1.0.0",
    )
    area = joined(pipeline, "area")
    assert sorted(area) == [i * 10.0 for i in range(300) if i != 7]
    i = (area / 10).astype(int)
    for name, expected in {
        "wind_speed": np.where(i % 10 == 9, np.nan, i / 4),
        "month": np.array([b"jan", b"feb"], object)[i % 2],
        "site": np.array([b"dale", b"", b"hill"], object)[i % 3],
        "wet": i % 5 == 0,
        "place_0": i,
        "place_1": -i,
        "burnt": np.where(i == 8, b"", np.array([b"yes", b"yes", b"no"], object)[i % 3]),
    }.items():
        np.testing.assert_array_equal(joined(pipeline, name), expected, err_msg=name)
    assert "1 rows without area are left out" in capsys.readouterr().out
    raw = {k: tf.constant(pipeline.rows["test"].table[k]) for k in pipeline.raw}
    assert np.isfinite(pipeline.preprocess(raw)["features"]).all()


def test_classes_keep_tfds_s_order_and_those_without_one_are_dropped(place):
    pipeline = load(place, target="burnt", ignore="place_1,area")
    assert (pipeline.task, pipeline.class_names) == ("binary", ("yes", "no"))
    assert not {"place_1", "area"} & set(pipeline.raw)
    i = joined(pipeline, "place_0").astype(int)
    assert sorted(i) == [n for n in range(300) if n != 8]
    np.testing.assert_array_equal(joined(pipeline, "burnt"), i % 3 // 2)
    assert load(place, target="wet").class_names == ("0", "1")


def test_tfds_s_own_test_split_is_kept(place):
    one, two = load(place), load(place, "zoo_test_fires_split")
    assert sorted(two.rows["test"].table["area"]) == [i * 10.0 for i in range(60) if i != 7]
    assert two.rows["train"].num_rows + two.rows["validation"].num_rows == 299
    assert sum(rows.num_rows for rows in one.rows.values()) == 299
    # Cut by content: what is for validation is so in both.
    np.testing.assert_array_equal(
        one.rows["validation"].table["area"], two.rows["validation"].table["area"]
    )


def test_our_own_table_by_name(built_in_data):
    pipeline = load(built_in_data, "breast_cancer")
    assert (pipeline.task, pipeline.target) == ("binary", "label")
    assert pipeline.class_names == ("malignant", "benign")
    assert pipeline.spec.inputs == {"features": Field((30,), "float32")}
    assert sum(rows.num_rows for rows in pipeline.rows.values()) == 569
    assert joined(pipeline, "label").sum() == 357  # benign, as sklearn's description says


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dataset": "zoo_test_fire"}, "nearest: .*zoo_test_fires"),
        ({"target": "aera"}, "nearest: .*area"),
        ({"ignore": "winds"}, "ignore=winds"),
        ({"target": "site", "task": "regression"}, "site is no number: dale, hill"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, said, place):
    with pytest.raises(DataError, match=said):
        load(place, **options)
