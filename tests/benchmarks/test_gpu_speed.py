"""benchmarks/gpu_speed.py: what both frameworks are given, and PyTorch's copy of the optimizer."""

import importlib

import keras
import numpy as np
import pytest

import zoo
from tests.conftest import ROOT
from zoo.spec import DataSpec, Field

IMAGES = {"x": {"image": ((32, 32, 3), "float32")}, "task": "classification", "num_outputs": 10}
BACKENDS = {"gpu_torch": "torch", "gpu_jax": "jax"}


@pytest.fixture(name="gpu_sides", autouse=True)
def _gpu_sides(monkeypatch):
    monkeypatch.syspath_prepend(f"{ROOT}/benchmarks")
    return importlib.import_module("gpu_sides")


def job_of(gpu_sides, folder):
    """A job on twenty rows, in batches of six."""
    np.save(folder / "train_y.npy", np.arange(20))
    images = np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8)
    np.save(folder / "train_x.npy", images)
    hparams = dict(zoo.get("speed_cnn").tiny)
    return gpu_sides.Job("speed_cnn", hparams, str(folder), 6, 2, 0, IMAGES, padding=4, matrix=8)


def test_flops_by_hand(gpu_sides):
    entry = zoo.get("speed_cnn")
    spec = DataSpec({"image": Field((32, 32, 3), "float32")}, "classification", 10)
    model = entry.build(spec, widths=(6, 8, 8), filters=6)
    products = 31 * 31 * 6 * 2 * 2 * 3  # outputs times length of each sum
    products += 31 * 31 * 6 * 9 * 6 + 15 * 15 * 6 * 9 * 6
    products += 15 * 15 * 8 * 9 * 6 + 7 * 7 * 8 * 9 * 8
    products += 7 * 7 * 8 * 9 * 8 + 3 * 3 * 8 * 9 * 8 + 8 * 10
    assert gpu_sides.flops(model) == 2 * products


def test_flops_of_attention_by_hand(gpu_sides):
    spec = DataSpec({"tokens": Field((16,), "int32", ids=50, length=16)}, "binary", 1)
    model = zoo.get("transformer_encoder").build(
        spec, width=8, num_layers=3, num_heads=2, mlp_dim=24
    )
    block = 16 * 8 * 24 + 2 * 16 * 16 * 8 + 16 * 8 * 8 + 2 * 16 * 8 * 24
    assert gpu_sides.flops(model) == 2 * (3 * block + 8)


def test_an_epoch_draws_every_row_once_and_all_crops(gpu_sides, tmp_path):
    job = job_of(gpu_sides, tmp_path)
    rows = gpu_sides.draws(job, 3)[0]
    assert rows.shape == (3, 6)
    assert len(set(rows.ravel())) == 18
    many = gpu_sides.draws(job, 3, steps=200)
    assert [sorted(set(column.ravel())) for column in many[1:]] == [[*range(9)]] * 2 + [[0, 1]]
    assert np.bincount(many[0].ravel(), minlength=20).min() == 60
    assert not np.array_equal(rows, gpu_sides.draws(job, 4)[0])


@pytest.mark.parametrize("name", BACKENDS)
def test_crops_and_flips_by_hand(name):
    pytest.importorskip(BACKENDS[name], reason="a framework of the benchmark")
    module = importlib.import_module(name)
    random = np.random.default_rng(0)
    table = random.integers(0, 256, (5, 12, 12, 3), np.uint8)
    draw = [np.array(column, np.int32) for column in ([4, 0, 4], [0, 8, 3], [8, 1, 5], [0, 1, 1])]
    if name == "gpu_torch":
        import torch

        tensors = [torch.from_numpy(column) for column in (table, *draw)]
        found = module.batch(tensors[0], tensors[1:], 4).permute(0, 2, 3, 1).numpy()
    else:
        from jax import numpy as jnp

        found = np.asarray(module.batch(jnp.asarray(table), [jnp.asarray(c) for c in draw], 4))
    for image, row, down, right, flip in zip(found, *draw, strict=True):
        expected = table[row, down : down + 4, right : right + 4].astype(np.float32) / 127.5 - 1
        np.testing.assert_allclose(image, expected[:, ::-1] if flip else expected, atol=1e-6)


def test_pytorch_takes_the_steps_of_the_recipe(gpu_sides, tmp_path):
    torch = pytest.importorskip("torch", reason="a framework of the benchmark")
    gpu_torch = importlib.import_module("gpu_torch")
    job = job_of(gpu_sides, tmp_path)
    model, spec = gpu_sides.keras_model(job)
    optimizer = gpu_sides.optimizer_of(job, model)
    network = gpu_torch.torch_networks.build(job.model, spec, job.hparams)
    gpu_torch.copy_weights(model, network)
    weights, update = gpu_torch.optimizer_of(job.recipe, network, compiled=False)
    rates = gpu_sides.rates(job)
    assert len(rates) == 6
    variables = model.trainable_variables
    assert len(weights) == len(variables)
    random = np.random.default_rng(0)
    for rate in rates[:3]:
        gradients = [random.normal(size=v.shape).astype(np.float32) for v in variables]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        twins = dict(zip([v.path for v in variables], gradients, strict=True))
        for name, weight in network.named_parameters():
            if weight.requires_grad:
                gradient = _as_torch(twins[_keras_path(name)])
                weight.grad = torch.from_numpy(gradient)
        update(rate)
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            (expected,) = (np.array(v) for v in variables if v.path == _keras_path(name))
            found = weight.detach().numpy()
            np.testing.assert_allclose(found, _as_torch(expected), rtol=1e-4, atol=1e-5)


def _keras_path(name: str) -> str:
    group, _, rest = name.partition(".")
    norms = {"norm1.bias": "1_norm/beta", "norm2.bias": "2_norm/beta"}
    kinds = {"conv1.weight": "conv1/kernel", "conv2.weight": "conv2/kernel", **norms}
    return f"{group}_{kinds[rest]}" if rest in kinds else f"{group}/kernel"


def _as_torch(value: np.ndarray) -> np.ndarray:
    moved = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return np.ascontiguousarray(moved)
