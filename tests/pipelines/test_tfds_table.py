"""Any table of TFDS by name, by value."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import pipelines
from pipelines import DataError
from tests.pipelines.tables import joined, loaded
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
            "spot": tfds.features.Tensor(shape=(2,), dtype=np.int32),
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
                        "spot": [i, -i],
                        "notes": [1] * (i % 3),  # of no column, and of another size in each row
                    },
                    "area": np.nan if i == 7 else i * 10.0,
                    "burnt": -1 if i == 8 else i % 3 // 2,
                },
            )


class ZooTestFiresSplit(ZooTestFires):
    """The same with a test split of its own."""

    SPLITS = ("train", "test")


def load(folder, dataset="zoo_test_fires", form="", **options):
    counting = {"keep": "spot_0"} if dataset.startswith("zoo_test_fires") else {}
    options = {"dataset": dataset, "data_dir": str(folder), **counting, **options}
    pipeline = pipelines.get("tfds_table", **options)
    return loaded(pipeline, form=form)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def test_tfds_table_makes_columns_of_features(folder, logged):
    prepared = load(folder)
    number, text = Field((), "float32"), Field((), "string")
    assert prepared.raw == {
        "wind_speed": number,
        "month": text,
        "site": text,
        "wet": number,
        "spot_0": number,
        "spot_1": number,
        "burnt": text,
    }
    assert (prepared.task, prepared.schema.target_name, prepared.source) == (
        "regression",
        "area",
        "zoo_test_fires:1.0.0",
    )
    area = joined(prepared, "area")
    assert sorted(area) == [i * 10.0 for i in range(300) if i != 7]
    i = (area / 10).astype(int)
    for name, expected in {
        "wind_speed": np.where(i % 10 == 9, np.nan, i / 4),
        "month": np.array([b"jan", b"feb"], object)[i % 2],
        "site": np.array([b"dale", b"", b"hill"], object)[i % 3],
        "wet": i % 5 == 0,
        "spot_0": i,
        "spot_1": -i,
        "burnt": np.where(i == 8, b"", np.array([b"yes", b"yes", b"no"], object)[i % 3]),
    }.items():
        np.testing.assert_array_equal(joined(prepared, name), expected, err_msg=name)
    assert "1 rows without area are left out" in logged()
    raw = {k: tf.constant(prepared.rows["test"].table[k]) for k in prepared.raw}
    assert np.isfinite(prepared.preprocess(raw)["features"]).all()


def test_tfds_table_keeps_the_order_of_classes_and_drops_rows_without_one(folder):
    prepared = load(folder, target="burnt", ignore="spot_1,area")
    assert (prepared.task, prepared.class_names) == ("binary", ("yes", "no"))
    assert not {"spot_1", "area"} & set(prepared.raw)
    i = joined(prepared, "spot_0").astype(int)
    assert sorted(i) == [n for n in range(300) if n != 8]
    np.testing.assert_array_equal(joined(prepared, "burnt"), i % 3 // 2)
    assert load(folder, target="wet").class_names == ("0", "1")


def test_tfds_table_keeps_a_test_split_of_tfds_s_own(folder):
    one, two = load(folder), load(folder, "zoo_test_fires_split")
    assert sorted(two.rows["test"].table["area"]) == [i * 10.0 for i in range(60) if i != 7]
    assert two.rows["train"].num_rows + two.rows["validation"].num_rows == 299
    assert sum(rows.num_rows for rows in one.rows.values()) == 299
    # Cut by content: what is for validation is so in both.
    np.testing.assert_array_equal(
        one.rows["validation"].table["area"], two.rows["validation"].table["area"]
    )


def test_tfds_table_takes_a_table_of_ours_by_name(built_in_data):
    prepared = load(built_in_data, "breast_cancer")
    assert (prepared.task, prepared.schema.target_name) == ("binary", "label")
    assert prepared.class_names == ("malignant", "benign")
    assert prepared.spec.inputs == {"features": Field((30,), "float32")}
    assert sum(rows.num_rows for rows in prepared.rows.values()) == 569
    assert joined(prepared, "label").sum() == 357  # benign, as sklearn's description says


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dataset": "zoo_test_fire"}, "nearest: .*zoo_test_fires"),
        ({"target": "aera"}, "nearest: .*area"),
        ({"ignore": "winds"}, "ignore=winds"),
        ({"target": "site", "task": "regression"}, "the target site is not numeric: dale, hill"),
    ],
)
def test_tfds_table_refuses_what_cannot_be_meant(options, reason, folder):
    with pytest.raises(DataError, match=reason):
        load(folder, **options)


class ZooTestPassengers(tfds.core.GeneratorBasedBuilder):
    """A table with dates, with texts that are all missing, and with ages that some lack."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        columns = {
            "age": tfds.features.Scalar(np.float32),
            "boarded": tfds.features.Text(),
            "cabin": tfds.features.Text(),
            "home": tfds.features.Text(),
            "survived": tfds.features.ClassLabel(names=["no", "yes"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(columns),
            supervised_keys=("age", "survived"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(240):
            yield (
                i,
                {
                    "age": np.nan if i % 8 == 0 else 20.0 + i % 50,
                    "boarded": f"1912-04-{i % 10 + 10}" if i % 6 else "",
                    "cabin": "",
                    "home": ["Cork", "Oslo", ""][i % 3],
                    "survived": i % 2,
                },
            )


def test_tfds_table_finds_dates_and_leaves_out_texts_that_are_all_missing(tmp_path, logged):
    prepared = load(tmp_path, "zoo_test_passengers")
    assert set(prepared.raw) == {"age", "boarded", "home"}
    lines = logged()
    assert "left out: cabin (all cells are missing)" in lines
    assert any(line.split()[:2] == ["boarded", "date"] for line in lines)
    part = prepared.state["inputs/vector"]
    assert part["dates"].tolist() == ["boarded"]
    assert part["texts"].tolist() == ["home", "boarded weekday"]  # ten days: no other part
    assert part["flagged"].tolist() == [0, 1]  # both lack some
    columns = load(tmp_path, "zoo_test_passengers", form="columns")
    assert columns.spec.inputs == {
        "numbers": Field((2,), "float32"),
        "ranks": Field((2,), "float32"),
        "missing": Field((2,), "float32"),
        "categories": Field((2,), "int32", ids=(4, 9)),
    }
