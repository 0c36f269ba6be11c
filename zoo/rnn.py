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
    # (B, units) each
    input_gate, forget_gate, candidate, output_gate = ops.split(inputs + recurrent, 4, axis=-1)
    # A forget-gate bias of 1: at first the state is kept (Jozefowicz et al. 2015, section 2.2).
    cell = ops.sigmoid(forget_gate + 1.0) * cell + ops.sigmoid(input_gate) * ops.tanh(candidate)
    return ops.sigmoid(output_gate) * ops.tanh(cell), cell


def gru_step(inputs: keras.KerasTensor, recurrent: keras.KerasTensor, state: State) -> State:
    """One step of a GRU (Cho et al. 2014) whose reset gate acts after the product, as cuDNN's."""
    [output] = state
    update, reset, candidate = ops.split(inputs, 3, axis=-1)  # (B, units) each
    update_state, reset_state, candidate_state = ops.split(recurrent, 3, axis=-1)
    update, reset = ops.sigmoid(update + update_state), ops.sigmoid(reset + reset_state)
    return (update * output + (1.0 - update) * ops.tanh(candidate + reset * candidate_state),)


class Cell(NamedTuple):
    """A kind of recurrent network."""

    step: Callable[[keras.KerasTensor, keras.KerasTensor, State], State]
    gates: int  # vectors of `units` numbers that a step computes from its input and from its state
    states: int  # vectors in the state
    bias: bool  # whether the product with the state has a bias besides that of the input


CELLS = {
    "rnn": Cell(simple_step, 1, 1, bias=False),
    "lstm": Cell(lstm_step, 4, 2, bias=False),
    "gru": Cell(gru_step, 3, 1, bias=True),
}


@keras.saving.register_keras_serializable("zoo")
class Recurrence(keras.layers.Layer):
    """The loop over time of one direction: (B, T, gates * units) to outputs (B, T, units).

    The layer before multiplies the inputs by their weights, for all steps at once; this layer
    computes what depends on the previous step. At padding the state does not change.

    Args:
        cell: a key of CELLS.
        units: of the state.
        backward: whether to run from the end of the text to its beginning.
    """

    def __init__(self, cell: str, units: int, *, backward: bool = False, **options):
        super().__init__(**options)
        self.cell, self.units, self.backward = cell, units, backward
        # XLA needs a loop's largest number of steps to store what its backward pass needs, and
        # Keras's scan gives TensorFlow no limit.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, inputs_shape, real_shape):
        """Makes the weights: one product for all gates."""
        del inputs_shape, real_shape
        width = CELLS[self.cell].gates * self.units
        self.kernel = self.add_weight((self.units, width), "orthogonal", name="kernel")
        if CELLS[self.cell].bias:
            self.bias = self.add_weight((width,), "zeros", name="bias")

    def call(self, inputs, real):
        """Outputs of every step in float32.

        At padding the output is that of the previous step of the loop, which runs from the end if
        `backward`, or 0 if there is none.

        Args:
            inputs: (B, T, gates * units).
            real: (B, T) bool, False at padding.
        """
        cell, masks = CELLS[self.cell], ops.transpose(real)[..., None]  # (T, B, 1)
        start, direction = (ops.shape(inputs)[1] - 1, -1) if self.backward else (0, 1)

        # The mask is not scanned over: with several inputs Keras must know the number of steps.
        def step(carried, now):
            *state, t = carried
            recurrent = ops.matmul(ops.cast(state[0], self.compute_dtype), self.kernel)
            if cell.bias:
                recurrent = recurrent + self.bias
            # Gates and states in float32: they accumulate over hundreds of steps.
            new = cell.step(ops.cast(now, "float32"), ops.cast(recurrent, "float32"), state)
            is_real = ops.take(masks, t, axis=0)  # (B, 1)
            held = [ops.where(is_real, n, s) for n, s in zip(new, state, strict=True)]
            return (*held, t + direction), (*held, t)

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
    """Maximum and mean over real tokens: (B, T, width) to (B, 2 * width); 0 if there are none."""
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
        bidirectional: whether a second network reads the text from its end.
        width: of the embeddings.
        units: of the state of each direction.
        dropout: fraction of the pooled outputs that is dropped.
        word_dropout: fraction of tokens whose embedding is zero in a training step.

    Raises:
        ValueError: the data is not one field of tokens, or `cell` is unknown.
    """
    if [bool(field.ids and field.length) for field in spec.inputs.values()] != [True]:
        raise ValueError(f"rnn takes one input of tokens, the data has {dict(spec.inputs)}")
    if cell not in CELLS:
        raise ValueError(f"cell {cell!r} is none of {', '.join(CELLS)}")

    inputs = zoo.keras_inputs(spec)
    [tokens], [field] = inputs.values(), spec.inputs.values()  # (B, T), 0 is padding
    mask = ops.not_equal(tokens, 0)  # (B, T)
    x = keras.layers.Embedding(field.ids, width, name="token_embedding")(tokens)  # (B, T, width)
    if word_dropout:
        noise_shape = (None, None, 1)  # drops whole embeddings
        x = keras.layers.Dropout(word_dropout, noise_shape=noise_shape, name="word_dropout")(x)
    directions = (False, True) if bidirectional else (False,)
    outputs = [
        recurrent(x, mask, cell=cell, units=units, backward=backward) for backward in directions
    ]
    x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)
    x = pool(x, mask)  # (B, 2 * directions * units)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="rnn")
