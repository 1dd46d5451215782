"""Checkpoints as other programs write them, with what PyTorch makes of them.

Regenerate, in this folder:  python3 checkpoints.py
Made with PyTorch 2.15.0, torchvision 0.29.2, timm 1.0.31 and safetensors 0.8.0 for Python.

`checkpoints/` gets small networks in every spelling and file format; `checkpoints/outputs.safetensors` holds, for a file
NAME, `NAME logits` in float64, and for one of them a training step. With an argument, the networks of torchvision and
timm are written at their full size into the folder of that name, each with its own outputs: too large to keep, they are
made when a test asks for them.

Statistics and weights are functions of a tensor's name, as in `networks.py`, so that nothing in them is trivial.
"""

import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from networks import uniform
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from timm.models.densenet import DenseNet as TimmDenseNet
from torch import nn
from torchvision.models import DenseNet


def filled(net, prefix=""):
    """The network with made-up values: kernels as Kaiming's in size, all else well away from 0 and 1."""
    state = {}
    for name, value in net.state_dict().items():
        shape = tuple(value.shape)
        if not value.is_floating_point():
            state[name] = torch.tensor(7)
        elif len(shape) > 1:
            bound = (6.0 / np.prod(shape[1:])) ** 0.5
            state[name] = uniform(prefix + name, shape, -bound, bound).float()
        elif name.endswith("running_var") or ("norm" in name or "bn" in name) and name.endswith("weight"):
            state[name] = uniform(prefix + name, shape, 0.5, 1.5).float()
        else:
            state[name] = uniform(prefix + name, shape, -0.5, 0.5).float()
    net.load_state_dict(state)
    return net.eval()


def images(n, channels, height, width):
    return uniform("images", (n, channels, height, width), -1.0, 1.0).float()


def logits(net, pictures):
    with torch.no_grad():
        return net.double().eval()(pictures.double()).numpy()


def gradients(net, pictures):
    """Logits, loss and gradients with the statistics of the batch."""
    net.zero_grad()
    out = net.train()(pictures)
    loss = F.cross_entropy(out, torch.arange(len(pictures)) % out.shape[1])
    loss.backward()
    return out, loss, {name: value.grad.double().numpy() for name, value in net.named_parameters()}


def training_step(net, pictures):
    """A step in float64, and how far PyTorch's own gradients in float32 are from its."""
    single = gradients(net.float(), pictures)[2]
    out, loss, exact = gradients(net.double(), pictures.double())
    norm = lambda arrays: sum(float((array**2).sum()) for array in arrays) ** 0.5
    distance = norm(single[name] - exact[name] for name in exact) / norm(exact.values())
    outputs = {f"gradient {name}": value for name, value in exact.items()}
    outputs |= {"train logits": out.detach().numpy(), "loss": loss.detach().numpy().reshape(1)}
    return outputs | {"float32 distance": np.array([distance])}


def small(channels=3, classes=5):
    config = dict(growth_rate=4, block_config=(2, 3, 2), num_init_features=8, bn_size=2, num_classes=classes)
    net = DenseNet(**config)
    if channels != 3:
        net.features.conv0 = nn.Conv2d(channels, 8, 7, stride=2, padding=3, bias=False)
    return filled(net)


def old_spelling(state):
    """As torchvision spelled them before 0.3: `norm.1` for `norm1` within a dense layer."""
    layer = ["norm1", "conv1", "norm2", "conv2"]
    spelled = OrderedDict()
    for name, value in state.items():
        for part in layer:
            if ".denselayer" in name:
                name = name.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")
        spelled[name] = value
    return spelled


def monai_spelling(state):
    """As MONAI's DenseNet names its parts."""
    spelled = OrderedDict()
    for name, value in state.items():
        parts = name.split(".")
        if "denselayer" in name:
            parts.insert(3, "layers")
        spelled[".".join(parts).replace("classifier.", "class_layers.out.")] = value
    return spelled


class CifarLayer(nn.Module):
    def __init__(self, channels, k):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4 * k, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * k), nn.Conv2d(4 * k, k, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))], 1)


class CifarBlock(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layer = nn.Sequential(*layers)

    def forward(self, x):
        return self.layer(x)


class CifarTransition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv1(F.relu(self.bn1(x))), 2)


