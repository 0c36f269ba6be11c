"""Muon for convolutions: updates whose singular values are all alike.

Momentum orthogonalised by Newton-Schulz iterations is Jordan's (2024, kellerjordan.github.io/posts/
muon); kernels of constant norm and plain SGD for the other variables are those of his
airbench94_muon.py (github.com/KellerJordan/cifar10-airbench).
"""

import keras
from keras import ops

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic with the steepest slope at zero
_ITERATIONS = 3  # bring every singular value that matters to between 0.5 and 1.3
_MOMENTUM = 0.6


def orthogonalised(matrix):
    """The matrix (rows, columns) with its singular values brought near to 1.

    An iteration multiplies x by a + b g + c g^2, where g = x' x. These factors and all later g are
    polynomials of the first g, so that they commute: only the first g and the last product have
    the matrix's longer side, whatever the number of iterations.
    """
    a, b, c = _COEFFICIENTS
    rows, columns = matrix.shape
    tall = rows >= columns
    x = matrix / (ops.norm(matrix) + 1e-7)
    gram = ops.matmul(ops.transpose(x), x) if tall else ops.matmul(x, ops.transpose(x))
    identity = ops.eye(min(rows, columns), dtype=matrix.dtype)
    product = identity
    for _ in range(_ITERATIONS):
        factor = a * identity + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(product, factor)
        gram = ops.matmul(gram, ops.matmul(factor, factor))
    return ops.matmul(x, product) if tall else ops.matmul(product, x)


class MuonSGD(keras.optimizers.SGD):
    """Muon for the kernels of convolutions, SGD with Nesterov's momentum for all the rest.

    A kernel moves by the learning rate times its own norm and keeps that norm: in front of a
    normalisation only its direction counts. Weight decay shortens it and leaves that direction.
    """

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        average = self.momentums[self._get_variable_index(variable)]
        self.assign(average, average * _MOMENTUM + gradient)
        ahead = gradient + _MOMENTUM * average  # Nesterov's
        matrix = ops.reshape(ahead, (-1, variable.shape[-1]))  # (height width in, out)
        update = orthogonalised(matrix) / min(matrix.shape) ** 0.5  # of norm 1, about
        norm = ops.norm(ops.reshape(variable, (-1,)))
        step = learning_rate * norm * ops.reshape(update, variable.shape)
        moved = variable - ops.cast(step, variable.dtype)
        self.assign(variable, moved * norm / ops.norm(ops.reshape(moved, (-1,))))
