"""word2vec: word vectors that predict which words are near each other (Mikolov et al. 2013)."""

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


@keras.saving.register_keras_serializable("zoo")
class Band(keras.layers.Layer):
    """The `window` entries on each side of the diagonal of a matrix over positions (B, T, T).

    (B, T, 2 window): first those before the diagonal, in order; zeros beyond the first and last
    position.
    """

    def __init__(self, window: int, **options):
        super().__init__(**options)
        self.window = window

    def call(self, scores):
        window, (batch, length) = self.window, ops.shape(scores)[:2]
        x = ops.pad(scores, [(0, 0), (0, 0), (window, window)])  # (B, T, T + 2 window)
        # With rows that are longer by one, each starts one position further to the right.
        x = ops.reshape(x, (batch, length * (length + 2 * window)))
        x = ops.pad(x, [(0, 0), (0, length)])
        x = ops.reshape(x, (batch, length, length + 2 * window + 1))
        return ops.concatenate([x[:, :, :window], x[:, :, window + 1 : 2 * window + 1]], axis=2)

    def compute_output_shape(self, shape):
        return (*shape[:2], 2 * self.window)

    def get_config(self):
        return {**super().get_config(), "window": self.window}


@zoo.register(
    Recipe(
        pipeline="imdb",
        batch_size=64,
        epochs=5,
        optimizer="adagrad",
        optimizer_options={"initial_accumulator_value": 1e-3},
        learning_rate=0.3,
        schedule="linear",
        precision="float32",
    ),
    name="word2vec",
    tiny={"width": 8},
    inputs="words",
    tasks=("word_vectors",),
    features="word_embedding",
    parameters=7_680_256,
)
def word2vec(spec: DataSpec, *, width: int = 128) -> keras.Model:
    """Skip-gram: scores of each word with the words around it and with sampled negatives.

    Logits (B, T, 2 window + N): of each of the T words of a row with those before and after it, and
    with the row's N negatives. Word vectors start in U(-0.5, 0.5) / width, context vectors at zero
    (word2vec.c).

    Args:
        width: components of a vector.

    Raises:
        ValueError: the inputs are not words and negatives, or `width` is not positive.
    """
    if set(spec.inputs) != {"words", "negatives"}:
        raise ValueError(f"word2vec takes words and negatives, the data has {dict(spec.inputs)}")
    if width < 1:
        raise ValueError(f"width {width}: expected 1 or more")
    inputs, size = zoo.keras_inputs(spec), spec.inputs["words"].ids
    [negatives] = spec.inputs["negatives"].shape
    uniform = keras.initializers.RandomUniform(-0.5 / width, 0.5 / width)
    words = keras.layers.Embedding(size, width, uniform, name="word_embedding")
    contexts = keras.layers.Embedding(
        size, width, "zeros", dtype="float32", name="context_embedding"
    )
    centre = ops.cast(words(inputs["words"]), "float32")  # (B, T, width)
    context = contexts(inputs["words"])
    negative = contexts(inputs["negatives"])  # (B, N, width)
    # Products of all positions of a row take less time than gathering every word's contexts.
    pairs = ops.matmul(centre, ops.transpose(context, (0, 2, 1)))  # (B, T, T)
    band = Band((spec.num_outputs - negatives) // 2, dtype="float32", name="band")
    noise = ops.matmul(centre, ops.transpose(negative, (0, 2, 1)))  # (B, T, N)
    return keras.Model(inputs, ops.concatenate([band(pairs), noise], axis=2), name="word2vec")
