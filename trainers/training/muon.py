"""Muon for convolutions: updates whose singular values are all about equal.

Orthogonalising momentum by Newton-Schulz iterations is from Jordan (2024, kellerjordan.github.io/
posts/muon); kernels of constant norm and plain SGD for the other variables are from his
airbench94_muon.py (github.com/KellerJordan/cifar10-airbench).
"""

import keras
from keras import ops

from trainers.devices import keras_patches


def orthogonalised(matrix, coefficients: tuple[float, float, float], steps: int):
    """The matrix (rows, columns) with its singular values brought near to 1.

    An iteration multiplies x by a + b g + c g^2, where g = x' x. These factors and all later g are
    polynomials in the first g, so they commute: only the first g and the last product involve the
    matrix's longer side, however many iterations there are.

    Args:
        coefficients: a, b and c.
        steps: the number of iterations.
    """
    a, b, c = coefficients
    rows, columns = matrix.shape
    tall = rows >= columns
    x = matrix / (ops.norm(matrix) + 1e-7)
    gram = ops.matmul(ops.transpose(x), x) if tall else ops.matmul(x, ops.transpose(x))
    identity = ops.eye(min(rows, columns), dtype=matrix.dtype)
    product = identity
    for _ in range(steps):
        factor = a * identity + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(product, factor)
        gram = ops.matmul(gram, ops.matmul(factor, factor))
    return ops.matmul(x, product) if tall else ops.matmul(product, x)


class MuonSGD(keras.optimizers.SGD):
    """Muon for the kernels of convolutions, SGD with Nesterov momentum for all other variables.

    An update moves a kernel by the learning rate times its norm and keeps the norm: before a
    normalisation only the direction matters. Weight decay, which is no part of the update, shortens
    a kernel without turning it.

    Args:
        muon_momentum: for the kernels; `momentum` is SGD's.
        ns_steps: Newton-Schulz iterations; 3 bring every singular value that matters to between
            0.5 and 1.3.
        muon_a, muon_b, muon_c: coefficients of the quintic; the defaults have the steepest slope
            at zero.
        **sgd: arguments of keras.optimizers.SGD.
    """

    def __init__(
        self,
        *,
        muon_momentum: float = 0.6,
        ns_steps: int = 3,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        **sgd,
    ):
        super().__init__(**sgd)
        self.muon_momentum = muon_momentum
        self.ns_steps = ns_steps
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c

    def build(self, variables):
        """Creates the momentum variables; SGD itself creates none where its momentum is 0."""
        if self.built:
            return
        super().build(variables)
        self.momentums = self.momentums or self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        average = self.momentums[keras_patches.index_of(self, variable)]
        self.assign(average, average * self.muon_momentum + gradient)
        ahead = gradient + self.muon_momentum * average  # Nesterov
        matrix = ops.reshape(ahead, (-1, variable.shape[-1]))  # (height width in, out)
        coefficients = (self.muon_a, self.muon_b, self.muon_c)
        update = orthogonalised(matrix, coefficients, self.ns_steps)
        update = update / min(matrix.shape) ** 0.5  # norm of about 1
        norm = ops.norm(ops.reshape(variable, (-1,)))
        is_zero = ops.equal(norm, 0)  # at the start: there is no norm to keep yet
        step = learning_rate * ops.where(is_zero, 1.0, norm) * ops.reshape(update, variable.shape)
        moved = variable - ops.cast(step, variable.dtype)
        length = ops.norm(ops.reshape(moved, (-1,)))
        self.assign(variable, ops.where(is_zero, moved, moved * norm / length))

    def get_config(self):
        """The arguments of the constructor."""
        names = ("muon_momentum", "ns_steps", "muon_a", "muon_b", "muon_c")
        return super().get_config() | {name: getattr(self, name) for name in names}
