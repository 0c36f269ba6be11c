"""The Keras model under JAX: a turn is one call of a compiled loop, with data on the device."""

import time

import gpu_sides
import jax
import numpy as np
from gpu_sides import EVALUATED, Job, Side
from jax import numpy as jnp


def side(job: Job) -> Side:
    """The network with its optimizer as pure functions (Keras's stateless calls)."""
    import keras

    model, spec = gpu_sides.keras_model(job)
    optimizer = gpu_sides.optimizer_of(job, model)
    table, target = (jax.device_put(job.rows(f"train_{name}")) for name in "xy")
    if spec.task == "binary":
        loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        smoothing = job.recipe.label_smoothing
        loss_of = keras.losses.CategoricalCrossentropy(True, smoothing)

    def loss_and_rest(trainable, rest, x, y):
        logits, rest = model.stateless_call(trainable, rest, x, training=True)
        if spec.task != "binary":
            y = jax.nn.one_hot(y, spec.num_outputs)
        return loss_of(y.astype(jnp.float32).reshape(logits.shape), logits), rest

    def step(state, draw):
        trainable, rest, slots = state
        x, y = batch(table, draw, job.padding), target[draw[0]]
        (loss, rest), gradients = jax.value_and_grad(loss_and_rest, has_aux=True)(
            trainable, rest, x, y
        )
        if job.recipe.clip_norm:  # as PyTorch's clip_grad_norm_
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(g.astype(jnp.float32))) for g in gradients))
            factor = jnp.minimum(1.0, job.recipe.clip_norm / (norm + 1e-6))
            gradients = [(g * factor).astype(g.dtype) for g in gradients]
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, rest, slots), loss

    @jax.jit
    def logits_of(trainable, rest, x):
        return model.stateless_call(trainable, rest, x, training=False)[0]

    many = jax.jit(lambda state, draw: jax.lax.scan(step, state, draw), donate_argnums=0)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    start = [[np.array(variable) for variable in group] for group in groups]
    state = [None]

    def restart() -> None:
        state[0] = tuple([jnp.array(value) for value in group] for group in start)

    def train(first: int, draw: list[np.ndarray]) -> None:
        del first  # the optimizer counts its steps
        state[0], losses = many(state[0], [jnp.asarray(column) for column in draw])
        if not np.isfinite(np.asarray(losses)).all():  # waits
            raise FloatingPointError("the loss is not finite")

    def accuracy() -> float:
        x, y = job.rows("test_x"), job.rows("test_y")
        trainable, rest, _ = state[0]
        right = 0
        for i in range(0, len(x), EVALUATED):
            inputs = scaled(jnp.asarray(x[i : i + EVALUATED]))
            predicted = np.asarray(logits_of(trainable, rest, inputs)).argmax(axis=1)
            right += int((predicted == y[i : i + EVALUATED]).sum())
        return right / len(x)

    restart()
    device = jax.devices()[0]
    name = f"{device.device_kind} under JAX {jax.__version__}"
    return Side(name, train, accuracy, restart, gpu_sides.flops(model), peak)


def scaled(pixels: jax.Array) -> jax.Array:
    """As pipelines.steps.image.scale."""
    return pixels.astype(jnp.float32) * (1.0 / 127.5) - 1.0


def batch(table: jax.Array, draw: list[jax.Array], padding: int) -> jax.Array:
    """The rows of a step: tokens unchanged, images cropped and flipped by one gather."""
    index, down, right, flip = draw
    if table.ndim == 2:
        return table[index]
    across = jnp.arange(table.shape[1] - 2 * padding)  # images are square
    rows = down[:, None] + across
    columns = right[:, None] + jnp.where(flip[:, None] > 0, across[::-1], across)
    return scaled(table[index[:, None, None], rows[:, :, None], columns[:, None, :]])


def peak(size: int) -> float:
    """FLOP/s of a chain of matrix products, the best of five."""
    random = np.random.default_rng(0)
    a, b = (
        jnp.asarray(random.normal(size=(size, size)) / size**0.5, jnp.bfloat16) for _ in range(2)
    )
    chain = jax.jit(lambda a, b: jax.lax.fori_loop(0, 10, lambda _, x: x @ b, a))
    chain(a, b).block_until_ready()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        chain(a, b).block_until_ready()
        seconds.append(time.perf_counter() - begun)
    return 10 * 2 * size**3 / min(seconds)
