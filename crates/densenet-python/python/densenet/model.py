"""A network that predicts, explains itself and goes into files."""

from __future__ import annotations

import json
import operator
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from densenet import _densenet
from densenet._pictures import taken
from densenet.explanation import Explanation

#: Pictures that go through a network at a time.
BATCH = 16

Path = str | os.PathLike[str]


class Class(NamedTuple):
    """A class, and how probable it is."""

    label: str
    probability: float
    #: Its place among the classes, from 0.
    number: int


class Features(NamedTuple):
    """What a network makes of pictures before it classifies them."""

    #: (N, features): what the classifier reads.
    pooled: NDArray[np.float32]
    #: After each block (N, C, H, W).
    blocks: list[NDArray[np.float32]]


def load(
    weights: Path,
    *,
    entry: str | None = None,
    preset: str | None = None,
    size: int | None = None,
    labels: Sequence[str] | Path | None = None,
    card: Mapping[str, Any] | None = None,
    precision: Literal["int8", "bf16", "f32"] | None = None,
) -> Model:
    """Loads a network.

    `weights` is a file that `densenet train` wrote, any DenseNet's `.safetensors`, `.pth`, `.pt` or `.pth.tar` file, a
    folder of a model hub, or the name of a built-in model (`densenet.MODELS`). The rest says what the file does not, or
    overrules it:

    - `entry`: of several networks in a file, that of this key;
    - `preset`: pictures are prepared as for one of `densenet.PREPROCESSINGS`;
    - `size`: height and width of the input;
    - `labels`: names of the classes, or a text file of one a line;
    - `card`: some of the fields of a card, as `Model.card` has them; `config` comes from the file alone;
    - `precision`: predict with `int8` (where the file holds integers, which is the default there), `bf16` (where this
      processor is faster with it, else `f32`; `Model.precision` tells), or `f32`.
    """
    names = _names(labels)
    text = None if card is None else json.dumps(dict(card))
    said = dict(entry=entry, preset=preset, size=size, labels=names, card=text, precision=precision)
    return Model(_densenet.Network.load(weights, **said))


def create(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    drop_rate: float | None = None,
    seed: int = 0,
    preset: str | None = None,
    size: int | None = None,
    labels: Sequence[str] | Path | None = None,
) -> Model:
    """Makes a network with random weights, by a name as torchvision and timm have it (`densenet121`), or one of the
    paper's CIFAR networks (`densenet-bc-100-12`, of any depth and growth rate). `densenet.PRESETS` lists them."""
    return Model(
        _densenet.Network.create(
            name,
            num_classes=num_classes,
            in_channels=in_channels,
            drop_rate=drop_rate,
            seed=seed,
            preset=preset,
            size=size,
            labels=_names(labels),
        )
    )


def _names(labels: Sequence[str] | Path | None) -> list[str] | None:
    if isinstance(labels, (str, os.PathLike)):
        with open(labels, encoding="utf-8") as file:
            return file.read().splitlines()
    return None if labels is None else list(labels)


