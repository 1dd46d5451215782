"""Checkpoints of the kinds that people have, small, with what PyTorch makes of them.

Regenerate, in this folder:  python3 kinds.py
Made with PyTorch 2.15.0, torchvision 0.29.2, timm 1.0.31 and safetensors 0.8.0 for Python.

`kinds/` gets a file or folder for each; `kinds/outputs.safetensors` holds the pictures that all were asked about and, for a
NAME, `NAME logits` in float64 (features for a network without a classifier).

Each network is trained for a few steps, so that its running statistics are those of real maps.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from timm.models.densenet import DenseNet as TimmDenseNet
from torch import nn

FOLDER = Path("kinds")


class Layer(nn.Module):
    """A bottlenecked layer; `first` puts its new maps before those that it reads."""

    def __init__(self, channels, k, first):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 2 * k, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(2 * k), nn.Conv2d(2 * k, k, 3, padding=1, bias=False)
        self.first = first

    def forward(self, x):
        y = self.conv2(torch.relu(self.bn2(self.conv1(torch.relu(self.bn1(x))))))
        return torch.cat((y, x) if self.first else (x, y), 1)


class Transition(nn.Sequential):
    def __init__(self, channels):
        conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU(), conv, nn.AvgPool2d(2))


class Net(nn.Module):
    """Two blocks of three layers, and what a file does not tell."""

    def __init__(self, first=False, stem_pool=None, head_pool="average", final_relu=True, head=None):
        super().__init__()
        k, channels = 4, 8
        stem = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
        if stem_pool:
            stem += [nn.BatchNorm2d(channels), nn.ReLU(), stem_pool]
        self.stem = nn.Sequential(*stem)
        self.block1 = nn.Sequential(*(Layer(channels + i * k, k, first) for i in range(3)))
        self.transition = Transition(channels + 3 * k)
        channels = (channels + 3 * k) // 2
        self.block2 = nn.Sequential(*(Layer(channels + i * k, k, first) for i in range(3)))
        channels += 3 * k
        self.norm, self.head_pool, self.final_relu = nn.BatchNorm2d(channels), head_pool, final_relu
        self.fc = head(channels) if head else nn.Linear(channels, 5)

    def forward(self, x):
        x = self.norm(self.block2(self.transition(self.block1(self.stem(x)))))
        x = torch.relu(x) if self.final_relu else x
        pooled = {"average": lambda: x.mean((2, 3)), "max": lambda: x.amax((2, 3)), "flat": lambda: x.flatten(1)}
        return self.fc(pooled[self.head_pool]())


def trained(net, images):
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(4):
        optimiser.zero_grad()
        out = net(images)
        nn.functional.cross_entropy(out, torch.arange(len(images)) % out.shape[1]).backward()
        optimiser.step()
    return net.eval()


def state(net, name):
    torch.save({"net": net.state_dict(), "acc": 0.0, "epoch": 3}, FOLDER / f"{name}.pth")


def whole(net, name):
    torch.save(net, FOLDER / f"{name}.pth", _use_new_zipfile_serialization=False)


def of_0_3(net, name):
    """As PyTorch 0.3 wrote a module: a parameter is a call of its class with a state, a tensor is rebuilt the first way."""

    def tensor(self, protocol):
        return torch._utils._rebuild_tensor, (self._typed_storage(), self.storage_offset(), tuple(self.size()), self.stride())

    def parameter(self, protocol):
        return nn.Parameter, (self.data,), (self.requires_grad, False, OrderedDict())

    before = torch.Tensor.__reduce_ex__, nn.Parameter.__reduce_ex__
    torch.Tensor.__reduce_ex__, nn.Parameter.__reduce_ex__ = tensor, parameter
    whole(net, name)
    torch.Tensor.__reduce_ex__, nn.Parameter.__reduce_ex__ = before


def ema(net, name):
    weights = net.state_dict()
    average = OrderedDict([("n_averaged", torch.tensor(5))] + [(f"module.{key}", value) for key, value in weights.items()])
    torch.save({"model": {key: value * 0 for key, value in weights.items()}, "model_ema": average}, FOLDER / f"{name}.pth")


def any_key(net, name):
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    torch.save({"weight": net.state_dict(), "optimizer": optimiser.state_dict()}, FOLDER / f"{name}.pth")


def other_metadata(net, name):
    tensors = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(tensors, FOLDER / f"{name}.safetensors", metadata={"config": '{"architecture":"densenet121"}'})


def shards(net, name):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    items = [(key, value.contiguous()) for key, value in net.state_dict().items()]
    half = len(items) // 2
    files = {f"model-0000{i}-of-00002.safetensors": dict(part) for i, part in ((1, items[:half]), (2, items[half:]))}
    for file, part in files.items():
        save_file(part, folder / file)
    places = {key: file for file, part in files.items() for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=1))


def hub(net, name):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, folder / "model.safetensors")
    pretrained = dict(input_size=[3, 32, 32], interpolation="bicubic", crop_pct=0.875, crop_mode="center", num_classes=1000,
                      mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], license="apache-2.0")
    config = dict(architecture="densenet121", num_classes=5, label_names=[f"kind-{i}" for i in range(5)], pretrained_cfg=pretrained)
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def linear_layers(channels):
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, 12), nn.ReLU(), nn.Linear(12, 5))


def main():
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    outputs = {"images": images}

    def case(name, net, save):
        save(trained(net, images), name)
        net.zero_grad()
        with torch.no_grad():
            out = net.double()(images.double())
        outputs[f"{name} logits"] = torch.logit(out) if name == "head-sigmoid" else out

    case("new-maps-first", Net(first=True), state)
    case("legacy-whole-module", Net(), whole)
    case("legacy-0.3", Net(), of_0_3)
    case("stem-pool-2x2", Net(stem_pool=nn.MaxPool2d(2), final_relu=False), state)
    case("stem-pool-average", Net(stem_pool=nn.AvgPool2d(2)), state)
    case("head-max", Net(head_pool="max"), state)
    case("head-flat", Net(head_pool="flat", head=lambda channels: nn.Linear(channels * 64, 5)), state)
    case("head-mlp", Net(head=linear_layers), state)
    case("head-sigmoid", Net(head=lambda channels: nn.Sequential(nn.Linear(channels, 7), nn.Sigmoid())), state)
    case("no-head", Net(head=lambda channels: nn.Identity()), state)
    case("ema", Net(), ema)
    case("any-key", Net(), any_key)
    case("other-metadata", Net(), other_metadata)
    case("shards", Net(), shards)
    case("timm-hub-folder", TimmDenseNet(4, (2, 2), num_classes=5, bn_size=2), hub)
    save_file(outputs, FOLDER / "outputs.safetensors")


main()
