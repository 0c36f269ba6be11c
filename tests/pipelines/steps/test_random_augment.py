"""RandAugment and TrivialAugment against Pillow, one image and one operation at a time."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from pipelines import DataError
from pipelines.core.keys import integers
from pipelines.steps import geometry
from pipelines.steps import random_augment as ra
from tests.pipelines.steps.pictures import (
    array,
    assert_does_not_depend_on_the_batch,
    keys_of,
    pictures,
    pillow,
)

# The largest strength of each operation: torchvision's RandAugment and TrivialAugmentWide.
LARGEST = {
    "RandAugment": {"Shear": 0.3, "Translate": 150 / 331, "Rotate": 30.0, "blend": 0.9, "bits": 4},
    "TrivialAugmentWide": {
        "Shear": 0.99,
        "Translate": 32,
        "Rotate": 135.0,
        "blend": 0.99,
        "bits": 6,
    },
}
STRENGTHS = {"RandAugment": ra.RANDOM, "TrivialAugmentWide": ra.WIDE}


def by_pillow(picture: Image.Image, name: str, level: int, sign: int, policy: str) -> Image.Image:
    """One operation as torchvision applies it to an image of Pillow's."""
    largest, (width, height) = LARGEST[policy], picture.size
    part = level / 30 * (-1 if sign else 1)

    def moved(*numbers):
        return picture.transform(picture.size, Image.Transform.AFFINE, numbers)

    wide, high = (1, 1) if policy == "TrivialAugmentWide" else (width, height)
    factor = float(np.float32(1 + largest["blend"] * part))
    match name:
        case "Identity":
            return picture
        case "ShearX":
            return moved(1, largest["Shear"] * part, 0, 0, 1, 0)
        case "ShearY":
            return moved(1, 0, 0, largest["Shear"] * part, 1, 0)
        case "TranslateX":
            return moved(1, 0, -int(largest["Translate"] * part * wide), 0, 1, 0)
        case "TranslateY":
            return moved(1, 0, 0, 0, 1, -int(largest["Translate"] * part * high))
        case "Rotate":
            return picture.rotate(largest["Rotate"] * part)
        case "Posterize":
            return ImageOps.posterize(picture, 8 - round(level * largest["bits"] / 30))
        case "Solarize":
            return ImageOps.solarize(picture, 255 * (30 - level) / 30)
        case "AutoContrast":
            return ImageOps.autocontrast(picture)
        case "Equalize":
            return ImageOps.equalize(picture)
        case _:
            return getattr(ImageEnhance, name)(picture).enhance(factor)


def applied(x: np.ndarray, *drawn, policy: str = "RandAugment") -> np.ndarray:
    table = ra.tables(STRENGTHS[policy], *x.shape[1:3])
    drawn = [tuple(tf.constant(part, tf.int32) for part in one) for one in drawn]
    return ra.applied(tf.constant(x), drawn, table).numpy()


@pytest.mark.parametrize("policy", list(LARGEST))
@pytest.mark.parametrize("size", [(32, 32, 3), (28, 28, 1)], ids=str)
def test_every_operation_at_every_level_equals_pillow(policy, size):
    kind, level, sign = (part.ravel() for part in np.indices((14, 31, 2)))
    x = pictures(len(kind), *size)
    found = applied(x, (kind, level, sign), policy=policy)
    for i, picture in enumerate(x):
        name = ra.OPERATIONS[kind[i]]
        expected = array(by_pillow(pillow(picture), name, int(level[i]), sign[i], policy))
        np.testing.assert_array_equal(found[i], expected, err_msg=f"{name} {level[i]} {sign[i]}")


