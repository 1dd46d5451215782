"""Quantises an ONNX file of a network for OpenVINO by NNCF: post-training quantisation, its default preset.

    python -m bench.nncf_int8 MODEL.onnx OUT.xml

The network is calibrated on its input of seeded noise, as the benchmark's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nncf
import numpy as np
import openvino as ov


def quantize(model: Path, batches: list[np.ndarray]) -> ov.Model:
    """The network `model` in eight bits, calibrated on batches (N, C, H, W)."""
    return nncf.quantize(ov.Core().read_model(model), nncf.Dataset(batches), subset_size=len(batches))


def main() -> None:
    model, out = map(Path, sys.argv[1:])
    shape = list(ov.Core().read_model(model).inputs[0].shape)
    images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ov.save_model(quantize(model, [images]), out, compress_to_fp16=False)


if __name__ == "__main__":
    main()
