"""The networks of train_speed.py in idiomatic PyTorch, with the same shapes and sizes.

`build` makes the twin of a zoo model: the same network in PyTorch. Modules have the names of the
Keras layers, with dots for underscores; tests/benchmarks/test_torch_networks.py copies Keras's
weights and compares the logits. Images are (B, C, H, W) in any memory format.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import zoo
from zoo.spec import DataSpec, Recipe

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class SmallCNN(nn.Module):
    """`cifar_cnn` and `mnist_cnn`: three 3x3 convolutions without padding, two pools."""

    def __init__(self, spec: DataSpec, filters: tuple, units: int, dropout: float):
        super().__init__()
        ((size, _, channels),) = (field.shape for field in spec.inputs.values())
        self.conv1 = nn.Conv2d(channels, filters[0], 3)
        self.conv2 = nn.Conv2d(filters[0], filters[1], 3)
        self.conv3 = nn.Conv2d(filters[1], filters[2], 3)
        size = ((size - 2) // 2 - 2) // 2 - 2  # 4 of 32, 3 of 28
        self.dense = nn.Linear(size * size * filters[2], units)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(units, spec.num_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x)).flatten(1)
        return self.logits(self.dropout(F.relu(self.dense(x))))


class MLP(nn.Module):
    """`mlp_binary`: dense layers with ReLU."""

    def __init__(self, spec: DataSpec, hidden: tuple, dropout: float):
        super().__init__()
        ((width,),) = (field.shape for field in spec.inputs.values())
        for i, (before, after) in enumerate(zip((width, *hidden), hidden, strict=False), 1):
            self.add_module(f"dense{i}", nn.Linear(before, after))
        self.depth, self.dropout = len(hidden), nn.Dropout(dropout)
        self.logits = nn.Linear(hidden[-1], spec.num_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(1, self.depth + 1):
            x = self.dropout(F.relu(self.get_submodule(f"dense{i}")(x)))
        return self.logits(x)


class Norm(nn.BatchNorm2d):
    """Batch normalisation with a shift and no scale; PyTorch's `momentum` is 1 minus Keras's."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-4, momentum=1 - 0.6)
        self.weight.requires_grad = False


class Group(nn.Module):
    """Two normalised convolutions, a pool after the first."""

    def __init__(self, before: int, channels: int, activation: str):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, padding="same", bias=False)
        self.norm1 = Norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding="same", bias=False)
        self.norm2 = Norm(channels)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return self.activation(self.norm2(self.conv2(x)))


class SpeedCNN(nn.Module):
    """`speed_cnn`: a 2x2 convolution, groups that halve the image, small logits."""

    def __init__(self, spec: DataSpec, widths: tuple, filters: int, activation: str):
        super().__init__()
        ((_, _, channels),) = (field.shape for field in spec.inputs.values())
        self.whiten = nn.Conv2d(channels, filters, 2)
        self.activation = ACTIVATIONS[activation]
        for i, (before, after) in enumerate(zip((filters, *widths), widths, strict=False), 1):
            self.add_module(f"group{i}", Group(before, after, activation))
        self.depth = len(widths)
        self.logits = nn.Linear(widths[-1], spec.num_outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.whiten(x))
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"group{i}")(x)
        return self.logits(x.amax((2, 3))) / 9