def test_two_operations_equal_pillow_s_but_for_two_maps():
    """Two maps are one: against Pillow's own sampling by their product."""
    first, second = (part.ravel() for part in np.indices((14, 14)))
    number = len(first)
    level = np.full(number, 9)
    signs = [np.arange(number) // 14 % 2, np.arange(number) % 2]
    x = pictures(number, 32, 32)
    found = applied(x, (first, level, signs[0]), (second, level, signs[1]))
    table = ra.tables(ra.RANDOM, 32, 32)
    for i, picture in enumerate(x):
        names = ra.OPERATIONS[first[i]], ra.OPERATIONS[second[i]]
        if all(1 <= kind < len(ra.MAPS) for kind in (first[i], second[i])):
            matrices = [
                np.vstack([table.maps[k, 9, s[i]].reshape(2, 3), [0, 0, 1]]).astype(np.float64)
                for k, s in zip((first[i], second[i]), signs, strict=True)
            ]
            both = (matrices[0] @ matrices[1])[:2].ravel().tolist()
            once = pillow(picture).transform((32, 32), Image.Transform.AFFINE, both)
            assert (found[i] != array(once)).any(axis=-1).mean() < 0.04, names
            continue
        expected = pillow(picture)
        for name, sign in zip(names, (signs[0][i], signs[1][i]), strict=True):
            expected = by_pillow(expected, name, 9, sign, "RandAugment")
        np.testing.assert_array_equal(found[i], array(expected), err_msg=str(names))


def test_maps_around_a_change_of_colour_are_applied_in_order():
    x = pictures(1, 8, 8)
    rotate, equalize, shear = (ra.OPERATIONS.index(n) for n in ("Rotate", "Equalize", "ShearX"))
    found = applied(x, *(([kind], [15], [0]) for kind in (rotate, equalize, shear)))
    expected = pillow(x[0])
    for name in ("Rotate", "Equalize", "ShearX"):
        expected = by_pillow(expected, name, 15, 0, "RandAugment")
    np.testing.assert_array_equal(found[0], array(expected))


def test_tables_are_torchvision_s_of_a_cifar_image():
    table = ra.tables(ra.RANDOM, 32, 32)
    assert table.maps[ra.OPERATIONS.index("TranslateX"), 30, 0, 2] == pytest.approx(-14, abs=1e-5)
    assert table.factors[9].tolist() == pytest.approx([1.27, 0.73])
    assert [bin(kept).count("1") for kept in table.kept[[0, 3, 4, 11, 12, 30]]] == [
        8,
        8,
        7,
        7,
        6,
        4,
    ]
    assert table.thresholds[[0, 1, 9, 30]].tolist() == [255, 247, 179, 0]  # 246.5, 178.5
    wide = ra.tables(ra.WIDE, 224, 224)
    assert wide.maps[ra.OPERATIONS.index("TranslateY"), 30, 1, 5] == pytest.approx(32, abs=1e-5)
    assert bin(wide.kept[30]).count("1") == 2


@pytest.mark.parametrize(
    ("augment", "name", "operations"),
    [(ra.rand_augment(), "rand_augment", 2), (ra.trivial_augment(), "trivial_augment", 1)],
)
def test_policies_apply_what_they_draw(augment, name, operations):
    x = pictures(60, 12, 12)
    keys = keys_of(range(100, 160)).named(name)
    drawn = []
    for first in range(0, 3 * operations, 3):
        kind, level, sign = (
            integers(keys, first + i, limit).numpy() for i, limit in enumerate((14, 31, 2))
        )
        drawn.append((kind, level if operations == 1 else np.full(60, 9), sign))
    policy = "RandAugment" if operations == 2 else "TrivialAugmentWide"
    found, _ = augment({"image": tf.constant(x)}, None, keys_of(range(100, 160)))
    np.testing.assert_array_equal(found["image"], applied(x, *drawn, policy=policy))


def test_policies_do_not_depend_on_the_batch():
    assert_does_not_depend_on_the_batch(ra.rand_augment(), pictures(40, 12, 10))


def test_policies_draw_all_operations_alike():
    keys = keys_of(range(20_000)).named("rand_augment")
    counts = np.stack([np.bincount(integers(keys, d, 14), minlength=14) for d in (0, 3)])
    # 13 degrees of freedom: beyond 34.5 one time in a thousand, and the seed is fixed.
    assert (((counts - 20_000 / 14) ** 2 / (20_000 / 14)).sum(axis=1) < 34.5).all()


def test_policies_leave_other_fields_and_targets_alone():
    raw = {"image": tf.constant(pictures(3, 8, 8)), "name": tf.constant(["a", "b", "c"])}
    found, target = ra.rand_augment()(raw, tf.constant([1, 2, 3]), keys_of([0, 1, 2]))
    assert found["name"] is raw["name"]
    assert target.numpy().tolist() == [1, 2, 3]


def test_policies_augment_any_image_field_by_draws_of_its_own():
    """Two images a row: each as if it were `image`, under keys of its name."""

    def both(raw, target, keys):
        for name in ("left", "right"):
            own, _ = ra.trivial_augment()({"image": raw[name]}, target, keys.named(name))
            raw = {**raw, name: own["image"]}
        return raw, target

    x = tf.constant(pictures(30, 8, 8))
    found, _ = both({"left": x, "right": x}, None, keys_of(range(30)))
    assert (found["left"].numpy() != found["right"].numpy()).any()


def test_policies_refuse_images_of_16_bits():
    """Also as a data set is made of them: an error of ours, not of TensorFlow's."""
    data = tf.data.Dataset.from_tensors(tf.zeros((2, 8, 8, 3), tf.uint16))
    step = tf.autograph.experimental.do_not_convert(
        lambda x: ra.rand_augment()({"image": x}, None, keys_of([0, 1]))
    )
    with pytest.raises(DataError, match="rand_augment takes images of 8 bits with 1 or 3 channels"):
        data.map(step)


def test_identity_is_no_map_to_be_applied():
    x = pictures(4, 9, 7)
    np.testing.assert_array_equal(applied(x, ([0] * 4, [9] * 4, [0] * 4)), x)
    assert geometry.fixed(geometry.IDENTITY)[[0, 4]].tolist() == [1.0, 1.0]