class Model:
    """A network with its weights. `load` and `create` make one.

    Wherever it takes pictures, these are a path, the bytes of a picture file, a PIL picture, or a list of such; pixels,
    as uint8 arrays (N, H, W, C) or uint8 tensors (N, C, H, W); or floating-point arrays or tensors (N, C, H, W), which
    are taken as they are: normalised already, and finite. Arrays and tensors are not copied where they are contiguous.

    It never changes, and any number of threads may use it.
    """

    def __init__(self, network: _densenet.Network) -> None:
        self._network = network

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the network: its configuration, how pictures are prepared for it, its classes, its
        licence."""
        return json.loads(self._network.card)

    @property
    def labels(self) -> list[str]:
        """Names of the classes, or `class N` where nobody has named them."""
        return self._network.labels

    @property
    def precision(self) -> str:
        """What it predicts with: `int8`, `bf16` or `f32`."""
        return self._network.precision

    @property
    def num_parameters(self) -> int:
        """How many learnable values it has."""
        return self._network.num_parameters

    @property
    def num_features(self) -> int:
        """How many values of a picture the classifier reads."""
        return self._network.num_features

    def prepare(self, pictures: Any) -> NDArray[np.float32]:
        """Pictures as the network's inputs (N, C, H, W): resized, cropped and normalised."""
        pictures = taken(pictures)
        return pictures if isinstance(pictures, np.ndarray) else self._network.prepare(pictures)

    def logits(self, pictures: Any, *, batch: int = BATCH) -> NDArray[np.float32]:
        """The network's raw outputs, (N, classes); `batch` pictures go through it at a time."""
        pictures = taken(pictures)
        if isinstance(pictures, np.ndarray):
            return self._network.logits(pictures, batch)
        return self._network.logits_of(pictures, batch)

    def probabilities(self, pictures: Any, *, batch: int = BATCH) -> NDArray[np.float64]:
        """The probability of each class, (N, classes)."""
        return self._network.probabilities(self.logits(pictures, batch=batch))

    def predict(self, pictures: Any, top: int = 5, *, batch: int = BATCH) -> list[list[Class]]:
        """For each picture its likeliest classes, the likeliest first."""
        logits = self.logits(pictures, batch=batch)
        probabilities, labels = self._network.probabilities(logits), self.labels
        found = []
        for scores, shares in zip(logits, probabilities):
            # Of equals that of the higher logit is first, and of those the first.
            order = np.lexsort((-scores, -shares))[:top]
            found.append([Class(labels[index], float(shares[index]), int(index)) for index in order])
        return found

    def pooled(self, pictures: Any, *, batch: int = BATCH) -> NDArray[np.float32]:
        """What the classifier reads, (N, features): an embedding of each picture."""
        pictures = taken(pictures)
        if isinstance(pictures, np.ndarray):
            return self._network.pooled(pictures, batch)
        return self._network.pooled_of(pictures, batch)

    def features(self, pictures: Any) -> Features:
        """What the network makes of pictures before it classifies them: pooled, and after each block. All pictures go
        through it at a time."""
        return Features(*self._network.features(self.prepare(pictures)))

    def explain(
        self,
        picture: Any,
        label: str | SupportsIndex | None = None,
        *,
        against: str | SupportsIndex | None = None,
        method: str = "cam",
        block: int | None = None,
        steps: int = 50,
        samples: int = 25,
        noise: float = 0.15,
        square: int = 16,
    ) -> Explanation:
        """A map of what in a picture speaks for a class, or for it against another; the likeliest where none is named.
        Classes are told by their names or by their numbers, from 0.

        `method` is one of

        - `cam`: the class activation map, whose mean and the bias of the class are the logit;
        - `grad-cam`: the maps of any `block`, counted from 1, weighted by their gradients; of the last if none is
          named;
        - `integrated-gradients`: what each pixel adds to the logit, by so many `steps` from the mean colour;
        - `smooth-grad`: the mean gradient of so many noisy copies (`samples`, `noise`);
        - `occlusion`: how far the probability drops where a `square` of pixels is covered.
        """
        images = self.prepare(picture)
        if len(images) != 1:
            raise ValueError(f"{len(images)} pictures; one is explained at a time")
        labels = self.labels
        if label is None:
            label = int(self._network.logits(images, 1)[0].argmax())
        index = _index(label, labels)
        other = None if against is None else _index(against, labels)
        if index == other:
            raise ValueError(f"{labels[index]} against itself; two classes are needed")
        settings: _densenet.Settings = {
            "block": block,
            "steps": steps,
            "samples": samples,
            "noise": noise,
            "square": square,
        }
        found = _densenet.explain(self._network, images[0], index, other, method, settings)
        return Explanation(
            found, labels[index], None if other is None else labels[other], method, self._seen(images[0])
        )

    def _seen(self, image: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        """What the network sees of an input, where it is known how pictures become inputs of that size."""
        preprocessing = self.card.get("preprocessing")
        fits = preprocessing is not None and image.shape[1:] == (preprocessing["size"],) * 2
        return self._network.picture_of(image) if fits else None

    def export(
        self,
        path: Path,
        format: str | None = None,
        *,
        fold: bool = False,
        dynamic_size: bool = False,
        licence: str | None = None,
    ) -> None:
        """Writes the network for other programs.

        `format` is `torchvision` (safetensors for `load_state_dict`), `timm` (a folder), `onnx`, or `densenet`
        (safetensors with the card); for names that end in `.onnx` it can be left out. Of ONNX, `fold` takes batch-norms
        into the convolutions before them, and `dynamic_size` leaves height and width open."""
        path = os.fspath(path)
        if format is None:
            if not path.lower().endswith(".onnx"):
                raise ValueError(f"{path}: its name does not tell the format; say torchvision, timm, onnx or densenet")
            format = "onnx"
        beyond = _densenet.export(self._network, path, format, fold, dynamic_size, licence)
        if beyond:
            parts = ", ".join(beyond)
            reason = f"torchvision has no such network ({parts}); the file loads into a module with the same names"
            warnings.warn(reason, stacklevel=2)

    def save(self, path: Path) -> None:
        """Writes weights and card, as `densenet train` does."""
        self.export(path, "densenet")

    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            self.save(path)
            with open(path, "rb") as file:
                return _of_bytes, (file.read(), self.precision)

    def __repr__(self) -> str:
        config = self.card["config"]
        return f"<densenet.Model: {self.num_parameters:,} parameters, {config['num_classes']} classes>"


def _of_bytes(content: bytes, precision: Any) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        with open(path, "wb") as file:
            file.write(content)
        return load(path, precision=precision)


def _number(label: Any) -> int | None:
    """The integer that a class is told by, of Python, NumPy or PyTorch, if it is one; a truth value is none."""
    if isinstance(label, bool):
        return None
    try:
        return operator.index(label)
    except TypeError:
        return None


def _index(label: str | SupportsIndex, labels: list[str]) -> int:
    number = _number(label)
    if number is not None:
        if not 0 <= number < len(labels):
            raise ValueError(f"class {number} of {len(labels)}; they are counted from 0")
        return number
    found = [index for index, name in enumerate(labels) if name == label]
    if len(found) != 1:
        known = ", ".join(labels) if len(labels) <= 20 else f"{len(labels)} others, as {labels[0]}"
        count = "no class is" if not found else f"{len(found)} classes are"
        raise ValueError(f"{count} called {label}; there are {known}")
    return found[0]
