"""The network for tables: its embeddings by hand, and what training never had."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import zoo
from zoo import tabular
from zoo.spec import DataSpec, Field

NUMBERS = {name: Field((2,), "float32") for name in ("numbers", "ranks", "missing")}
CATEGORIES = {"categories": Field((2,), "int32", ids=(4, 30))}
SMALL = {"hidden": (5,), "width": 6, "bins": 4}


def of(inputs, **hparams) -> keras.Model:
    return zoo.get("tabular").build(DataSpec(inputs, "classification", 3), **SMALL | hparams)


def batch(**columns) -> dict[str, np.ndarray]:
    whole = {name: np.zeros((len(next(iter(columns.values()))), 2), np.float32) for name in NUMBERS}
    return whole | {name: np.array(column, np.float32) for name, column in columns.items()}


def test_piecewise_linear_fills_the_bins_below_a_rank():
    ranks, missing = keras.Input((2,)), keras.Input((2,))
    embedded = tabular.piecewise_linear(ranks, missing, bins=4, width=1)
    model = keras.Model([ranks, missing], embedded)
    # The weight of a bin is its number: 1, 10, 100, 1000; of the second column negative.
    weights = np.array([1.0, 10, 100, 1000])[None, :, None] * np.array([1, -1])[:, None, None]
    model.set_weights([weights])
    made = model(
        [np.array([[0.0, 1], [0.125, 0.625], [0.25, 1]]), np.array([[0, 0], [0, 0], [0, 1]])]
    )
    np.testing.assert_allclose(made[:, :, 0], [[0, -1111], [0.5, -61], [1, 0]])


def test_periodic_is_a_sine_of_frequency_and_phase():
    numbers = keras.Input((2,))
    model = keras.Model(numbers, tabular.periodic(numbers, frequencies=2, width=1, name="wave"))
    frequency, phase = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 0.5], [0, 0]])
    model.set_weights([frequency, phase, np.ones((2, 2, 1))])
    made = model(np.array([[0.3, -1.0]]))
    expected = [np.sin(0.3) + np.sin(1.1), np.sin(-3) + np.sin(-4)]
    np.testing.assert_allclose(made[0, :, 0], expected, rtol=1e-5)


def test_values_that_training_never_had_are_without_effect():
    model = of(NUMBERS | CATEGORIES)
    x = batch(ranks=[[0.5, 1]] * 3)
    answers = model(x | {"categories": np.array([[0, 0], [1, 1], [3, 29]])})
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
    # A category of two values becomes four numbers, one of many values six.
    shapes = {w.path: w.shape for w in model.weights if "category" in w.path}
    assert shapes == {"category1/embeddings": (4, 4), "category2/embeddings": (30, 6)}


def test_linear_path_reaches_the_logits_beside_the_mlp():
    model = of(NUMBERS)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    [linear] = [w for w in model.weights if w.path == "linear/kernel"]
    linear.assign(np.eye(linear.shape[0], 3))  # numbers first, then what is missing
    made = model(batch(numbers=[[2.0, -3]], missing=[[1.0, 0]]))
    np.testing.assert_allclose(made, [[2, -3, 1]])


def test_members_are_mlps_of_their_own_beside_one_linear_path():
    model, x = of(NUMBERS, members=4, dropout=0.0), batch(numbers=[[2.0, -3], [1, 0]])
    assert model.output_shape == (None, 4, 3)
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(size=weight.shape))
    of_path = {weight.path: weight.numpy() for weight in model.weights}
    features = np.concatenate([x["numbers"], x["missing"], np.zeros((2, 12))], axis=1)
    for member in range(4):
        kernel, head = of_path["dense1/kernel"][member], of_path["logits/kernel"][member]
        hidden = np.maximum(features @ kernel + of_path["dense1/bias"], 0)
        expected = hidden @ head + of_path["logits/bias"]
        expected += features[:, :4] @ of_path["linear/kernel"]
        np.testing.assert_allclose(model(x)[:, member], expected, rtol=1e-4, atol=1e-5)


def test_words_reach_every_member_alike():
    model = of({"words": Field((1, 4), "int32", ids=9)}, members=2, dropout=0.0)
    x = {"words": np.array([[[5, 5, 0, 0]], [[0, 0, 0, 0]]])}
    before = model(x).numpy()
    table = model.get_layer("linear_words").embeddings
    table.assign(np.arange(9)[:, None] * [1.0, 2, 3])
    moved = 0.1 * 2 * 5 / np.sqrt(2)  # two words of score 5, over the root of their number
    expected = [[[moved, 2 * moved, 3 * moved]] * 2, np.zeros((2, 3))]
    np.testing.assert_allclose(model(x) - before, expected, atol=1e-5)


def test_one_member_is_the_network_without_members():
    shapes = {w.path: w.shape for w in of(NUMBERS).weights}
    assert shapes["dense1/kernel"] == (2 * 2 + 2 * 6, 5)
    assert shapes["logits/kernel"] == (5, 3)
    assert of(NUMBERS, members=1).output_shape == (None, 3)
    several = {w.path: w.shape for w in of(NUMBERS, members=2).weights}
    assert {
        path: (2, *s) if path in ("dense1/kernel", "logits/kernel") else s
        for path, s in shapes.items()
    } == several
    with pytest.raises(ValueError, match="at least one member"):
        of(NUMBERS, members=0)


def test_kernels_of_members_begin_with_the_deviation_of_a_single_one():
    one, several = of(NUMBERS, hidden=(400,)), of(NUMBERS, hidden=(400,), members=8)
    of_one, of_each = (m.get_layer("dense1").kernel.numpy().std() for m in (one, several))
    assert of_each == pytest.approx(of_one, rel=0.05)


def test_parts_without_columns_are_left_out():
    for inputs in (NUMBERS, CATEGORIES, NUMBERS | CATEGORIES):
        assert of(inputs, frequencies=3).output_shape == (None, 3)
    for inputs in ({"features": Field((3,), "float32")}, {"numbers": NUMBERS["numbers"]}, {}):
        with pytest.raises(ValueError, match="takes the input form columns"):
            of(inputs)


def started(task: str, outputs: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the model answers to numbers (B, 2) after `linear_start` on them, in batches of 7."""
    inputs = batch(numbers=x, ranks=np.zeros_like(x))
    model = zoo.get("tabular").build(DataSpec(NUMBERS, task, outputs), **SMALL)
    cuts = range(0, len(x), 7)
    batches = (({k: v[i : i + 7] for k, v in inputs.items()}, y[i : i + 7]) for i in cuts)
    made = tabular.linear_start(model, batches)
    for weight in model.weights:
        weight.assign(made.pop(weight.path, weight))
    assert not made
    head = model.get_layer("logits").kernel
    head.assign(np.zeros(head.shape))
    return model(inputs).numpy()


