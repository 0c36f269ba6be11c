"""The masked autoencoder: its positions, what it sees, and vit's paths."""

import keras
import numpy as np
import pytest

import zoo
from zoo.mae import Waves
from zoo.spec import DataSpec, Field

SMALL = {
    "width": 8,
    "num_layers": 2,
    "num_heads": 2,
    "mlp_dim": 12,
    "decoder_width": 12,
    "decoder_layers": 1,
    "decoder_heads": 3,
}


def spec(masked: int = 5, visible: int = 3, outputs: int = 48) -> DataSpec:
    inputs = {
        "image": Field((8, 16, 3), "float32"),
        "visible_positions": Field((visible,), "int32"),
        "masked_positions": Field((masked,), "int32"),
    }
    return DataSpec(inputs, "masked_image", outputs)


def example(seed: int = 0):
    random = np.random.default_rng(seed)
    order = np.stack([random.permutation(8) for _ in range(2)]).astype(np.int32)
    image = random.normal(size=(2, 8, 16, 3)).astype(np.float32)
    return {"image": image, "masked_positions": order[:, :5], "visible_positions": order[:, 5:]}


def test_positions_are_sines_and_cosines_of_column_and_row():
    table = np.array(Waves(3)((6, 8)))
    column, row = 2, 1  # of the last patch
    expected = []
    for place in (column, row):
        angles = [place, place * 0.01]
        expected += [*np.sin(angles), *np.cos(angles)]
    np.testing.assert_allclose(table[5], expected, rtol=1e-6)
    np.testing.assert_allclose(table[0], [0, 0, 1, 1, 0, 0, 1, 1])


def test_hidden_pixels_are_not_seen():
    model, x = zoo.get("mae").build(spec(), **SMALL), example()
    assert model(x).shape == (2, 5, 48)
    changed = x["image"].copy()
    row, column = divmod(int(x["masked_positions"][0, 0]), 4)
    changed[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1
    np.testing.assert_array_equal(model(x), model({**x, "image": changed}))
    row, column = divmod(int(x["visible_positions"][0, 0]), 4)
    changed[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1
    assert np.abs(model(x)[0] - model({**x, "image": changed})[0]).max() > 1e-3


def test_answers_follow_the_places_and_not_their_order():
    model, x = zoo.get("mae").build(spec(), **SMALL), example()
    turned = {
        "image": x["image"],
        "visible_positions": x["visible_positions"][:, ::-1],
        "masked_positions": x["masked_positions"][:, ::-1],
    }
    np.testing.assert_allclose(model(x), model(turned)[:, ::-1], rtol=1e-4, atol=1e-5)


def test_encoder_over_all_patches_is_vit():
    model = zoo.get("mae").build(spec(), **SMALL)
    vit = zoo.get("vit_mini4").build(
        DataSpec({"image": spec().inputs["image"]}, "classification", 7),
        patch=4,
        width=8,
        num_layers=2,
        num_heads=2,
        mlp_dim=12,
        pool="mean",
    )
    own = {v.path: v for v in model.weights}
    left = {v.path for v in vit.weights} - own.keys()
    assert left == {"logits/kernel", "logits/bias"}
    for variable in vit.weights:
        if variable.path in own:
            variable.assign(own[variable.path])
    inputs = {name: model.input[name] for name in ("image", "visible_positions")}
    encoder = keras.Model(inputs, model.get_layer("encoded").output)
    image, every = example()["image"], np.tile(np.arange(8, dtype=np.int32), (2, 1))
    seen = encoder({"image": image, "visible_positions": every})
    features = keras.Model(vit.input, vit.get_layer("features").output)
    np.testing.assert_allclose(
        np.mean(seen, axis=1), features({"image": image}), rtol=1e-4, atol=1e-5
    )


def test_the_recipe_is_of_the_sizes_of_vit_mini4():
    sizes = ("width", "num_layers", "num_heads", "mlp_dim")
    one, other = zoo.describe("mae").hparams, zoo.describe("vit_mini4").hparams
    assert {name: one[name] for name in sizes} == {name: other[name] for name in sizes}


def test_data_without_masks_and_widths_that_do_not_divide_are_refused():
    mae = zoo.get("mae")
    image = DataSpec({"image": Field((8, 8, 3), "float32")}, "classification", 3)
    with pytest.raises(ValueError, match="--task=masked_image, the data has \\['image'\\]"):
        mae.build(image, **SMALL)
    with pytest.raises(ValueError, match="width that 4 divides, received 6"):
        mae.build(spec(), **{**SMALL, "width": 6})
    with pytest.raises(ValueError, match="does not divide over 5 heads"):
        mae.build(spec(), **{**SMALL, "decoder_heads": 5})
