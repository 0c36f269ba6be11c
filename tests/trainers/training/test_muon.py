"""Muon against singular values, and its updates by hand."""

import keras
import numpy as np
import pytest

from trainers.training import muon

RANDOM = np.random.default_rng(0)
QUINTIC = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(27, 8), (8, 27), (12, 12)])
def test_orthogonalised_keeps_directions_and_levels_their_lengths(shape):
    matrix = RANDOM.normal(size=shape).astype(np.float32)
    left, lengths, right = np.linalg.svd(matrix, full_matrices=False)
    levelled = left.T @ np.array(muon.orthogonalised(matrix, QUINTIC, 3)) @ right.T
    # The quintic, three times, on each singular value by itself.
    expected = lengths / np.linalg.norm(matrix)
    for _ in range(3):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    np.testing.assert_allclose(levelled, np.diag(expected), atol=1e-4)
    assert expected[lengths > 0.3 * lengths[0]].min() > 0.5


def test_two_updates_by_hand():
    kernel = RANDOM.normal(size=(3, 3, 2, 4)).astype(np.float32)
    bias = RANDOM.normal(size=4).astype(np.float32)
    variables = [keras.Variable(kernel, name="kernel"), keras.Variable(bias, name="bias")]
    optimizer = muon.MuonSGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    optimizer.build(variables)
    norm, average, speed = np.linalg.norm(kernel), 0.0, 0.0
    for _ in range(2):
        gradients = [RANDOM.normal(size=v.shape).astype(np.float32) for v in variables]
        optimizer.apply(gradients)
        average = 0.6 * average + gradients[0]
        ahead = (gradients[0] + 0.6 * average).reshape(18, 4)
        step = np.array(muon.orthogonalised(ahead, QUINTIC, 3)).reshape(kernel.shape) / 2
        kernel = kernel - 0.1 * norm * step
        kernel *= norm / np.linalg.norm(kernel)
        speed = 0.9 * speed - 0.1 * gradients[1]
        bias = bias + 0.9 * speed - 0.1 * gradients[1]
    np.testing.assert_allclose(variables[0], kernel, atol=1e-5)
    np.testing.assert_allclose(variables[1], bias, atol=1e-5)
    assert np.linalg.norm(variables[0]) == pytest.approx(norm, rel=1e-5)


def test_options_of_muon_reach_the_update_of_a_kernel_alone():
    kernel = RANDOM.normal(size=(1, 1, 4, 4)).astype(np.float32)
    gradient = RANDOM.normal(size=(1, 1, 4, 4)).astype(np.float32)
    variable = keras.Variable(kernel, name="kernel")
    optimizer = muon.MuonSGD(
        learning_rate=0.1, momentum=0.9, muon_momentum=0.0, ns_steps=1, muon_a=2.0, muon_b=0.0,
        muon_c=0.0,
    )  # fmt: skip
    optimizer.build([variable])
    optimizer.apply([gradient])
    # One iteration without higher terms doubles the gradient, whose norm was made 1.
    norm = np.linalg.norm(kernel)
    moved = kernel - 0.1 * norm * 2 * gradient / np.linalg.norm(gradient) / 2
    np.testing.assert_allclose(variable, moved * norm / np.linalg.norm(moved), atol=1e-5)


def test_kernels_move_with_momentum_where_sgd_has_none():
    kernel = RANDOM.normal(size=(3, 3, 2, 4)).astype(np.float32)
    variables = [keras.Variable(kernel, name="kernel"), keras.Variable(np.ones(4), name="bias")]
    optimizer = muon.MuonSGD(learning_rate=0.1, momentum=0.0)
    optimizer.build(variables)
    optimizer.apply([np.ones_like(kernel), np.ones(4, np.float32)])
    assert np.abs(variables[0] - kernel).max() > 0.01
    np.testing.assert_allclose(variables[1], 0.9, atol=1e-6)


def test_config_builds_the_same_optimizer():
    optimizer = muon.MuonSGD(learning_rate=0.1, muon_momentum=0.5, ns_steps=4, muon_b=-4.0)
    config = muon.MuonSGD.from_config(optimizer.get_config()).get_config()
    assert config == optimizer.get_config()
    assert (config["muon_momentum"], config["ns_steps"], config["muon_b"]) == (0.5, 4, -4.0)


def test_a_kernel_of_zeros_begins_to_move():
    """As `diffusion` has one: there is no norm that it could keep yet."""
    kernel = keras.Variable(np.zeros((3, 3, 2, 4), np.float32), name="kernel")
    optimizer = muon.MuonSGD(learning_rate=0.1)
    optimizer.build([kernel])
    optimizer.apply([np.zeros((3, 3, 2, 4), np.float32)])
    assert not kernel.numpy().any()
    gradient = RANDOM.normal(size=(3, 3, 2, 4)).astype(np.float32)
    optimizer.apply([gradient])
    step = np.array(muon.orthogonalised(1.6 * gradient.reshape(18, 4), QUINTIC, 3)) / 2
    np.testing.assert_allclose(kernel, -0.1 * step.reshape(3, 3, 2, 4), rtol=1e-4, atol=1e-6)
