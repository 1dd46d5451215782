"""torchvision's DenseNets for PyTorch, with this library's operations in place of PyTorch's.

    >>> from densenet.torch import densenet121
    >>> model = densenet121(num_classes=10)

A network from this module is torchvision's own, with the same parameters, initial values, files and arguments; only the
forward and backward passes over `features` are computed by other code, on all parameters at once. Where that code would
behave differently from torchvision's (on another device or dtype, in autocast, when the gradient of the pictures is
required, with a changed structure, or with hooks on layers), the passes are PyTorch's. `dispatch(model, images)` says
which are used, and why."""

from __future__ import annotations

import itertools
import json
import weakref
from typing import Any, cast

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.library import custom_op

from densenet import _densenet

__all__ = [
    "DenseNet",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "dispatch",
]


#: The most forward passes per module that are kept for their backward passes; earlier ones are recomputed if their
#: backward passes come.
_AWAITED = 4


class _Pass:
    """An engine between a forward and its backward pass."""

    def __init__(self, engine: _densenet.Engine) -> None:
        self.engine = engine


class _Memory:
    """The engines of a module: an idle one, and those between a forward and its backward pass."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] | None = None
        self.waiting: _densenet.Engine | None = None
        #: By the address of the features that the forward pass returned.
        self.passes: dict[int, _Pass] = {}

    def take(self, config: str, dtype: torch.dtype, low_memory: bool) -> _densenet.Engine:
        """The idle engine, if it matches, else a new one."""
        key, engine, self.waiting = (config, dtype, low_memory), self.waiting, None
        if engine is None or key != self.key:
            engine = _densenet.Engine(config, dtype == torch.float64, low_memory)
            self.key = key
        return engine

    def await_backward(self, features: Tensor, engine: _densenet.Engine) -> None:
        while len(self.passes) >= _AWAITED:
            del self.passes[next(iter(self.passes))]
        self.passes[features.data_ptr()] = _Pass(engine)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Memory:
        return _Memory()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Memory, ()


class _Lease:
    """Part of a forward pass's graph: when that is freed, its backward pass is no longer expected."""

    def __init__(self, memory: _Memory, features: Tensor) -> None:
        self.memory, self.address = memory, features.data_ptr()
        self.awaited = memory.passes.get(self.address)

    def __del__(self) -> None:
        # Another pass may have its features at this address by now.
        if self.awaited is not None and self.memory.passes.get(self.address) is self.awaited:
            self.memory.waiting = self.memory.passes.pop(self.address).engine


#: The memory of each live module, by the number that its operations are called with.
_memories: weakref.WeakValueDictionary[int, _Memory] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def _memory(number: int) -> _Memory:
    memory = _memories.get(number)
    return _Memory() if memory is None else memory


def _arrays(tensors: list[Tensor]) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@custom_op("densenet::infer", mutates_args=())
def _infer(
    images: Tensor, parameters: list[Tensor], running: list[Tensor], config: str, low_memory: bool, module: int
) -> Tensor:
    memory = _memory(module)
    engine = memory.take(config, images.dtype, low_memory)
    features = engine.infer(images.contiguous().numpy(), _arrays(parameters), _arrays(running))
    memory.waiting = engine
    return torch.from_numpy(features)


@_infer.register_fake
def _(
    images: Tensor, parameters: list[Tensor], running: list[Tensor], config: str, low_memory: bool, module: int
) -> Tensor:
    return images.new_empty(images.shape[0], _densenet.layout(config)[2])


