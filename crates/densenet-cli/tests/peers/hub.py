"""Folders of weights as timm has them: hub.py load WORLD, or hub.py save WORLD JPEG.

load: timm's logits for WORLD/images.npy of the network in WORLD/hub must be those in WORLD/logits.npy.
save: writes a network of timm into WORLD/hub, and its probabilities of JPEG, prepared by timm's transform, as JSON to stdout.
"""

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

TOLERANCE = 1e-5


def load(world):
    network = timm.create_model(f"local-dir:{world / 'hub'}", pretrained=True).eval()
    with torch.inference_mode():
        found = network(torch.from_numpy(np.load(world / "images.npy"))).numpy()
    wanted = np.load(world / "logits.npy")
    distance = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    print(f"timm: {distance:.1e}")
    assert found.shape == wanted.shape and distance <= TOLERANCE
    config, data = network.pretrained_cfg, resolve_data_config(model=network)
    assert config["label_names"][0] == "class 0" and config["license"] == "CC0-1.0", config
    assert (data["input_size"], data["crop_pct"], data["interpolation"]) == ((3, 64, 64), 1.0, "bilinear"), data
    assert np.allclose(data["mean"], [0.4] * 3) and np.allclose(data["std"], [0.3] * 3), data


def save(world, jpeg):
    torch.manual_seed(3)
    described = {"input_size": (3, 80, 80), "interpolation": "bicubic", "crop_pct": 0.9}
    network = timm.create_model("densenet121", num_classes=7, pretrained_cfg_overlay=described).eval()
    pixels = create_transform(**resolve_data_config(model=network))(Image.open(jpeg).convert("RGB"))[None]
    with torch.inference_mode():
        # Probabilities that are far from each other, so that other pixels make others.
        network.classifier.weight *= 3 / network(pixels).std()
        probabilities = network(pixels).softmax(-1)[0].tolist()
    timm.models.save_for_hf(network, world / "hub", safe_serialization=True)
    print(json.dumps(probabilities))


if __name__ == "__main__":
    {"load": load, "save": save}[sys.argv[1]](*map(Path, sys.argv[2:]))
