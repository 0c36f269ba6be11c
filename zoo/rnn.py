"""Recurrent networks over the tokens of a text: simple, LSTM and GRU, in one direction or both."""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe

State = tuple[keras.KerasTensor, ...]  # (B, units) each; the first is the output


def simple_step(inputs: keras.KerasTensor, recurrent: keras.KerasTensor, state: State) -> State:
    """One step of a simple recurrent network (Elman 1990)."""
    return (ops.tanh(inputs + recurrent),)


def lstm_step(inputs: keras.KerasTensor, recurrent: keras.KerasTensor, state: State) -> State:
    """One step of an LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""
    _, cell = state
    write, keep, new, read = ops.split(inputs + recurrent, 4, axis=-1)  # (B, units) each
    # The first steps keep what they have (Jozefowicz et al. 2015, section 2.2).
    cell = ops.sigmoid(keep + 1.0) * cell + ops.sigmoid(write) * ops.tanh(new)
    return ops.sigmoid(read) * ops.tanh(cell), cell


def gru_step(inputs: keras.KerasTensor, recurrent: keras.KerasTensor, state: State) -> State:
    """One step of a GRU (Cho et al. 2014) whose reset gate acts after the product, as cuDNN's."""
    [output] = state
    keep, reset, new = ops.split(inputs, 3, axis=-1)  # (B, units) each
    keep_more, reset_more, before = ops.split(recurrent, 3, axis=-1)
    keep, reset = ops.sigmoid(keep + keep_more), ops.sigmoid(reset + reset_more)
    return (keep * output + (1.0 - keep) * ops.tanh(new + reset * before),)


class Cell(NamedTuple):
    """A kind of recurrent network."""

    step: Callable[[keras.KerasTensor, keras.KerasTensor, State], State]
    gates: int  # vectors of `units` numbers that a step makes of its input and of its output
    states: int  # vectors that it passes on
    bias: bool  # whether the share of the output has a bias beside that of the input


CELLS = {
    "rnn": Cell(simple_step, 1, 1, bias=False),
    "lstm": Cell(lstm_step, 4, 2, bias=False),
    "gru": Cell(gru_step, 3, 1, bias=True),
}


@keras.saving.register_keras_serializable("zoo")
class Recurrence(keras.layers.Layer):
    """The loop over time of one direction: (B, T, gates * units) to outputs (B, T, units).

    The products of inputs and weights are those of the layer before, for all steps at once; here
    is what depends on the step before. At padding the state is held.

    Args:
        cell: a key of CELLS.
        units: of the state.
        backward: from the end of the text to its beginning.
    """

    def __init__(self, cell: str, units: int, *, backward: bool = False, **options):
        super().__init__(**options)
        self.cell, self.units, self.backward = cell, units, backward
        # XLA must know how many steps a loop has at most to keep what its way back needs, and
        # Keras's scan tells TensorFlow no limit.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, inputs_shape, real_shape):
        """Makes the weights: one product for all gates."""
        del inputs_shape, real_shape
        width = CELLS[self.cell].gates * self.units
        self.kernel = self.add_weight((self.units, width), "orthogonal", name="kernel")
        if CELLS[self.cell].bias:
            self.bias = self.add_weight((width,), "zeros", name="bias")

    def call(self, inputs, real):
        """Outputs of every step, the last real one again at padding: float32.

        Args:
            inputs: (B, T, gates * units).
            real: (B, T) bool, False at padding.
        """
        cell, masks = CELLS[self.cell], ops.transpose(real)[..., None]  # (T, B, 1)
        start, forth = (ops.shape(inputs)[1] - 1, -1) if self.backward else (0, 1)

        # The mask is not scanned over: of several inputs Keras has to know the number of steps.
        def step(carried, now):
            *state, t = carried
            recurrent = ops.matmul(ops.cast(state[0], self.compute_dtype), self.kernel)
            if cell.bias:
                recurrent = recurrent + self.bias
            # Gates and states in float32: they are added up over hundreds of steps.
            new = cell.step(ops.cast(now, "float32"), ops.cast(recurrent, "float32"), state)
            is_real = ops.take(masks, t, axis=0)  # (B, 1)
            held = [ops.where(is_real, n, s) for n, s in zip(new, state, strict=True)]
            return (*held, t + forth), (*held, t)

        first = ops.zeros((ops.shape(inputs)[0], self.units), "float32")
        carried = (*(first,) * cell.states, ops.cast(start, "int32"))
        _, states = ops.scan(step, carried, ops.transpose(inputs, (1, 0, 2)), reverse=self.backward)
        return ops.transpose(states[0], (1, 0, 2))  # (B, T, units)

    def compute_output_spec(self, inputs, real):
        """The shape of the outputs, without tracing the loop."""
        del real
        return keras.KerasTensor((*inputs.shape[:2], self.units), dtype="float32")

    def get_config(self):
        """The arguments of the constructor."""
        own = {"cell": self.cell, "units": self.units, "backward": self.backward}
        return {**super().get_config(), **own}


