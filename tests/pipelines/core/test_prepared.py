"""Pipeline, schema, rows, form and state together: nothing that was fitted is lost."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError, Form, Pipeline, Rows, Schema, classes
from pipelines.core.keys import Keys
from pipelines.core.prepared import prepare, served
from pipelines.core.stream import num_steps, stream
from tests.pipelines import sequences
from zoo.spec import Field

NUMBER = Field((), "float32")


def rows_of(num_rows=12, target=NUMBER, column=None) -> dict[str, Rows]:
    """Splits whose x is 0, 1, ... and whose target is ten times as much, or `column`."""
    x = np.arange(num_rows, dtype=np.float32)
    table = {"x": x, "y": 10 * x if column is None else column}
    fields = {"x": NUMBER, "y": target}
    return dict.fromkeys(("train", "validation", "test"), Rows(num_rows, fields, "y", table=table))


PLAIN = {"plain": Form(preprocess=lambda raw: {"x": raw["x"][:, None]})}


def declared(**changes) -> Pipeline:
    return Pipeline(**{"name": "own", "source": "own:1.0.0", "forms": PLAIN, **changes})


REGRESSION = Schema({"x": NUMBER}, "regression", NUMBER, target_name="y")


def statistics(train: Rows) -> dict[str, np.ndarray]:
    return {"mean": train.table["y"].mean(), "std": train.table["y"].std()}


def test_prepare_keeps_the_state_of_a_target_whose_form_fits_nothing():
    prepared = prepare(declared(fit_target=statistics), REGRESSION, rows_of())
    assert set(prepared.state) == {"target"}
    assert prepared.state["target"]["mean"] == 55.0
    assert prepared.state["target"]["std"] == pytest.approx(10 * np.arange(12).std())
    again = served(prepared.pipeline, prepared.schema, state=prepared.state)
    assert again.state == prepared.state
    assert again.rows == {}
    assert prepared.replace(augment=None, rows=rows_of(5)).state == prepared.state


def test_prepare_fits_only_the_parts_that_are_missing():
    def fit(train: Rows):
        return {"largest": train.table["x"].max()}

    form = Form(fit=fit, make_preprocess=lambda part: lambda raw: {"x": raw["x"] / part["largest"]})
    pipeline = declared(forms={"scaled": form}, fit_target=statistics)
    prepared = prepare(pipeline, REGRESSION, rows_of())
    assert prepared.state["inputs/scaled"] == {"largest": 11.0}
    adopted = {"inputs/scaled": {"largest": np.float32(2)}}
    own = prepare(pipeline, REGRESSION, rows_of(), state=adopted)
    assert own.state["inputs/scaled"] == {"largest": 2.0}
    assert own.state["target"]["mean"] == 55.0
    np.testing.assert_array_equal(own.preprocess({"x": tf.constant([3.0])})["x"], [1.5])
    assert "target" not in adopted  # the caller's is left as it was


def test_prepare_goes_without_the_columns_that_the_form_leaves_out():
    seen = []

    def leaves_out(train: Rows, part):
        seen.append((list(train.fields), part))
        return ["note"]

    noted = {
        split: rows._replace(
            table={**rows.table, "note": np.array([b"a"] * 12, object)},
            fields={**rows.fields, "note": Field((), "string")},
            readings={"x": "number", "note": "words"},
        )
        for split, rows in rows_of().items()
    }
    schema = REGRESSION._replace(raw={"x": NUMBER, "note": Field((), "string")})
    without = Form(preprocess=PLAIN["plain"].preprocess, leaves_out=leaves_out)
    prepared = prepare(declared(forms={"without": without}), schema, noted)
    assert seen == [(["x", "y", "note"], None)]
    assert prepared.raw == {"x": NUMBER}
    for rows in prepared.rows.values():
        assert set(rows.table) == set(rows.fields) == {"x", "y"}
        assert rows.readings == {"x": "number"}
    kept = prepare(declared(), schema, noted)
    assert set(kept.raw) == set(kept.rows["test"].table) - {"y"} == {"x", "note"}


def test_prepare_takes_the_form_that_is_asked_for():
    def squares(raw):
        return {"squares": raw["x"][:, None] ** 2}

    pipeline = declared(forms={**PLAIN, "squared": Form(preprocess=squares)})
    assert list(prepare(pipeline, REGRESSION, rows_of()).spec.inputs) == ["x"]
    other = prepare(pipeline, REGRESSION, rows_of(), form="squared")
    assert other.spec.inputs == {"squares": Field((1,), "float32")}
    for make in (prepare, served):
        arguments = {"state": {}} if make is served else {"rows": rows_of()}
        with pytest.raises(DataError, match="own has no input form 'cubed'; it has plain, squared"):
            make(pipeline, REGRESSION, form="cubed", **arguments)


def test_prepare_cuts_the_rows_once():
    def cut(rows):
        whole = rows["all"]
        parts = {"train": slice(0, 8), "validation": slice(8, 10), "test": slice(10, 12)}
        return {
            name: whole._replace(
                num_rows=part.stop - part.start,
                table={k: v[part] for k, v in whole.table.items()},
            )
            for name, part in parts.items()
        }

    rows = {"all": rows_of()["train"]}
    prepared = prepare(declared(cut=cut, fit_target=statistics), REGRESSION, rows)
    assert {split: part.num_rows for split, part in prepared.rows.items()} == {
        "train": 8,
        "validation": 2,
        "test": 2,
    }
    assert prepared.state["target"]["mean"] == 35.0  # of the training rows alone


def test_prepare_encodes_targets_that_are_texts():
    names = np.array([b"cat", b"dog", b"emu"] * 4, object)

    def fit_target(train: Rows):
        return {"names": np.unique(train.table["y"].astype("S"))}

    def encode(part):
        names = tf.constant([bytes(name) for name in part["names"]])
        return lambda y: tf.argmax(tf.equal(y[:, None], names), axis=1)

    text = Field((), "string")
    schema = Schema(
        {"x": NUMBER},
        "classification",
        text,
        outputs=lambda state: len(state["target"]["names"]),
        target_name="y",
    )
    pipeline = declared(fit_target=fit_target, encode=encode)
    rows = rows_of(target=text, column=names)
    prepared = prepare(pipeline, schema, rows)
    assert prepared.schema.outputs == prepared.spec.num_outputs == 3
    assert prepared.rows["test"].fields["y"] == Field((), "int64")
    np.testing.assert_array_equal(prepared.rows["test"].table["y"], [0, 1, 2] * 4)
    assert prepared.batch_signature[1] == tf.TensorSpec((None,), tf.int64)
    [(x, y, weight)] = stream(prepared, "test", batch_size=12, training=False, seed=0)
    np.testing.assert_array_equal(y, [0, 1, 2] * 4)
    np.testing.assert_array_equal(x["x"][:, 0], np.arange(12))
    np.testing.assert_array_equal(weight, np.ones(12))
    assert served(pipeline, schema, state=prepared.state).schema.outputs == 3


def test_example_may_make_targets_of_rows_that_have_none():
    def example(inputs, target, keys):
        assert target is None
        return inputs, inputs["x"] * 2, tf.ones(tf.shape(inputs["x"]))

    pipeline = declared(example=example)
    schema = Schema({"x": NUMBER}, "regression", None)
    fields = {"x": NUMBER}
    table = {"x": np.arange(5, dtype=np.float32)}
    rows = dict.fromkeys(("train", "validation", "test"), Rows(5, fields, None, table=table))
    prepared = prepare(pipeline, schema, rows)
    _, y, weight = prepared.batch_signature
    assert (y.shape.as_list(), weight.shape.as_list()) == ([None, 1], [None, 1])
    [(_, y, weight)] = stream(prepared, "test", batch_size=8, training=False, seed=0)
    np.testing.assert_array_equal(y[:5, 0], 2 * np.arange(5))
    np.testing.assert_array_equal(weight[:, 0], [1] * 5 + [0] * 3)


def test_spec_has_inputs_with_their_ids_and_lengths():
    prepared = sequences.prepared_of()
    assert prepared.serving_inputs == {
        "short": Field((6,), "int32", ids=1000, length=6),
        "long": Field((20,), "int32", ids=1000, length=20),
    }
    assert prepared.padded == ("short", "long")
    assert prepared.spec.inputs == {
        "short": Field((None,), "int32", ids=1000, length=6),
        "long": Field((None,), "int32", ids=1000, length=20),
    }
    assert (prepared.spec.task, prepared.spec.num_outputs) == ("regression", 1)
    assert prepared.raw == {"text": Field((), "string")}


def test_example_adds_inputs_to_the_model_not_to_the_export():
    def example(inputs, target, keys):
        noise = tf.cast(keys.index, tf.float32)[:, None]
        return {**inputs, "noise": noise}, target, tf.ones_like(target)

    prepared = prepare(declared(example=example), REGRESSION, rows_of())
    assert set(prepared.spec.inputs) == {"x", "noise"}
    assert set(prepared.serving_inputs) == {"x"}
    inputs = {"x": tf.zeros((2, 1))}
    keys = Keys(*(tf.constant(value, tf.int64) for value in (0, 0, [4, 7])))
    x, _, _ = prepared.example(inputs, tf.constant([0.0, 0.0]), keys)
    np.testing.assert_array_equal(x["noise"], [[4], [7]])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(lambda x: x[:, 0], 1), (lambda x: x, 20), (lambda x: x[:, :, None] * [[1, 2]], 40)],
)
def test_elements_are_those_of_the_weight_at_its_longest(shape, expected):
    def example(inputs, target, keys):
        weight = tf.cast(shape(inputs["long"]) > 0, tf.float32)
        return inputs, weight, weight

    prepared = sequences.prepared_of().replace(example=example)
    assert prepared.elements == expected


def test_replace_keeps_inputs_that_were_made_where_they_stay_the_same():
    prepared = sequences.prepared_of()
    made = prepared.inputs_of("train")
    example = lambda inputs, target, keys: (inputs, target, tf.ones_like(keys.index, tf.float32))
    assert prepared.replace(augment=None, example=example).inputs_of("train") is made
    fewer = prepared.replace(rows={"train": sequences.rows_of(5)})
    assert fewer.inputs_of("train").num_rows == 5
    renamed = prepared.replace(name="other")
    assert renamed.name == "other"
    assert renamed.inputs_of("train") is not made


def test_arranged_rows_may_be_more_than_the_stored_ones():
    """Windows of three over one run of numbers, taken in graph operations."""

    def arrange(rows: Rows, preprocess) -> Rows:
        flat = preprocess({"x": tf.constant(rows.table["x"])})["x"][:, 0]
        number = rows.num_rows - 3

        def take(index):
            window = tf.gather(flat, index[:, None] + tf.range(4, dtype=tf.int64)[None])
            return {"x": window[:, :3], "y": window[:, 3]}

        fields = {"x": Field((3,), "float32"), "y": NUMBER}
        return Rows(number, fields, "y", take=take)

    asked = []

    def counted(rows, preprocess):
        asked.append(rows.num_rows)
        return arrange(rows, preprocess)

    window = Form(preprocess=lambda raw: {"x": raw["x"][:, None] + 100})
    prepared = prepare(declared(arrange=counted, forms={"window": window}), REGRESSION, rows_of(12))
    assert prepared.num_rows("train") == 9
    assert num_steps(prepared, "train", batch_size=4, training=True) == 2
    assert num_steps(prepared, "test", batch_size=4, training=False) == 3
    options = {"batch_size": 4, "seed": 1}
    batches = list(stream(prepared, "test", training=False, **options).as_numpy_iterator())
    y = np.concatenate([y[weight > 0] for _, y, weight in batches])
    np.testing.assert_array_equal(y, 103 + np.arange(9))
    x = np.concatenate([x["x"][weight > 0] for x, _, weight in batches])
    np.testing.assert_array_equal(x, y[:, None] - [3, 2, 1])
    seen = [y for _, y, _ in stream(prepared, "train", training=True, **options).take(2)]
    assert len(set(np.concatenate(seen))) == 8
    assert asked == [12, 12]  # each split once


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"validation": None}, "own has no validation; it has train, test"),
        ({"test": Rows(0, {}, "y", table={})}, "own: no examples in test"),
    ],
)
def test_prepare_wants_examples_in_every_split(missing, message):
    rows = {k: v for k, v in (rows_of() | missing).items() if v is not None}
    with pytest.raises(DataError, match=message):
        prepare(declared(), REGRESSION, rows)


def test_class_names_and_source_are_those_of_the_declaration():
    schema = classes({"x": NUMBER}, ("a", "b"), target="y")
    labels = np.arange(12) % 2
    rows = rows_of(target=Field((), "int64"), column=labels)
    prepared = prepare(declared(), schema, rows)
    assert (prepared.name, prepared.source, prepared.task) == ("own", "own:1.0.0", "binary")
    assert prepared.class_names == ("a", "b")
    assert prepared.spec.num_outputs == 1
