"""The options that all data sets of images share."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.steps import boxes, colour, image
from pipelines.steps import random_augment as ra
from pipelines.steps.augmented import augmented
from tests.conftest import OPTIONS
from tests.pipelines.steps.pictures import keys_of, pictures

IMAGES = ("cifar10", "image_folder", "image_table", "mnist", "shapes", "tfds_image")
MORE = {"policy": "rand_augment", "resized_crop": 0.5, "jitter": 0.2, "erase": 0.5}


def of(augment, x) -> np.ndarray:
    raw = {"image": tf.constant(x)}
    return augment(raw, tf.zeros(len(x), tf.int64), keys_of(range(len(x))))[0]["image"].numpy()


@pytest.mark.parametrize("name", IMAGES)
def test_every_data_set_of_images_has_the_options(name):
    described = pipelines.describe(name)
    for option in (*MORE, "mix", "mix_alpha", "augment_until"):
        assert option in described.options
    assert described.choices["mix"] == ("none", "mixup", "cutmix")
    assert described.limits["erase"] == (0, 1)
    plain = pipelines.get(name, **OPTIONS.get(name, {}))
    assert (plain.mix, plain.augment_until) == (None, 1.0)
    more = pipelines.get(name, **OPTIONS.get(name, {}), mix="cutmix", augment_until=0.8)
    assert more.mix is not None
    assert more.augment_until == 0.8


def test_steps_are_in_order_and_cut_outs_come_last():
    x = pictures(20, 32, 32)
    pipeline = pipelines.get("cifar10", cutout=8, **MORE)
    steps = [boxes.resized_crop(0.5), image.crop_and_flip(4), ra.rand_augment()]
    steps += [colour.jitter(0.2), boxes.erase(0.5), image.cut_out(8)]
    np.testing.assert_array_equal(of(pipeline.augment, x), of(image.in_turn(*steps), x))
    late = of(pipeline.late_augment, x)
    np.testing.assert_array_equal(late, of(image.crop_and_flip(4), x))


def test_policy_alone_needs_no_augmentation_of_the_data_set():
    x = pictures(20, 32, 32)
    pipeline = pipelines.get("cifar10", augment=False, cutout=8, policy="trivial_augment")
    np.testing.assert_array_equal(of(pipeline.augment, x), of(ra.trivial_augment(), x))
    assert pipeline.late_augment is None


def test_unknown_choices_are_refused():
    pipeline = pipelines.get("shapes")
    with pytest.raises(DataError, match="policy=auto: expected one of none, rand_augment, trivial"):
        augmented(pipeline, policy="auto")
    with pytest.raises(DataError, match="mix=mix_up: expected one of none, mixup, cutmix"):
        augmented(pipeline, mix="mix_up")
