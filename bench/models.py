"""The networks in PyTorch, named as this project's presets, and their export to ONNX or as weights alone.

The ImageNet networks and DenseNet-BC are torchvision's own class (for CIFAR with another stem), the basic networks
follow it. Weights are random but seeded, so that every contender can be held to the same logits.

    python -m bench.models MODEL BATCH SIZE FILE.onnx
    python -m bench.models MODEL BATCH SIZE FILE.pth
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet


class BasicLayer(nn.Module):
    """BN-ReLU-Conv(3x3), as torchvision's layer without its bottleneck."""

    def __init__(self, channels: int, growth_rate: int, bias: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth_rate, 3, padding=1, bias=bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.conv(F.relu(self.norm(torch.cat(maps, 1)), inplace=True))


class BasicBlock(nn.Module):
    """A dense block of basic layers; a layer reads the concatenation of all maps before it."""

    def __init__(self, channels: int, layers: int, growth_rate: int, bias: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BasicLayer(channels + i * growth_rate, growth_rate, bias) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps))
        return torch.cat(maps, 1)


def transition(channels: int, out: int, bias: bool) -> nn.Sequential:
    """BN-ReLU-Conv(1x1), then 2x2 average pooling."""
    conv = nn.Conv2d(channels, out, 1, bias=bias)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv, nn.AvgPool2d(2))


def basic(stem: nn.Module, channels: int, blocks: list[int], growth_rate: int, theta: float, bias: bool) -> nn.Module:
    """A network without bottlenecks, for ten classes; `stem` makes `channels` channels."""
    modules = [stem]
    for i, layers in enumerate(blocks):
        modules.append(BasicBlock(channels, layers, growth_rate, bias))
        channels += layers * growth_rate
        if i + 1 < len(blocks):
            modules.append(transition(channels, int(channels * theta), bias))
            channels = int(channels * theta)
    head = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*modules, *head, nn.Linear(channels, 10))


def article(channels: int = 1) -> nn.Module:
    """The article's network, preset `seed`, for pictures of so many channels; its convolutions have a bias."""
    conv = nn.Conv2d(channels, 64, 7, stride=2, padding=3)
    stem = nn.Sequential(conv, nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1))
    return basic(stem, 64, [4, 4, 4, 4], 32, 0.5, bias=True)


def cifar(depth: int, growth_rate: int) -> nn.Module:
    """The paper's basic network for CIFAR."""
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return basic(stem, 16, [(depth - 4) // 3] * 3, growth_rate, 1.0, bias=False)


def cifar_bc(depth: int, growth_rate: int) -> nn.Module:
    """The paper's DenseNet-BC for CIFAR: torchvision's class with a single 3x3 convolution as its stem."""
    blocks, stem = ((depth - 4) // 6,) * 3, 2 * growth_rate
    net = densenet.DenseNet(growth_rate, blocks, stem, num_classes=10)  # type: ignore[arg-type]
    net.features.conv0 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        delattr(net.features, name)
    return net


MODELS: dict[str, Callable[[], nn.Module]] = {
    "seed": article,
    "densenet-40-12": lambda: cifar(40, 12),
    "densenet-bc-40-12": lambda: cifar_bc(40, 12),
    "densenet-bc-100-12": lambda: cifar_bc(100, 12),
    "densenet121": densenet.densenet121,
    "densenet161": densenet.densenet161,
    "densenet169": densenet.densenet169,
    "densenet201": densenet.densenet201,
}


def network(name: str) -> nn.Module:
    """The seeded network, its batch-norms with statistics and affine maps that are not the identity."""
    torch.manual_seed(0)
    net = MODELS[name]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net


def channels(name: str) -> int:
    """Channels of the network's pictures."""
    return 1 if name == "seed" else 3


def export(name: str, batch: int, size: int, path: Path) -> None:
    """Writes the network for pictures of exactly that shape, which lets an engine plan the most."""
    images = torch.zeros(batch, channels(name), size, size)
    whole = path.with_suffix(".part")
    net = network(name).eval()
    torch.onnx.export(net, (images,), str(whole), dynamo=False, input_names=["images"], output_names=["logits"])
    whole.replace(path)


def save(name: str, path: Path) -> None:
    """Writes the network's weights, as torchvision's are."""
    whole = path.with_suffix(".part")
    torch.save(network(name).state_dict(), whole)
    whole.replace(path)


if __name__ == "__main__" and sys.argv[4].endswith(".pth"):
    save(sys.argv[1], Path(sys.argv[4]))
elif __name__ == "__main__":
    export(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
