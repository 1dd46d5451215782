"""Checks a network of eight bits in ONNX Runtime: qdq.py FOLDER NAME TOLERANCE SHARE TIE.

FOLDER holds NAME.onnx, images.npy and our logits, NAME.npy. The distance of the logits may be TOLERANCE of their norm, and the
likeliest class is the same for SHARE of the pictures, as the graph stands and as ONNX Runtime optimises it: that must compute
every convolution in integers. Classes whose logits are within TIE of the largest one of their picture are as likely.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort


def main():
    folder, name, (tolerance, share, tie) = Path(sys.argv[1]), sys.argv[2], map(float, sys.argv[3:])
    path, optimised = folder / f"{name}.onnx", folder / f"{name}.optimised.onnx"
    onnx.checker.check_model(path, full_check=True)
    images, wanted = (np.load(folder / file) for file in ("images.npy", f"{name}.npy"))
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 3
        options.optimized_model_filepath = str(optimised)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        batches = (session.run(None, {"images": images[start : start + 100]})[0] for start in range(0, len(images), 100))
        found = np.concatenate(list(batches))
        distance = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        likeliest, chosen = wanted.max(axis=1), wanted[np.arange(len(wanted)), found.argmax(axis=1)]
        alike = np.mean(chosen >= likeliest - tie * abs(wanted).max(axis=1))
        print(f"{name}, {level.name}: {distance:.1e}, {alike:.1%} alike")
        assert found.shape == wanted.shape and distance <= tolerance and alike >= share, name
    convolutions = [Counter(node.op_type for node in onnx.load(file).graph.node) for file in (path, optimised)]
    before, after = convolutions
    assert after["QLinearConv"] == before["Conv"], (before, after)


if __name__ == "__main__":
    main()