@custom_op("densenet::train", mutates_args=())
def _train(
    images: Tensor,
    parameters: list[Tensor],
    running: list[Tensor],
    config: str,
    low_memory: bool,
    seed: int,
    module: int,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    memory = _memory(module)
    engine = memory.take(config, images.dtype, low_memory)
    arrays = images.contiguous().numpy(), _arrays(parameters), _arrays(running)
    features, moved = map(torch.from_numpy, engine.forward(*arrays, seed))
    if keep:
        memory.await_backward(features, engine)
    else:
        memory.waiting = engine
    return features, moved


@_train.register_fake
def _(
    images: Tensor,
    parameters: list[Tensor],
    running: list[Tensor],
    config: str,
    low_memory: bool,
    seed: int,
    module: int,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    features = images.new_empty(images.shape[0], _densenet.layout(config)[2])
    return features, images.new_empty(sum(tensor.numel() for tensor in running))


@custom_op("densenet::train_backward", mutates_args=())
def _train_backward(
    dfeatures: Tensor,
    features: Tensor,
    images: Tensor,
    parameters: list[Tensor],
    config: str,
    low_memory: bool,
    seed: int,
    module: int,
) -> Tensor:
    memory = _memory(module)
    awaited = memory.passes.pop(features.data_ptr(), None)
    pixels = images.contiguous().numpy()
    if awaited is not None:
        engine = awaited.engine
    else:
        # The state of the forward pass is gone, as in a second backward pass, so it is recomputed. Running statistics,
        # which have changed since, do not affect it.
        engine = memory.take(config, images.dtype, low_memory)
        running = [np.zeros(shape, pixels.dtype) for _, shape in _densenet.layout(config)[1]]
        engine.forward(pixels, _arrays(parameters), running, seed)
    gradients = engine.backward(pixels, dfeatures.contiguous().numpy(), seed)
    memory.waiting = engine
    return torch.from_numpy(gradients)


@_train_backward.register_fake
def _(
    dfeatures: Tensor,
    features: Tensor,
    images: Tensor,
    parameters: list[Tensor],
    config: str,
    low_memory: bool,
    seed: int,
    module: int,
) -> Tensor:
    return images.new_empty(sum(tensor.numel() for tensor in parameters))


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    images, parameters, running, *rest, module, _ = inputs
    features, moved = output
    ctx.mark_non_differentiable(moved)
    # Running statistics are updated in place before the backward pass, which does not read them.
    ctx.save_for_backward(features, images, *parameters)
    ctx.statistics, ctx.rest = len(running), (*rest, module)
    memory = _memories.get(module)
    # Tensors without values have no address.
    if memory is not None and type(features) is Tensor:
        ctx.lease = _Lease(memory, features)


def _backward(ctx: Any, dfeatures: Tensor, _: Tensor) -> tuple[Any, ...]:
    features, images, *parameters = ctx.saved_tensors
    gradients = _train_backward(dfeatures, features, images, parameters, *ctx.rest)
    parts = gradients.split([parameter.numel() for parameter in parameters])
    shaped = [part.view(parameter.shape) for part, parameter in zip(parts, parameters)]
    return (None, shaped, [None] * ctx.statistics, *[None] * 5)


torch.library.register_autograd("densenet::train", _backward, setup_context=_set_up)


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


class DenseNet(torchvision.models.DenseNet):
    """torchvision's `DenseNet`, with its arguments. With `memory_efficient`, training takes less memory but longer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._memory = _Memory()
        self._own_features: _Features | None = None

    def forward(self, x: Tensor) -> Tensor:
        own = _own(self, x)
        if isinstance(own, str):
            return super().forward(x)
        return self.classifier(own.train(x) if self.training else own.infer(x))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_own_features": None}


def dispatch(model: DenseNet, images: Tensor) -> str:
    """Which operations a pass of `model` on `images` uses: `densenet`, or `PyTorch: ` and the reason."""
    own = _own(model, images)
    return f"PyTorch: {own}" if isinstance(own, str) else "densenet"


class _Features:
    """The `features` of a network, run by this library."""

    def __init__(self, model: DenseNet, modules: list[nn.Module]) -> None:
        self.modules = modules
        self.memory = model._memory
        self.number = next(_numbers)
        _memories[self.number] = self.memory
        features = model.features
        blocks = [module for name, module in features.named_children() if name.startswith("denseblock")]
        layer = blocks[0].denselayer1
        self.config = {
            "in_channels": features.conv0.in_channels,
            "num_classes": 0,
            "stem": "imagenet",
            "num_init_features": features.conv0.out_channels,
            "block_config": [len(block) for block in blocks],
            "growth_rate": layer.conv2.out_channels,
            "bn_size": layer.conv1.out_channels // layer.conv2.out_channels,
            "compression": 0.5,
            "input_size": 224,
        }
        parameters, running, _ = _densenet.layout(json.dumps(self.config))
        self.parameters = [self._place(model, name, shape) for name, shape in parameters]
        self.running = [self._place(model, name, shape) for name, shape in running]
        self.norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
        self.layers = [layer for block in blocks for layer in block.values()]
        self.sizes = [tensor.numel() for tensor in self._tensors(self.running)]

    @staticmethod
    def _place(model: DenseNet, name: str, shape: list[int]) -> tuple[nn.Module, str]:
        path, _, last = name.rpartition(".")
        module = model.get_submodule(path)
        if list(getattr(module, last).shape) != shape:
            raise ValueError(name)
        return module, last

    @staticmethod
    def _tensors(places: list[tuple[nn.Module, str]]) -> list[Tensor]:
        return [getattr(module, name) for module, name in places]

    def _written(self) -> str:
        return json.dumps(self.config | {"drop_rate": self.layers[0].drop_rate})

    def infer(self, images: Tensor) -> Tensor:
        parameters, running = self._tensors(self.parameters), self._tensors(self.running)
        return torch.ops.densenet.infer(
            images, parameters, running, self._written(), self.layers[0].memory_efficient, self.number
        )

    def train(self, images: Tensor) -> Tensor:
        parameters, running = self._tensors(self.parameters), self._tensors(self.running)
        layer = self.layers[0]
        seed = int(torch.randint(2**62, ())) if layer.drop_rate > 0 else 0
        keep = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in parameters)
        features, moved = torch.ops.densenet.train(
            images, parameters, running, self._written(), layer.memory_efficient, seed, self.number, keep
        )
        with torch.no_grad():
            shaped = [part.view(to.shape) for part, to in zip(moved.split(self.sizes), running)]
            torch._foreach_copy_(running, shaped)
            torch._foreach_add_([cast(Tensor, norm.num_batches_tracked) for norm in self.norms], 1)
        return features


@torch.compiler.disable
def _own(model: DenseNet, images: Tensor) -> _Features | str:
    """The network run by this library, or the reason why PyTorch's operations are used."""
    parameter = model.features.conv0.weight if hasattr(model.features, "conv0") else None
    if images.device.type != "cpu" or parameter is None or parameter.device.type != "cpu":
        return "not on the CPU"
    if images.dtype not in (torch.float32, torch.float64) or images.dtype != parameter.dtype:
        return f"pictures of {images.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "autocast"
    if torch.is_grad_enabled():
        if images.requires_grad:
            return "the gradient of the pictures is required"
        if not model.training and any(parameter.requires_grad for parameter in model.features.parameters()):
            return "gradients in evaluation mode are required"
    modules = list(model.features.modules())
    known = model._own_features
    if known is None or known.memory is not model._memory or known.modules != modules:
        if _structure(model.features) != _expected(model.features):
            return "a changed structure"
        known = model._own_features = _Features(model, modules)
    if any(map(_hooked, modules)):
        return "hooks on layers"
    for norm in known.norms:
        if norm.training != model.training or norm.momentum != 0.1 or norm.eps != 1e-5:
            return "batch-norms in another mode"
    drop_rate = known.layers[0].drop_rate
    if any(layer.drop_rate != drop_rate for layer in known.layers):
        return "layers with different drop rates"
    return known


def _structure(features: Any) -> list[tuple[str, str]]:
    """Every module of `features`, with its type and settings."""
    return [(name, f"{type(module).__name__}({module.extra_repr()})") for name, module in features.named_modules()]


def _expected(features: Any) -> list[tuple[str, str]] | None:
    """The structure of torchvision's network with that width and depth."""
    try:
        blocks = [module for name, module in features.named_children() if name.startswith("denseblock")]
        layer = blocks[0].denselayer1
        with torch.device("meta"):
            same = torchvision.models.DenseNet(
                growth_rate=layer.conv2.out_channels,
                block_config=tuple(map(len, blocks)),
                num_init_features=features.conv0.out_channels,
                bn_size=layer.conv1.out_channels // layer.conv2.out_channels,
                num_classes=1,
            ).features
            if features.conv0.in_channels != 3:
                conv0 = same.conv0
                same.conv0 = nn.Conv2d(features.conv0.in_channels, conv0.out_channels, 7, 2, 3, bias=False)
        return _structure(same)
    except (AttributeError, IndexError, TypeError, ZeroDivisionError):
        return None


class _Named(DenseNet):
    """A torchvision network with a name, and weights."""

    _shape: tuple[int, tuple[int, ...], int]
    _weights: type[torchvision.models.WeightsEnum]

    def __init__(self, *, weights: Any = None, progress: bool = True, **named: Any) -> None:
        weights = self._weights.verify(weights)
        if weights is not None:
            named = {"num_classes": len(weights.meta["categories"])} | named
        super().__init__(*self._shape, **named)
        if weights is not None:
            build = torchvision.models.get_model_builder(type(self).__name__.lower())
            self.load_state_dict(build(weights=weights, progress=progress, **named).state_dict())


class DenseNet121(_Named):
    """torchvision's `densenet121`, with its arguments, as a class."""

    _shape, _weights = (32, (6, 12, 24, 16), 64), torchvision.models.DenseNet121_Weights


class DenseNet161(_Named):
    """torchvision's `densenet161`, with its arguments, as a class."""

    _shape, _weights = (48, (6, 12, 36, 24), 96), torchvision.models.DenseNet161_Weights


class DenseNet169(_Named):
    """torchvision's `densenet169`, with its arguments, as a class."""

    _shape, _weights = (32, (6, 12, 32, 32), 64), torchvision.models.DenseNet169_Weights


class DenseNet201(_Named):
    """torchvision's `densenet201`, with its arguments, as a class."""

    _shape, _weights = (32, (6, 12, 48, 32), 64), torchvision.models.DenseNet201_Weights


densenet121, densenet161, densenet169, densenet201 = DenseNet121, DenseNet161, DenseNet169, DenseNet201