def ridge(x: np.ndarray, y: np.ndarray, penalty: float, new: np.ndarray) -> np.ndarray:
    """Standardised answers to new rows, by the normal equations."""
    centred, standard = x - x.mean(axis=0), (y - y.mean()) / y.std()
    kernel = np.linalg.solve(centred.T @ centred + penalty * np.eye(2), centred.T @ standard)
    return (new - x.mean(axis=0)) @ kernel


def leave_one_out(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """The mean squared error of rows that are left out, each by a fit of its own."""
    errors = []
    for i in range(len(x)):
        kept, scale = np.arange(len(x)) != i, y[np.arange(len(x)) != i]
        answer = ridge(x[kept], scale, penalty, x[i : i + 1])[0] * scale.std() + scale.mean()
        errors.append((answer - y[i]) ** 2)
    return np.mean(errors)


def test_linear_start_answers_as_ridge_regression_does():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    y = (x @ [2.0, -1.0] + 5).astype(np.float32)
    for noise, rows in ((0.0, 40), (30.0, 12)):
        seen, found = x[:rows], y[:rows] + np.float32(noise) * np.sin(np.arange(rows) * 2.0)
        left_out = [leave_one_out(seen, found, a) for a in tabular._PENALTIES]
        best = tabular._PENALTIES[np.argmin(left_out)]
        assert best == pytest.approx(1e4 if noise else 1e-2)
        answers = started("regression", 1, seen, found.astype(np.float32))
        np.testing.assert_allclose(answers[:, 0], ridge(seen, found, best, seen), atol=1e-5)
    # Zeros and ones that are no classes are numbers too.
    answers = started("regression", 1, x, (y > 5).astype(np.float32))
    assert abs(answers.mean()) < 1e-5


def test_penalty_is_chosen_on_evenly_spaced_rows_of_many(monkeypatch):
    monkeypatch.setattr(tabular, "_FEW_CELLS", 100)  # of 4 columns and 40 rows: every second row
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    y = (x @ [2.0, -1.0] + 30 * np.sin(np.arange(40) * 2.0) * (np.arange(40) % 2)).astype("f")
    answers = started("regression", 1, x, y)
    np.testing.assert_allclose(answers[:, 0], ridge(x, y, 1e-2, x), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_start_minimises_the_penalised_loss_of_classes(classes):
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = np.digitize(x @ [1.0, 1] + np.linspace(-1, 1, 60), np.arange(classes - 1.0))
    outputs = 1 if classes == 2 else classes
    logits = started("classification", outputs, x, y)
    if classes == 2:
        logits = np.concatenate([0 * logits, logits], axis=1)
    odds = np.exp(logits)
    wrong = odds / odds.sum(axis=1, keepdims=True) - (y[:, None] == np.arange(classes))
    # At the minimum the bias has no gradient, and the kernel has that of its penalty.
    np.testing.assert_allclose(wrong.sum(axis=0), 0, atol=0.02)
    a = np.linalg.lstsq(np.column_stack([x, np.ones(60)]), logits, rcond=None)[0]
    kernel = a[:2, 1:] if classes == 2 else a[:2]
    np.testing.assert_allclose((x.T @ wrong)[:, -kernel.shape[1] :], -kernel, atol=0.02)


def test_linear_start_of_labels_and_classes_that_no_row_has():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    labels = np.column_stack([x[:, 0] > 0, np.zeros(40)]).astype(np.float32)
    answers = started("multi_label", 2, x, labels)
    assert ((answers[:, 0] > 0) == labels[:, 0]).mean() > 0.9
    np.testing.assert_array_equal(answers[:, 1], 0)
    answers = started("classification", 4, x, np.where(x[:, 0] > 0, 3, 1))
    assert (answers.argmax(axis=1) == np.where(x[:, 0] > 0, 3, 1)).mean() > 0.9
    assert (answers[:, [0, 2]].max(axis=1) < answers.max(axis=1)).all()


def test_training_starts_without_the_mlp():
    model = of(NUMBERS)
    answers = model(batch(numbers=[[2.0, -3]], ranks=[[0.5, 1]]))
    np.testing.assert_allclose(answers, [[0, 0, 0]], atol=0.01)


def test_a_column_of_many_values_trains_its_unknown_one():
    for size, changed in ((20, False), (400, True)):
        spec = DataSpec({"categories": Field((1,), "int32", ids=(size,))}, "regression", 1)
        model = zoo.get("tabular").build(spec, **SMALL, forgotten=0.5, dropout=0.0)
        for weight in model.weights:  # 7 for the unknown value, 0 for the others
            value = np.full(weight.shape, 0.1)
            if weight.path.startswith("category"):
                value = np.zeros(weight.shape)
                value[1] = 7
            weight.assign(0 * value if weight.path.startswith("linear") else value)
        x = {"categories": np.full((1000, 1), 15)}
        known, unknown = model({"categories": np.array([[15], [1]])}).numpy()[:, 0]
        trained = model(x, training=True).numpy()[:, 0]
        np.testing.assert_array_equal(model(x)[:, 0], known)
        share = (abs(trained - unknown) < 1e-6).mean()
        assert 0.4 < share < 0.6 if changed else share == 0


def test_linear_path_of_a_column_of_many_values_is_missing_and_unknown():
    inputs = {"categories": Field((2,), "int32", ids=(5, 400))}
    model = zoo.get("tabular").build(DataSpec(inputs, "regression", 1), **SMALL)
    assert model.get_layer("linear").kernel.shape == (5 + 2, 1)


def test_linear_start_takes_evenly_spaced_rows_of_many(monkeypatch):
    monkeypatch.setattr(tabular, "_CELLS", 4 * 3000)
    x = np.random.default_rng(0).normal(size=(6000, 2)).astype(np.float32)
    y = np.where(np.arange(6000) < 3000, x[:, 0], -x[:, 0])  # the first half says the opposite
    assert abs(started("regression", 1, x, y)).max() < 0.5


def test_linear_path_is_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = of(NUMBERS | CATEGORIES)
    finally:
        keras.config.set_dtype_policy(before)
    assert (model.get_layer("linear").input.dtype, model.output.dtype) == ("float32", "float32")
    assert model.get_layer("dense1").compute_dtype == "bfloat16"


WORDS = {"words": Field((2, 3), "int32", ids=5)}


def test_linear_start_takes_words_beside_numbers():
    random = np.random.default_rng(0)
    ids = random.integers(1, 5, (50, 2, 3))
    ids[::7, 1] = 0
    x = batch(numbers=random.normal(size=(50, 2)), ranks=np.zeros((50, 2)))
    y = ((ids[:, 0] == 3).any(axis=1) ^ (x["numbers"][:, 0] > 1)).astype(np.int64)
    model = zoo.get("tabular").build(DataSpec(NUMBERS | WORDS, "binary", 1), **SMALL)
    made = tabular.linear_start(model, [({**x, "words": ids}, y)])
    for weight in model.weights:
        weight.assign(made.pop(weight.path, weight))
    assert not made
    model.get_layer("logits").kernel.assign(np.zeros((5, 1)))
    # One column a word and text column: its number over the root of those of the text, by a share.
    counts = np.stack([(ids == word).sum(axis=2) for word in range(1, 5)], axis=2)  # (50, 2, 4)
    counts = counts / np.sqrt(np.maximum(counts.sum(axis=2, keepdims=True), 1))
    there = (ids[:, :, 0] > 0).astype(float)
    plain = np.column_stack([x["numbers"], x["missing"], there])
    held_out = np.arange(50) % 5 == 4
    losses = {}
    for share in (0.5, 1, 2, 4):
        whole = np.column_stack([plain, share * counts.reshape(50, -1)])
        fitted = LogisticRegression(max_iter=1000).fit(whole[~held_out], y[~held_out])
        losses[share] = log_loss(y[held_out], fitted.predict_proba(whole[held_out])), whole
    _, whole = min(losses.values(), key=lambda one: one[0])
    expected = LogisticRegression(max_iter=1000).fit(whole, y).decision_function(whole)
    answers = model({**x, "words": ids}).numpy()[:, 0]
    np.testing.assert_allclose(answers, expected, atol=0.02)
    assert np.ptp(answers) > 2


def test_words_alone_are_enough_and_begin_without_effect():
    model = of(WORDS)
    assert model.output_shape == (None, 3)
    model.get_layer("linear").kernel.assign(np.zeros((2, 3)))
    answers = model({"words": np.array([[[2, 3, 0]] * 2, [[4, 1, 1]] * 2])})
    np.testing.assert_array_equal(answers[0], answers[1])
