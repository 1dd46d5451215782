"""How many of CIFAR-10's test pictures a network gets right in eight bits: ours, ONNX Runtime's and OpenVINO's.

    $DENSENET_PEERS/bin/python -m bench.int8_accuracy WEIGHTS DATA [--pictures 512] [--ours PROGRAM] [OPTIONS ...]

WEIGHTS is what `densenet` reads, DATA a folder that holds `cifar10`, and OPTIONS, as --mean and --std, are handed to `densenet`.
All are calibrated on the same training pictures. The peers quantise the network that `densenet export --fold` writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov

from . import nncf_int8
from .quantize import quantize

BATCH = 100
Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures (N, C, H, W) and their classes."""

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(cls, files: list[Path], card: dict) -> Pictures:
        """All pictures of some files of CIFAR-10, prepared as a network's card says."""
        records = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files])
        mean, std = (np.float32(card["preprocessing"][name])[:, None, None] for name in ("mean", "std"))
        images = (records[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255) - mean) / std
        return cls(images, records[:, 0])

    def spread(self, count: int) -> np.ndarray:
        """So many, from the first on, as `densenet quantize --pictures` takes them."""
        return self.images[np.arange(count) * len(self.images) // count]

    def correct(self, network: Network) -> int:
        """How many `network` gets right."""
        starts = range(0, len(self.images), BATCH)
        found = np.concatenate([network(self.images[start : start + BATCH]) for start in starts])
        return int((found.argmax(axis=1) == self.labels).sum())


def onnxruntime(model: Path) -> Network:
    """A file in ONNX Runtime."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def openvino(model: Path, pictures: np.ndarray) -> Network:
    """A file quantised by NNCF's default preset, in OpenVINO."""
    compiled = ov.Core().compile_model(nncf_int8.quantize(model, [picture[None] for picture in pictures]), "CPU")
    return lambda images: compiled(images)[0]


class Ours:
    """This project's program, of the weights that the command line names."""

    def __init__(self, args: argparse.Namespace, options: list[str]) -> None:
        self._program, self._data = args.ours, ["--data", "cifar10", "--data-dir", args.data]
        self._weights, self._pictures = ["--weights", args.weights, *options], str(args.pictures)

    def _run(self, *words: str) -> str:
        return subprocess.run([self._program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def exported(self, out: Path) -> Path:
        """The network in float32 as ONNX."""
        self._run("export", *self._weights, "--fold", "--out", str(out))
        return out

    def quantized(self, out: Path, with_pictures: bool) -> Path:
        """The network in eight bits."""
        scales = [*self._data, "--pictures", self._pictures] if with_pictures else []
        self._run("quantize", *self._weights, *scales, "--out", str(out))
        return out

    def qdq(self, weights: Path) -> Path:
        """`weights` of eight bits as ONNX."""
        out = weights.with_suffix(".onnx")
        self._run("export", "--weights", str(weights), "--out", str(out))
        return out

    def correct(self, weights: Path | None = None) -> int:
        """How many of the test pictures are right, by the network itself or by other `weights` of it."""
        words = self._weights if weights is None else ["--weights", str(weights)]
        return json.loads(self._run("eval", *words, *self._data, "--json"))["correct"]


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """The command line, and what is handed on."""
    parser = argparse.ArgumentParser(prog="python -m bench.int8_accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a weight file, or the name of a built-in model")
    parser.add_argument("data", help="the folder that holds cifar10")
    parser.add_argument("--pictures", type=int, default=512, help="training pictures to calibrate on (default 512)")
    parser.add_argument("--ours", default="target/release/densenet", help="this project's program")
    return parser.parse_known_args()


def rows(ours: Ours, args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, int]]:
    """What each makes of the test pictures."""
    model = ours.exported(folder / "float.onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    card = json.loads(metadata["densenet_card"])
    data = Path(args.data) / "cifar10"
    test = Pictures.read([data / "test_batch.bin"], card)
    training = Pictures.read([data / f"data_batch_{number}.bin" for number in range(1, 6)], card)
    pictures = training.spread(args.pictures)
    yield "densenet, float32", ours.correct()
    for with_pictures in (True, False):
        weights = ours.quantized(folder / "int8.safetensors", with_pictures)
        yield f"densenet, int8{'' if with_pictures else ', without data'}", ours.correct(weights)
        yield "the same as QDQ in ONNX Runtime", test.correct(onnxruntime(ours.qdq(weights)))
    yield "OpenVINO, int8 by NNCF, default preset", test.correct(openvino(model, pictures))
    for per_channel, title in ((True, "weights by channel"), (False, "one scale a tensor")):
        quantize(model, folder / "qdq.onnx", pictures, per_channel)
        yield f"ONNX Runtime, int8, {title}", test.correct(onnxruntime(folder / "qdq.onnx"))


def main() -> None:
    args, options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        print(f"| | right of 10,000, scales of {args.pictures} pictures |", "|---|---|", sep="\n", flush=True)
        for name, correct in rows(Ours(args, options), args, Path(folder)):
            print(f"| {name} | {correct:,} |", flush=True)


if __name__ == "__main__":
    main()
