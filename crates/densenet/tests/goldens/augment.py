"""Writes what torchvision makes of a photograph, which data/augment's tests check.

    python augment.py

Reads preprocessing/dress.jpg, and writes augment.safetensors: the photograph at 23x17 in colour and in grey, and for each
of them OPERATION:VALUE for each operation of ColorJitter and RandAugment, `[height, width, channels]` of 8 bits.

Made with torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0, numpy 2.4.6, safetensors 0.8.0.
"""

import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import RandAugment
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

FOLDER = pathlib.Path(__file__).parent
FACTORS = {
    "brightness": (F.adjust_brightness, [0.0, 0.35, 1.0, 1.9]),
    "contrast": (F.adjust_contrast, [0.0, 0.35, 1.9]),
    "saturation": (F.adjust_saturation, [0.0, 0.35, 1.9]),
    "sharpness": (F.adjust_sharpness, [0.0, 0.35, 1.9]),
    "hue": (F.adjust_hue, [-0.5, -0.1, 0.0, 0.07, 0.25, 0.5]),
}
MAGNITUDES = [1, 9, 30]


def rand_augmented(picture):
    """Each operation of RandAugment at some magnitudes, as its `forward` applies it."""
    policy = RandAugment()
    width, height = picture.size
    for name, (magnitudes, signed) in policy._augmentation_space(31, (height, width)).items():
        for magnitude in MAGNITUDES if magnitudes.ndim > 0 else [0]:
            value = float(magnitudes[magnitude].item()) if magnitudes.ndim > 0 else 0.0
            for sign in [1, -1] if signed else [1]:
                changed = _apply_op(picture, name, sign * value, interpolation=policy.interpolation, fill=None)
                yield f"{name}:{sign * magnitude}", changed


def cases(picture):
    """Every operation with its name."""
    yield "picture", picture
    for name, (adjust, values) in FACTORS.items():
        yield from ((f"{name}:{value}", adjust(picture, value)) for value in values)
    yield from rand_augmented(picture)


def pixels(picture):
    """`[height, width, channels]`."""
    array = np.asarray(picture)
    return np.ascontiguousarray(array.reshape(*array.shape[:2], -1))


def main():
    torch.set_num_threads(1)
    colour = Image.open(FOLDER / "preprocessing/dress.jpg").convert("RGB").resize((17, 23))
    # Not all of the range, so that there is something for autocontrast to do.
    colour = colour.point([20 + value * 4 // 5 for value in range(256)] * 3)
    modes = {"colour": colour, "grey": colour.convert("L")}
    save_file(
        {f"{mode}/{name}": pixels(changed) for mode, picture in modes.items() for name, changed in cases(picture)},
        FOLDER / "augment.safetensors",
    )


if __name__ == "__main__":
    main()
