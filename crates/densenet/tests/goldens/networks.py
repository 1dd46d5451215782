"""Goldens of whole networks from PyTorch.

Regenerate, in this folder:  python3 networks.py
Made with PyTorch 2.15.0 and safetensors 0.8.0 for Python.

Nothing random is stored: parameters, running statistics, pictures and labels are functions of a tensor's name and an
element's index, through the generator of `densenet_kernels::random`, and so is the sketch below. Everything is worked
out and stored in float64; float32 is worked out too and its distance is kept in the file's metadata, as the distance
that another float32 implementation may have.

A file holds:
    eval.logits                (N, classes), with the running statistics that were made up
    train.logits, train.loss   with the statistics of the batch
    train.running.NAME         running statistics after that one step
    train.gradient.NAME        every gradient, or, for the article's network, its sketch
    sgd.losses                 of ten steps, each on its own batch

A sketch of a tensor g is 64 sums over g with signs out of the generator, divided by 8: the norm of the sketch of a
difference is near the norm of the difference itself (its square is so in expectation).
"""

import math
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

MASK = (1 << 64) - 1
INCREMENT = 0x9E3779B97F4A7C15
SEED = 2017
SIGNS = 64
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-3


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bits(name, count):
    """`Stream::new(SEED, fnv1a(name)).bits(0..count)`."""
    stream = 0xCBF29CE484222325
    for byte in name.encode():
        stream = (stream ^ byte) * 0x100000001B3 & MASK
    seed = np.array([(SEED + INCREMENT) & MASK], dtype=np.uint64)
    state = mix(mix(seed) ^ np.uint64(stream))
    return mix(state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(INCREMENT))


def uniform(name, shape, low, high):
    """Uniform numbers of that shape from `low` to `high`."""
    unit = (bits(name, math.prod(shape)) >> np.uint64(11)) * 2.0**-53
    return torch.from_numpy((low + (high - low) * unit).reshape(shape))


def made_up(name, shape):
    """The value that a tensor of that name starts from."""
    if len(shape) > 1:
        bound = math.sqrt(6.0 / math.prod(shape[1:]))
        return uniform(name, shape, -bound, bound)
    positive = name.endswith("running_var") or ("norm" in name and name.endswith("weight"))
    return uniform(name, shape, 0.5, 1.5) if positive else uniform(name, shape, -0.5, 0.5)


def batch(config, number):
    n, (height, width) = config["batch"], config["size"]
    images = uniform(f"images {number}", (n, config["in_channels"], height, width), -1.0, 1.0)
    labels = bits(f"labels {number}", n) % np.uint64(config["num_classes"])
    return images, torch.from_numpy(labels.astype(np.int64))


class DenseLayer(nn.Sequential):
    """BN-ReLU-Conv(3x3), after BN-ReLU-Conv(1x1) in a network with bottlenecks; concatenated to its input."""

    def __init__(self, channels, config):
        super().__init__()
        k, bias, number = config["growth_rate"], config["bias"], 1
        if config["bn_size"]:
            width = config["bn_size"] * k
            self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
            self.conv1 = nn.Conv2d(channels, width, 1, bias=bias)
            channels, number = width, 2
        self.add_module(f"norm{number}", nn.BatchNorm2d(channels))
        self.add_module(f"relu{number}", nn.ReLU())
        self.add_module(f"conv{number}", nn.Conv2d(channels, k, 3, padding=1, bias=bias))

    def forward(self, x):
        return torch.cat([x, super().forward(x)], dim=1)


