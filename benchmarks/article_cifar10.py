"""The CIFAR-10 script that most tutorials show, in the same few lines, as a baseline for ours.

    TFDS_DATA_DIR=... python benchmarks/article_cifar10.py [--epochs=10] [--seed=0]

It keeps what makes such scripts slow and partly wrong, since that is what is compared: images are
mapped one at a time, batches of 32 are shuffled instead of examples, nothing is cached, the loss
has `from_logits=True` over a softmax, and the test split is used for validation. It prints one JSON
line.
"""

import json
import time

import keras
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

_EPOCHS = flags.DEFINE_integer("epochs", 10, "Passes over the training images.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the weights and of the shuffle.")


def _preprocess(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = tf.cast(image, tf.float32) / 255.0
    return tf.image.resize(image, [32, 32]), label


def main(argv: list[str]) -> None:
    del argv
    started = time.perf_counter()
    keras.utils.set_random_seed(_SEED.value)
    train, test = tfds.load("cifar10", split=["train", "test"], as_supervised=True)
    train = train.map(_preprocess).batch(32).shuffle(buffer_size=1000)
    test = test.map(_preprocess).batch(32)

    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])

    fit_started = time.perf_counter()
    model.fit(train, epochs=_EPOCHS.value, validation_data=test, verbose=2)
    fit_seconds = time.perf_counter() - fit_started
    _, accuracy = model.evaluate(test, verbose=0)
    seconds = {"fit": fit_seconds, "total": time.perf_counter() - started}
    print(json.dumps({"test_accuracy": accuracy, "seconds": seconds}))


if __name__ == "__main__":
    app.run(main)
