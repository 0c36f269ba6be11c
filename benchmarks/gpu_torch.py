"""The PyTorch side, eager or compiled: bfloat16 autocast, channels last, fused optimizers."""

import copy
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import gpu_sides
import keras
import numpy as np
import torch
import torch_networks
from gpu_sides import EVALUATED, Job, Side

from trainers.config.optimizers import ARGUMENTS
from trainers.training import optimizers
from zoo.spec import Recipe

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_KINDS = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"} | {
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def side(job: Job, *, compiled: bool) -> Side:
    """The network with the zoo's initial weights."""
    torch.manual_seed(job.seed)
    torch.set_float32_matmul_precision("high")  # as in JAX
    torch.backends.cudnn.benchmark = True
    model, spec = gpu_sides.keras_model(job)
    network = torch_networks.build(job.model, spec, job.hparams)
    copy_weights(model, network)
    network = network.to(DEVICE)
    if job.padding:
        network = network.to(memory_format=torch.channels_last)
    call = torch.compile(network) if compiled else network
    table, target = (torch.from_numpy(job.rows(f"train_{name}")).to(DEVICE) for name in "xy")
    if spec.task == "binary":
        target = target.float()[:, None]
        loss_of = torch.nn.BCEWithLogitsLoss()
    else:
        target = target.long()
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=job.recipe.label_smoothing)
    weights, update = optimizer_of(job.recipe, network, compiled)
    rates = gpu_sides.rates(job)
    start = copy.deepcopy(network.state_dict())
    clip = job.recipe.clip_norm

    def restart() -> None:
        network.load_state_dict(start)
        update(None)

    def train(first: int, draw: list[np.ndarray]) -> None:
        network.train()
        total = torch.zeros((), device=DEVICE)
        columns = [torch.from_numpy(column).to(DEVICE) for column in draw]
        for i in range(len(draw[0])):
            inputs = batch(table, [column[i] for column in columns], job.padding)
            with torch.autocast(DEVICE, torch.bfloat16):
                logits = call(inputs)
            loss = loss_of(logits.float(), target.index_select(0, columns[0][i]))
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(weights, clip)
            update(rates[(first + i) % len(rates)])
            for weight in weights:
                weight.grad = None
            total += loss.detach()
        if not np.isfinite(total.item()):  # waits
            raise FloatingPointError("the loss is not finite")

    @torch.no_grad()
    def accuracy() -> float:
        network.eval()
        x, y = job.rows("test_x"), job.rows("test_y")
        right = 0
        for i in range(0, len(x), EVALUATED):
            inputs = scaled(torch.from_numpy(x[i : i + EVALUATED]).to(DEVICE)).permute(0, 3, 1, 2)
            with torch.autocast(DEVICE, torch.bfloat16):
                predicted = network(inputs).argmax(dim=1).cpu().numpy()
            right += int((predicted == y[i : i + EVALUATED]).sum())
        return right / len(x)

    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    name = f"{name} under PyTorch {torch.__version__}"
    return Side(name, train, accuracy, restart, gpu_sides.flops(model), peak)


def copy_weights(model, network: torch.nn.Module) -> None:
    """Copies every weight of the Keras model into the network. KeyError: the network lacks one."""
    tensors = {name.replace(".", "_"): t for name, t in network.state_dict().items() if t.ndim}
    for variable in model.weights:
        layer, kind = variable.path.split("/")
        if kind not in _KINDS:  # the state of a dropout
            continue
        layer = re.sub(r"_([12])_norm$", r"_norm\1", layer)
        value = keras.ops.convert_to_numpy(variable)
        if kind == "kernel":
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
        tensors[f"{layer}_{_KINDS[kind]}"].copy_(torch.from_numpy(value.copy()))


def optimizer_of(
    recipe: Recipe, network: torch.nn.Module, compiled: bool
) -> tuple[list[torch.nn.Parameter], Callable[[float | None], None]]:
    """The trainable weights, and `update(rate)`; `update(None)` resets the optimizer's state."""
    torch_networks.freeze(network, recipe.lr_scale)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    weights = list(named.values())
    if recipe.optimizer != "muon_sgd":
        optimizer = torch_networks.optimizer(recipe, weights)

        def fused(rate: float | None) -> None:
            if rate is None:
                optimizer.state.clear()
                return
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()

        return weights, fused

    factors = [optimizers.factor_of(_path(name), recipe.lr_scale) for name in named]
    averages = [torch.zeros_like(weight) for weight in weights]
    options = {**ARGUMENTS["muon_sgd"], **recipe.optimizer_options}
    decay = options["muon_momentum"]

    def step(gradients: list[torch.Tensor], rate: torch.Tensor) -> None:
        """One step, as in trainers.training.muon.MuonSGD."""
        for weight, average, gradient, factor in zip(
            weights, averages, gradients, factors, strict=True
        ):
            if weight.ndim > 1:
                weight.mul_(1 - rate * factor * recipe.weight_decay)
            if weight.ndim == 4:
                average.mul_(decay).add_(gradient)
                ahead = (gradient + decay * average).flatten(1)
                moved = orthogonalised(ahead, options) / min(ahead.shape) ** 0.5
                norm = weight.norm()
                moved = weight - rate * factor * norm * moved.view(weight.shape)
                weight.copy_(moved * (norm / moved.norm()))
                continue
            average.mul_(recipe.momentum).sub_(rate * factor * gradient)
            weight.add_(recipe.momentum * average - rate * factor * gradient)

    call = torch.compile(step) if compiled else step

    @torch.no_grad()
    def update(rate: float | None) -> None:
        if rate is None:
            for average in averages:
                average.zero_()
            return
        # The rate is a tensor: a number would be compiled into the code, once for each step.
        call([weight.grad for weight in weights], torch.full((), rate, device=DEVICE))

    return weights, update


def orthogonalised(matrix: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
    """As trainers.training.muon.orthogonalised."""
    a, b, c = (options[f"muon_{name}"] for name in "abc")
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(options["ns_steps"]):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def _path(name: str) -> str:
    """The Keras path of a parameter, close enough for the patterns of a recipe."""
    kind = "/beta" if "norm" in name else "/bias"
    return name.replace(".weight", "/kernel").replace(".bias", kind).replace(".", "_")


def scaled(pixels: torch.Tensor) -> torch.Tensor:
    """As pipelines.steps.image.scale."""
    return pixels.float() * (1.0 / 127.5) - 1.0


def batch(table: torch.Tensor, draw: list[torch.Tensor], padding: int) -> torch.Tensor:
    """The rows of a step: tokens unchanged, images (B, C, H, W) cropped and flipped."""
    index, down, right, flip = (column.long() for column in draw)
    if table.ndim == 2:
        return table[index]
    across = torch.arange(table.shape[1] - 2 * padding, device=table.device)
    rows = down[:, None] + across
    columns = right[:, None] + torch.where(flip[:, None] > 0, across.flip(0), across)
    pixels = table[index[:, None, None], rows[:, :, None], columns[:, None, :]]
    return scaled(pixels).permute(0, 3, 1, 2)  # channels last, not moved in memory


def peak(size: int) -> float:
    """FLOP/s of a chain of matrix products, the best of five."""
    a, b = (
        (torch.randn(size, size, device=DEVICE) / size**0.5).to(torch.bfloat16) for _ in range(2)
    )
    seconds = []
    for _ in range(6):
        begun, x = time.perf_counter(), a
        for _ in range(10):
            x = x @ b
        x.sum().item()  # waits
        seconds.append(time.perf_counter() - begun)
    return 10 * 2 * size**3 / min(seconds[1:])