def features(config):
    bias, channels, modules = config["bias"], config["num_init_features"], OrderedDict()
    kernel, stride, pool = config["stem"]
    modules["conv0"] = nn.Conv2d(config["in_channels"], channels, kernel, stride, padding=kernel // 2, bias=bias)
    if pool:
        modules["norm0"] = nn.BatchNorm2d(channels)
        modules["relu0"] = nn.ReLU()
        modules["pool0"] = pool
    for i, layers in enumerate(config["block_config"], start=1):
        block = OrderedDict()
        for j in range(1, layers + 1):
            block[f"denselayer{j}"] = DenseLayer(channels, config)
            channels += config["growth_rate"]
        modules[f"denseblock{i}"] = nn.Sequential(block)
        if i < len(config["block_config"]):
            narrow = math.floor(config["compression"] * channels)
            parts = [("norm", nn.BatchNorm2d(channels)), ("relu", nn.ReLU())]
            parts += [("conv", nn.Conv2d(channels, narrow, 1, bias=bias)), ("pool", nn.AvgPool2d(2))]
            modules[f"transition{i}"] = nn.Sequential(OrderedDict(parts))
            channels = narrow
    modules["norm5"] = nn.BatchNorm2d(channels)
    return nn.Sequential(modules), channels


class DenseNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.features, channels = features(config)
        self.final_relu, self.head_pool = config.get("final_relu", True), config.get("head_pool", nn.AdaptiveAvgPool2d(1))
        widths = [channels * config.get("pixels", 1), *config.get("hidden", []), config["num_classes"]]
        layers = [nn.Linear(*pair) for pair in zip(widths, widths[1:])]
        between = [module for layer in layers[:-1] for module in (layer, nn.ReLU())]
        self.classifier = nn.Sequential(*between, layers[-1]) if between else layers[0]

    def forward(self, x):
        x = self.features(x)
        x = self.head_pool(F.relu(x) if self.final_relu else x)
        return self.classifier(x.flatten(1))


def network(config, dtype):
    net = DenseNet(config).to(dtype)
    state = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    net.load_state_dict({name: made_up(name, value.shape).to(dtype) for name, value in state.items()}, strict=False)
    return net


def sketch(name, tensor):
    g = tensor.double().numpy().ravel()
    words = bits(f"signs {name}", g.size)
    sums = [np.sum(np.where(words >> np.uint64(i) & np.uint64(1), -g, g)) for i in range(SIGNS)]
    return np.array(sums) / math.sqrt(SIGNS)


def loss_of(net, config, number, dtype):
    images, labels = batch(config, number)
    logits = net(images.to(dtype))
    return logits, F.cross_entropy(logits, labels, label_smoothing=config["label_smoothing"])


def golden(config, dtype):
    out = {}
    net = network(config, dtype).eval()
    with torch.no_grad():
        out["eval.logits"] = loss_of(net, config, config["first"], dtype)[0].numpy()
    logits, loss = loss_of(net.train(), config, config["first"], dtype)
    loss.backward()
    out["train.logits"], out["train.loss"] = logits.detach().numpy(), loss.detach().numpy().reshape(1)
    for name, parameter in net.named_parameters():
        grad = parameter.grad
        out[f"train.gradient.{name}"] = sketch(name, grad) if config["sketch"] else grad.numpy()
    for name, buffer in net.named_buffers():
        if not name.endswith("num_batches_tracked"):
            out[f"train.running.{name}"] = buffer.numpy()
    out["sgd.losses"] = ten_steps(network(config, dtype).train(), config, dtype)
    return out


def ten_steps(net, config, dtype):
    """The losses of ten steps of `net`, each on its own batch."""
    losses = []
    sgd = torch.optim.SGD(net.parameters(), config["learning_rate"], MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY)
    for step in range(10):
        sgd.zero_grad()
        _, loss = loss_of(net, config, config["first"] + step, dtype)
        loss.backward()
        sgd.step()
        losses.append(loss.detach().double().item())
    return np.array(losses)


def steady(config, starts=16):
    """How far float32 takes the losses of ten steps from float64's, at most, from starts that differ by 2^-20: about what
    sums in another order and Winograd's tiles come to."""
    exact, worst = ten_steps(network(config, torch.float64).train(), config, torch.float64), 0.0
    for seed in range(starts):
        net, signs = network(config, torch.float32).train(), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1 + (2.0 * torch.randint(0, 2, parameter.shape, generator=signs) - 1) * 2.0**-20)
        worst = max(worst, np.linalg.norm(ten_steps(net, config, torch.float32) - exact) / np.linalg.norm(exact))
    return worst