class Attention(nn.Module):
    """Self-attention over (B, T, width), with PyTorch's own fused kernel."""

    def __init__(self, width: int, num_heads: int, dropout: float):
        super().__init__()
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.num_heads, self.dropout = num_heads, dropout

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        joined = self.query_key_value(x).unflatten(-1, (3, self.num_heads, -1))  # (B, T, 3, H, D)
        query, key, value = joined.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        dropout = self.dropout if self.training else 0.0
        seen = mask[:, None, None, :]  # (B, 1, 1, T)
        mixed = F.scaled_dot_product_attention(query, key, value, seen, dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a two-layer MLP, each after a normalisation and with a residual connection."""

    def __init__(self, width: int, num_heads: int, mlp_dim: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, num_heads, dropout)
        self.dense_norm = nn.LayerNorm(width, eps=1e-6)
        self.dense1 = nn.Linear(width, mlp_dim)
        self.dense2 = nn.Linear(mlp_dim, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.dropout(self.dense2(F.relu(self.dense1(self.dense_norm(x)))))


class TransformerEncoder(nn.Module):
    """`transformer_encoder`: pre-norm blocks over tokens (B, T), mean over the real ones."""

    def __init__(
        self,
        spec: DataSpec,
        width: int,
        num_layers: int,
        num_heads: int,
        mlp_dim: int,
        dropout: float,
        word_dropout: float,
    ):
        super().__init__()
        [field] = spec.inputs.values()
        self.token_embedding = nn.Embedding(field.ids, width)
        self.position_embedding = nn.Embedding(field.length, width)
        self.word_dropout = nn.Dropout1d(word_dropout)  # drops whole tokens
        for i in range(1, num_layers + 1):
            self.add_module(f"block{i}", Block(width, num_heads, mlp_dim, dropout))
        self.depth = num_layers
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(width, spec.num_outputs)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = tokens != 0  # (B, T)
        x = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]
        x = self.word_dropout(x)
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"block{i}")(x, mask)
        real = mask[..., None].float()  # (B, T, 1)
        x = (self.norm(x).float() * real).sum(1) / real.sum(1).clamp(min=1.0)
        return self.logits(self.dropout(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, of every other pixel if they halve the image."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width, eps=1.001e-5, momentum=1 - 0.9)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width, eps=1.001e-5, momentum=1 - 0.9)
        self.stride, self.more = stride, width - before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(x + y)


class ResNet(nn.Module):
    """`resnet20`: stages of blocks, shortcuts without weights."""

    def __init__(self, spec: DataSpec, depths: tuple, widths: tuple):
        super().__init__()
        ((_, _, channels),) = (field.shape for field in spec.inputs.values())
        self.stem_conv = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0], eps=1.001e-5, momentum=1 - 0.9)
        before, self.names = widths[0], []
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            for j in range(1, depth + 1):
                self.names.append(f"stage{i}_block{j}")
                block = ResidualBlock(before, width, 2 if i > 1 and j == 1 else 1)
                self.add_module(self.names[-1], block)
                before = width
        self.logits = nn.Linear(before, spec.num_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem_norm(self.stem_conv(x)))
        for name in self.names:
            x = self.get_submodule(name)(x)
        return self.logits(x.mean((2, 3)))


TWINS = {
    "cifar_cnn": SmallCNN,
    "mnist_cnn": SmallCNN,
    "mlp_binary": MLP,
    "resnet20": ResNet,
    "speed_cnn": SpeedCNN,
    "transformer_encoder": TransformerEncoder,
}


def build(model: str, spec: DataSpec, hparams: Mapping[str, Any]) -> nn.Module:
    """The twin of the zoo's `model` for this data, with the zoo's own sizes unless overridden.

    TypeError: it does not have a size that `hparams` names.
    """
    twin = TWINS[model]
    known = inspect.signature(twin).parameters  # other hyperparameters are fixed in the twin
    sizes = {name: v for name, v in zoo.describe(model).hparams.items() if name in known}
    return twin(spec, **{**sizes, **hparams})


def freeze(network: nn.Module, lr_scale: Sequence[tuple[str, float]]) -> None:
    """Turns off gradients of weights that the recipe does not train: factor 0 for a Keras path."""
    for name, weight in network.named_parameters():
        path = name.replace(".weight", "/kernel").replace(".bias", "/bias").replace(".", "_")
        factors = (factor for pattern, factor in lr_scale if re.search(pattern, path))
        if next(factors, 1.0) == 0:
            weight.requires_grad = False


def optimizer(recipe: Recipe, weights: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimizer and rate, fused, in PyTorch. KeyError: PyTorch has no such one."""
    options = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        momentum = recipe.momentum
        return torch.optim.SGD(weights, momentum=momentum, nesterov=momentum > 0, **options)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer](
        weights, **options
    )
