"""GloVe: word vectors whose products predict how often two words are near each other."""

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


@zoo.register(
    Recipe(
        pipeline="imdb",
        batch_size=4096,
        epochs=15,
        optimizer="adagrad",
        optimizer_options={"initial_accumulator_value": 1.0},
        learning_rate=0.05,
        precision="float32",
    ),
    name="glove",
    tiny={"width": 8},
    inputs="pairs",
    tasks=("cooccurrence",),
    features="word_embedding",
    parameters=6_060_202,
)
def glove(spec: DataSpec, *, width: int = 100) -> keras.Model:
    """W . w~ + b + b~ for a word and a context: the log of their co-occurrence count, (B, 1).

    Pennington et al. 2014. All weights start in U(-0.5, 0.5) / width (glove.c).

    Args:
        width: components of a vector.

    Raises:
        ValueError: the data has no pairs of words, or `width` is not positive.
    """
    if set(spec.inputs) != {"pair"} or not spec.inputs["pair"].ids:
        raise ValueError(f"glove takes pairs of words, the data has {dict(spec.inputs)}")
    if width < 1:
        raise ValueError(f"width {width}: expected 1 or more")
    inputs, size = zoo.keras_inputs(spec), spec.inputs["pair"].ids

    def table(columns: int, name: str, dtype: str | None = None) -> keras.layers.Embedding:
        uniform = keras.initializers.RandomUniform(-0.5 / width, 0.5 / width)
        return keras.layers.Embedding(size, columns, uniform, dtype=dtype, name=name)

    word, context = inputs["pair"][:, 0], inputs["pair"][:, 1]  # (B,)
    vectors = table(width, "word_embedding")(word), table(width, "context_embedding")(context)
    product = ops.sum(ops.cast(vectors[0] * vectors[1], "float32"), axis=1, keepdims=True)
    biases = (
        table(1, "word_bias", "float32")(word),  # (B, 1)
        table(1, "context_bias", "float32")(context),
    )
    return keras.Model(inputs, product + biases[0] + biases[1], name="glove")