class Cifar(nn.Module):
    """DenseNet-BC with a 3x3 stem, named as many CIFAR networks are; `stem_norm` adds batch-norm and ReLU to it."""

    def __init__(self, k=4, depths=(2, 2, 3), classes=6, stem_norm=False):
        super().__init__()
        channels = 2 * k
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(channels) if stem_norm else None
        for i, depth in enumerate(depths, start=1):
            layers = [CifarLayer(channels + j * k, k) for j in range(depth)]
            channels += depth * k
            setattr(self, f"block{i}", CifarBlock(layers))
            if i < len(depths):
                setattr(self, f"trans{i}", CifarTransition(channels))
                channels //= 2
        self.blocks = len(depths)
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.conv1(x)
        if self.bn0 is not None:
            x = F.relu(self.bn0(x))
        for i in range(1, self.blocks + 1):
            x = getattr(self, f"block{i}")(x)
            x = getattr(self, f"trans{i}")(x) if i < self.blocks else x
        return self.fc(F.relu(self.bn1(x)).mean(dim=(2, 3)))


def write_small(folder):
    folder.mkdir(exist_ok=True)
    outputs = {}
    rgb, grey = images(3, 3, 40, 44), images(3, 1, 40, 44)

    def add(name, net, pictures, save):
        save(str(folder / name), net.state_dict())
        outputs[f"{name} logits"] = logits(net, pictures)

    def legacy(path, state):
        torch.save(state, path, _use_new_zipfile_serialization=False)

    def wrapped(path, state):
        momentum = {0: {"momentum_buffer": torch.ones(8, 3, 7, 7), "step": 3}}
        state = OrderedDict((f"module.{name}", value) for name, value in state.items())
        torch.save({"epoch": 3, "arch": "densenet", "state_dict": state, "optimizer": {"state": momentum}}, path)

    def as_halves(path, state):
        save_file({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)

    zipped = lambda path, state: torch.save(state, path)
    add("torchvision.pth", small(), rgb, zipped)
    step = training_step(small(), images(6, 3, 40, 44))
    outputs |= {f"torchvision.pth {name}": value for name, value in step.items()}
    add("torchvision.legacy.pth", small(), rgb, legacy)
    add("torchvision.safetensors", small(), rgb, lambda path, state: save_file(state, path))
    add("torchvision-old.pth", small(), rgb, lambda path, state: torch.save(old_spelling(state), path))
    add("torchvision-old.legacy.pth", small(), rgb, lambda path, state: legacy(path, old_spelling(state)))
    add("torchvision-old.safetensors", small(), rgb, lambda path, state: save_file(old_spelling(state), path))
    add("wrapped.pth.tar", small(), rgb, wrapped)
    torch.save(small(), folder / "whole-module.pt")
    outputs["whole-module.pt logits"] = outputs["torchvision.pth logits"]
    rounded = small().half()
    add("half.safetensors", rounded, rgb, as_halves)
    threshold = {"op_threshs": torch.full((18,), float("nan"))}
    add("torchxrayvision.pt", small(1, 18), grey, lambda path, state: torch.save(state | threshold, path))
    add("monai.pth", small(1, 2), grey, lambda path, state: torch.save(monai_spelling(state), path))
    timm_net = TimmDenseNet(growth_rate=4, block_config=(2, 3, 2), num_classes=5, bn_size=2)
    add("timm.safetensors", filled(timm_net), rgb, lambda path, state: save_file(state, path))
    add("cifar.legacy.pth", filled(Cifar()), rgb, legacy)
    add("cifar-stem-norm.safetensors", filled(Cifar(stem_norm=True)), rgb, lambda path, state: save_file(state, path))
    save_arrays(outputs, folder / "outputs.safetensors")
    # A view of one number as a kernel of 94 MB.
    kernel = torch.zeros(1).expand(8, 60_000, 7, 7)
    torch.save(small().state_dict() | {"features.conv0.weight": kernel}, folder / "absurd.pth")


def write_full(folder):
    # Batch statistics of a few values would make much of rounding; these are of 36 and more.
    pictures, batch = images(3, 3, 64, 64), images(4, 3, 96, 96)
    for name in ["densenet121", "densenet161", "densenet169", "densenet201", "timm121"]:
        net = timm.create_model("densenet121") if name == "timm121" else torchvision.models.get_model(name)
        net = filled(net)
        state = net.state_dict()
        torch.save(state, folder / f"{name}.pth")
        torch.save(old_spelling(state), folder / f"{name}.old.legacy.pth", _use_new_zipfile_serialization=False)
        save_file(state, folder / f"{name}.safetensors")
        outputs = {"logits": logits(net, pictures)} | training_step(net, batch)
        print(name, "float32 distance", outputs["float32 distance"], flush=True)
        save_arrays(outputs, folder / f"{name}.outputs.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        write_full(Path(sys.argv[1]))
    else:
        write_small(Path("checkpoints"))