def recurrent(
    x: keras.KerasTensor, mask: keras.KerasTensor, *, cell: str, units: int, backward: bool
) -> keras.KerasTensor:
    """One direction of a recurrent layer: (B, T, width) to (B, T, units)."""
    name = "backward" if backward else "forward"
    x = keras.layers.Dense(CELLS[cell].gates * units, name=f"{name}_inputs")(x)
    return Recurrence(cell, units, backward=backward, name=name)(x, mask)


def pool(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """The maximum and the mean over real tokens: (B, T, width) to (B, 2 * width); 0 if none is."""
    real = ops.cast(mask, "float32")[..., None]  # (B, T, 1)
    count = ops.sum(real, axis=1)  # (B, 1)
    mean = ops.sum(x * real, axis=1) / ops.maximum(count, 1.0)  # (B, width)
    # Outputs are between -1 and 1.
    largest = ops.max(x * real - 2.0 * (1.0 - real), axis=1)  # (B, width)
    return ops.concatenate([largest * ops.minimum(count, 1.0), mean], axis=-1)


_RECIPE = Recipe(
    pipeline="imdb",
    batch_size=128,
    epochs=4,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.1,
    schedule="one_cycle",
    clip_norm=1.0,
)


@zoo.register(
    _RECIPE,
    name="bidirectional_gru",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_246_657,
    cell="gru",
    bidirectional=True,
)
@zoo.register(
    _RECIPE,
    name="bidirectional_lstm",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_311_681,
    cell="lstm",
    bidirectional=True,
)
@zoo.register(
    _RECIPE,
    name="bidirectional_rnn",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_114_305,
    bidirectional=True,
)
@zoo.register(
    _RECIPE,
    name="gru",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_147_329,
    cell="gru",
)
@zoo.register(
    _RECIPE,
    name="lstm",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_179_841,
    cell="lstm",
)
@zoo.register(
    _RECIPE,
    name="rnn",
    tiny={"width": 8, "units": 6, "dropout": 0.1, "word_dropout": 0.1},
    head=("logits",),
    parameters=2_081_153,
)
def rnn(
    spec: DataSpec,
    *,
    cell: str = "rnn",
    bidirectional: bool = False,
    width: int = 128,
    units: int = 128,
    dropout: float = 0.3,
    word_dropout: float = 0.3,
) -> keras.Model:
    """A recurrent network over tokens, its outputs pooled over the text, with a linear head.

    Args:
        cell: rnn, lstm or gru.
        bidirectional: beside it a second network that reads the text from its end.
        width: of the embeddings.
        units: of the state of each direction.
        dropout: fraction dropped of the pooled outputs.
        word_dropout: fraction of tokens whose embedding is zero in a training step.

    Raises:
        ValueError: the data is not one field of tokens.
    """
    if [bool(field.ids and field.length) for field in spec.inputs.values()] != [True]:
        raise ValueError(f"rnn takes one input of tokens, the data has {dict(spec.inputs)}")

    inputs = zoo.keras_inputs(spec)
    [tokens], [field] = inputs.values(), spec.inputs.values()  # (B, T), 0 is padding
    mask = ops.not_equal(tokens, 0)  # (B, T)
    x = keras.layers.Embedding(field.ids, width, name="token_embedding")(tokens)  # (B, T, width)
    if word_dropout:
        whole = (None, None, 1)  # all numbers of an embedding or none
        x = keras.layers.Dropout(word_dropout, noise_shape=whole, name="word_dropout")(x)
    ways = (False, True) if bidirectional else (False,)
    outputs = [recurrent(x, mask, cell=cell, units=units, backward=way) for way in ways]
    x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)
    x = pool(x, mask)  # (B, 2 * directions * units)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="rnn")
