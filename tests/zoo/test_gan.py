"""The gradients of `gan`, each compared with that of a loss of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from trainers.tasks.adversarial import PairLoss
from zoo import gan
from zoo.spec import DataSpec, Field

SIZES = {"widths": (6, 4), "critic_widths": (4, 6), "units": 8, "step": 0.05}
RANDOM = np.random.default_rng(0)


def spec(height: int = 8, width: int = 8, channels: int = 1) -> DataSpec:
    image = Field((height, width, channels), "float32")
    inputs = {
        "image": image,
        "label": Field((), "int32", ids=3),
        "latent": Field((5,), "float32"),
        "noise": image,
    }
    return DataSpec(inputs, "adversarial", 3)


def batch(fields) -> dict[str, tf.Tensor]:
    drawn = {
        name: RANDOM.normal(0, 0.5, (6, *field.shape)).astype(np.float32)
        for name, field in fields.items()
    }
    return {k: tf.constant(v) for k, v in {**drawn, "label": np.arange(6) % 3}.items()}


def parts_of(model: keras.Model):
    """Critic and generator as functions of their own over the model's layers."""
    layers = {layer.name: layer for layer in model.layers}

    def critic(x, label):
        for i in (1, 2):
            x = tf.nn.leaky_relu(layers[f"critic_conv{i}"](x), 0.2)
        x = layers["critic_dense"](tf.reshape(x, [len(x), -1]))
        x = tf.nn.leaky_relu(x, 0.2)
        return layers["critic"](x)[:, 0] + tf.reduce_sum(
            x * layers["critic_embedding"](label), axis=1
        )

    asked = {name: model.input[name] for name in ("latent", "label")}
    return critic, keras.Model(asked, model.get_layer("generated").output)


def gradients(variables, function) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        loss = function()
    found = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
    return [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def test_each_part_gets_the_gradient_of_its_own_loss():
    model = zoo.get("gan").build(spec(), **SIZES)
    x, penalty, step = batch(spec().inputs), 0.3, SIZES["step"]
    critic, generator = parts_of(model)
    of_generator = [v for v in model.trainable_variables if v.path.startswith("generat")]
    of_critic = [v for v in model.trainable_variables if v.path.startswith("critic")]
    assert len(of_generator) + len(of_critic) == len(model.trainable_variables)
    for variable in of_critic:  # so that the margins are not all near 0
        variable.assign(3.0 * variable)
    inputs = {name: x[name] for name in ("latent", "label")}

    def of_pairs():
        return tf.reduce_mean(PairLoss(penalty)(x["label"], model(x, training=True)))

    def for_the_generator():
        fake = critic(generator(inputs), x["label"])
        return tf.reduce_mean(tf.math.softplus(critic(x["image"], x["label"]) - fake))

    def for_the_critic():
        real, fake = x["image"], generator(inputs).numpy()
        loss = tf.math.softplus(critic(fake, x["label"]) - critic(real, x["label"]))
        for image in (real, fake):
            near = critic(image + step * x["noise"], x["label"])
            slope = (near - critic(image, x["label"])) / step
            loss += penalty / 2 * tf.square(slope)
        return tf.reduce_mean(loss)

    margins = model(x)[:, 0].numpy()
    assert np.abs(margins).max() > 0.05
    for variables, own in ((of_generator, for_the_generator), (of_critic, for_the_critic)):
        found, expected = gradients(variables, of_pairs), gradients(variables, own)
        for variable, a, b in zip(variables, found, expected, strict=True):
            largest = np.abs(b).max()
            assert largest > 0, variable.path
            np.testing.assert_allclose(a, b, atol=2e-4 * largest, err_msg=variable.path)


def test_the_mean_squared_slope_is_the_squared_gradient():
    """Of small steps: the critic has kinks, which long ones cross."""
    model = zoo.get("gan").build(spec(), **{**SIZES, "step": 0.005})
    x = batch(spec().inputs)
    x = {k: tf.repeat(v[:1], 4000, axis=0) for k, v in x.items()}
    x["noise"] = tf.random.stateless_normal(x["image"].shape, (1, 2))
    critic, _ = parts_of(model)
    with tf.GradientTape() as tape:
        tape.watch(x["image"])
        value = critic(x["image"][:1], x["label"][:1])
    squared = tf.reduce_sum(tape.gradient(value, x["image"])[0] ** 2)
    assert np.mean(model(x)[:, 1]) == pytest.approx(float(squared), rel=0.1)


def test_reverse_gradient_keeps_the_value_and_scales_the_gradient():
    x = tf.constant(RANDOM.normal(size=(2, 1, 1, 3)).astype(np.float32))
    factor = tf.constant([np.exp(10.0), 0.5], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = gan.reverse_gradient(x, factor)
        loss = tf.reduce_sum(3.0 * value)
    np.testing.assert_array_equal(value, x)
    expected = np.broadcast_to(-3.0 * factor.numpy()[:, None, None, None], x.shape)
    np.testing.assert_allclose(tape.gradient(loss, x), expected)


def test_images_of_any_size_are_made_between_minus_one_and_one():
    model = zoo.get("gan").build(spec(7, 10, 3), **SIZES)
    _, generator = parts_of(model)
    x = batch(spec(7, 10, 3).inputs)
    made = generator({"latent": 30 * x["latent"], "label": x["label"]}).numpy()
    assert made.shape == (6, 7, 10, 3)
    assert np.abs(made).max() <= 1
    assert np.std(made) > 0


def test_other_data_is_refused():
    other = DataSpec({"image": Field((8, 8, 1), "float32")}, "classification", 3)
    with pytest.raises(ValueError, match="image, label, latent and noise of task adversarial"):
        zoo.get("gan").build(other)
