"""A network that predicts, explains its predictions and can be saved."""

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

#: Number of pictures that go through a network at a time.
BATCH = 16

Path = str | os.PathLike[str]


class Class(NamedTuple):
    """A class and its probability."""

    label: str
    probability: float
    #: Its index among the classes, from 0.
    number: int


class Features(NamedTuple):
    """A network's features before the classifier."""

    #: (N, features): the classifier's input.
    pooled: NDArray[np.float32]
    #: The output of each block, (N, C, H, W).
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
    folder from a model hub, or the name of a built-in model (`densenet.MODELS`). The other arguments say what the file
    does not, or override it:

    - `entry`: if a file holds several networks, the key of the one to load;
    - `preset`: prepare pictures as for one of `densenet.PREPROCESSINGS`;
    - `size`: height and width of the input;
    - `labels`: names of the classes, or a text file with one per line;
    - `card`: some of the fields of a card, as in `Model.card`; `config` always comes from the file;
    - `precision`: predict with `int8` (if the file holds integers, for which it is the default), `bf16` (if this
      processor is faster with it, else `f32`; see `Model.precision`), or `f32`.
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
    """Creates a network with random weights, given a name from torchvision or timm (`densenet121`) or of one of the
    paper's CIFAR networks (`densenet-bc-100-12`, with any depth and growth rate). `densenet.PRESETS` lists them."""
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
    """A network with its weights, created by `load` or `create`.

    Pictures can be given as a path, the bytes of a picture file, a PIL picture, or a list of these; as pixels, in uint8
    arrays (N, H, W, C) or uint8 tensors (N, C, H, W); or as floating-point arrays or tensors (N, C, H, W), which are
    used as they are: they must already be normalised, and finite. Contiguous arrays and tensors are not copied.

    A model is immutable, and any number of threads may use it.
    """

    def __init__(self, network: _densenet.Network) -> None:
        self._network = network

    @property
    def card(self) -> dict[str, Any]:
        """The network's card: its configuration, how pictures are prepared for it, its classes, its licence."""
        return json.loads(self._network.card)

    @property
    def labels(self) -> list[str]:
        """Names of the classes, or `class N` if they have none."""
        return self._network.labels

    @property
    def precision(self) -> str:
        """The arithmetic that it predicts with: `int8`, `bf16` or `f32`."""
        return self._network.precision

    @property
    def num_parameters(self) -> int:
        """Number of learnable values."""
        return self._network.num_parameters

    @property
    def num_features(self) -> int:
        """Number of values per picture that the classifier reads."""
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
        """The `top` most likely classes of each picture, the most likely first."""
        logits = self.logits(pictures, batch=batch)
        probabilities, labels = self._network.probabilities(logits), self.labels
        found = []
        for scores, shares in zip(logits, probabilities):
            # Equal ones are ordered by logit, highest first, and then keep their order.
            order = np.lexsort((-scores, -shares))[:top]
            found.append([Class(labels[index], float(shares[index]), int(index)) for index in order])
        return found

    def pooled(self, pictures: Any, *, batch: int = BATCH) -> NDArray[np.float32]:
        """The classifier's input, (N, features): an embedding of each picture."""
        pictures = taken(pictures)
        if isinstance(pictures, np.ndarray):
            return self._network.pooled(pictures, batch)
        return self._network.pooled_of(pictures, batch)

    def features(self, pictures: Any) -> Features:
        """The network's features before the classifier: pooled, and after each block. All pictures go through the
        network at once."""
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
        """A map of what in a picture supports a class, alone or against another; by default the most likely class.
        Classes are given by name or by number, from 0.

        `method` is one of

        - `cam`: the class activation map, whose mean plus the bias of the class is the logit;
        - `grad-cam`: the maps of a `block`, counted from 1, weighted by their gradients; by default the last block;
        - `integrated-gradients`: what each pixel adds to the logit, integrated in `steps` steps from the mean colour;
        - `smooth-grad`: the mean gradient of noisy copies (`samples`, `noise`);
        - `occlusion`: how much the probability drops where a `square` of pixels is covered.
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
        """The picture that corresponds to an input, if it is known how pictures are prepared at that size."""
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
        (safetensors with the card); for names that end in `.onnx` it can be left out. For ONNX, `fold` folds
        batch-norms into the convolutions before them, and `dynamic_size` leaves height and width open."""
        path = os.fspath(path)
        if format is None:
            if not path.lower().endswith(".onnx"):
                raise ValueError(f"{path}: its name does not say the format; give torchvision, timm, onnx or densenet")
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
    """The class number, if the label is an integer of Python, NumPy or PyTorch; a bool is not one."""
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
            raise ValueError(f"class {number} of {len(labels)}; classes are counted from 0")
        return number
    found = [index for index, name in enumerate(labels) if name == label]
    if len(found) != 1:
        known = ", ".join(labels) if len(labels) <= 20 else f"{len(labels)} others, such as {labels[0]}"
        count = "no class is" if not found else f"{len(found)} classes are"
        raise ValueError(f"{count} called {label}; the classes are {known}")
    return found[0]
