"""Quantises an ONNX file of a network by ONNX Runtime: QDQ, activations u8, weights s8 by channel, min-max.

    python -m bench.quantize MODEL.onnx OUT.onnx [IMAGES.npy]

IMAGES.npy holds the pictures (N, C, H, W) to calibrate on; without it the network's input is seeded noise, as the benchmark's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Pictures(CalibrationDataReader):
    """Batches of pictures."""

    def __init__(self, batches: list[np.ndarray], name: str) -> None:
        self._batches = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch."""
        return next(self._batches, None)


def quantize(model: Path, out: Path, images: np.ndarray | None = None, per_channel: bool = True) -> None:
    """Writes the network `model` in eight bits to `out`; weights have a scale for each output, or one in all."""
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    entry = ort.InferenceSession(prepared, providers=["CPUExecutionProvider"]).get_inputs()[0]
    if images is None:
        images = np.random.default_rng(0).standard_normal(entry.shape, dtype=np.float32)
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else 32
    batches = [images[start : start + batch] for start in range(0, len(images) - batch + 1, batch)]
    quantize_static(
        prepared,
        out,
        Pictures(batches, entry.name),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        calibrate_method=CalibrationMethod.MinMax,
    )
    prepared.unlink()


if __name__ == "__main__":
    quantize(Path(sys.argv[1]), Path(sys.argv[2]), np.load(sys.argv[3]) if len(sys.argv) > 3 else None)