def write(name, config):
    exact, single = golden(config, torch.float64), golden(config, torch.float32)
    # The gradient of a bias before a batch-norm is 0, so no tensor counts for less than a hundredth of all together.
    worst, whole = {}, {}
    for key, value in exact.items():
        kind = ".".join(key.split(".")[:2])
        whole[kind] = math.hypot(whole.get(kind, 0.0), np.linalg.norm(value))
    for key, value in exact.items():
        kind = ".".join(key.split(".")[:2])
        error = np.linalg.norm(single[key].astype(np.float64) - value) / max(np.linalg.norm(value), 0.01 * whole[kind])
        worst[kind] = max(worst.get(kind, 0.0), error)
    metadata = {f"float32 {kind}": f"{value:.1e}" for kind, value in worst.items()}
    metadata["float32 sgd.losses from any start"] = f"{steady(config):.1e}"
    metadata["pytorch"] = torch.__version__.split("+")[0]
    print(name, metadata, exact["sgd.losses"].round(4))
    save_file({key: np.ascontiguousarray(value) for key, value in exact.items()}, f"{name}.safetensors", metadata)


# `first` is the batch of inference and of the single step, and the first of the ten steps. In most batches some
# pre-activation comes so near to zero that float32 may put it on either side, which alone moves a gradient by 2e-3; in these
# none does in the single step. In ten steps some always does, so that the larger the learning rate, the further float32
# strays, PyTorch's too: at 0.005 by 2e-3 in the article's losses. At these rates `steady`, which must be below 3e-5, is
# below 1e-5, while the ten updates together still move the losses by some percent.

# The article's network: `Config::preset("seed")`.
ARTICLE = dict(
    in_channels=1, num_classes=10, stem=(7, 2, nn.MaxPool2d(3, 2, 1)), num_init_features=64, block_config=[4, 4, 4, 4], growth_rate=32,
    bn_size=None, compression=0.5, bias=True, batch=4, size=(64, 72), label_smoothing=0.0, sketch=True, first=1,
    learning_rate=0.0001,
)  # fmt: skip

# A small DenseNet-BC in which no extent is a multiple of a vector's.
SMALL_BC = dict(
    in_channels=3, num_classes=7, stem=(3, 1, None), num_init_features=7, block_config=[2, 3, 2], growth_rate=5,
    bn_size=3, compression=0.6, bias=False, batch=3, size=(37, 29), label_smoothing=0.1, sketch=False, first=14,
    learning_rate=0.001,
)  # fmt: skip

# Maxima of 2x2 pixels after the stem; all 3x3 pixels of the last maps, without a last ReLU, through a hidden layer.
FLAT = dict(
    in_channels=2, num_classes=5, stem=(3, 1, nn.MaxPool2d(2)), num_init_features=6, block_config=[2, 2], growth_rate=5,
    bn_size=2, compression=0.5, bias=False, final_relu=False, head_pool=nn.Identity(), pixels=9, hidden=[7],
    batch=3, size=(13, 13), label_smoothing=0.0, sketch=False, first=34, learning_rate=0.001,
)  # fmt: skip

# Means of padded 3x3 pixels after the stem; maxima of the last maps through two hidden layers.
MAXIMA = dict(
    in_channels=3, num_classes=4, stem=(5, 1, nn.AvgPool2d(3, 2, 1)), num_init_features=7, block_config=[2, 2],
    growth_rate=4, bn_size=2, compression=0.6, bias=True, head_pool=nn.AdaptiveMaxPool2d(1), hidden=[9, 6],
    batch=4, size=(14, 17), label_smoothing=0.1, sketch=False, first=4, learning_rate=0.001,
)  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    write("article", ARTICLE)
    write("small_bc", SMALL_BC)
    write("flat", FLAT)
    write("maxima", MAXIMA)
