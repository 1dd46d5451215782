"""Checks one network's exported files with torchvision, the ONNX checker and ONNX Runtime: check.py FOLDER.

FOLDER holds case.json, torchvision.safetensors, {plain,folded}.onnx, perhaps dynamic.onnx, and pictures and our logits for them,
{native,larger}{,.logits}.npy. What torchvision saves of the weights that it loaded is written to back.safetensors.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-5


def compare(what, found, wanted):
    """Relative distance in norm, which must be small."""
    distance = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    print(f"{what}: {distance:.1e}")
    assert found.shape == wanted.shape and distance <= TOLERANCE, what


def torchvision_network(case):
    """The network as a user of torchvision makes it."""
    if case["name"].startswith("densenet"):
        return getattr(torchvision.models, case["name"])()
    config = case["config"]
    names = ("growth_rate", "block_config", "num_init_features", "bn_size", "num_classes")
    return torchvision.models.DenseNet(**{name: config[name] for name in names})


def check_torchvision(folder, case):
    state = load_file(folder / "torchvision.safetensors")
    counters = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert counters and all(value.dtype == torch.int64 and value.shape == () and value == 17 for value in counters)
    network = torchvision_network(case).eval()
    network.load_state_dict(state, strict=True)
    for size in ("native", "larger"):
        with torch.inference_mode():
            logits = network(torch.from_numpy(np.load(folder / f"{size}.npy"))).numpy()
        compare(f"{case['name']}, torchvision, {size}", logits, np.load(folder / f"{size}.logits.npy"))
    save_file(network.state_dict(), folder / "back.safetensors")


def check_onnx(folder, case, kind, sizes):
    path = folder / f"{kind}.onnx"
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    card = json.loads(texts["densenet_card"])
    assert card["labels"][0] == "class 0" and texts["model_license"] == "CC0-1.0"
    assert card["preprocessing"]["size"] == case["config"]["input_size"]
    for size in sizes:
        images, logits = (np.load(folder / f"{size}{part}.npy") for part in ("", ".logits"))
        for count in (1, 2):
            (found,) = session.run(["logits"], {"images": images[:count]})
            compare(f"{case['name']}, {kind}.onnx, {size}, batch {count}", found, logits[:count])


def main():
    folder = Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    if case["torchvision"]:
        check_torchvision(folder, case)
    check_onnx(folder, case, "plain", ["native"])
    check_onnx(folder, case, "folded", ["native"])
    # A network that classifies all pixels takes pictures of one size only.
    if (folder / "dynamic.onnx").exists():
        check_onnx(folder, case, "dynamic", ["native", "larger"])


if __name__ == "__main__":
    main()
