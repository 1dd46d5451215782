"""Writes what timm's transforms make of two pictures of `preprocessing/`, before normalisation, as PNG into `timm/`.

Regenerate, in this folder:  python3 timm_transforms.py
Made with timm 1.0.31, torchvision 0.29.2 and Pillow 13.0.0. A name says PICTURE-INTERPOLATION-MODE-CROP-SIZE.png.
"""

from pathlib import Path

from PIL import Image
from timm.data import create_transform

FOLDER = Path("timm")
CASES = [
    ("dress", "bicubic", "center", 0.875, 64),
    ("dress", "bilinear", "center", 0.95, 64),
    ("dress", "bicubic", "squash", 1.0, 64),
    ("pants", "bicubic", "center", 1.0, 72),
    ("pants", "bilinear", "squash", 0.9, 48),
    ("pants", "bicubic", "center", 0.965, 50),
]

FOLDER.mkdir(exist_ok=True)
for picture, interpolation, mode, crop, size in CASES:
    transform = create_transform(
        (3, size, size), interpolation=interpolation, crop_pct=crop, crop_mode=mode, normalize=False
    )
    pixels = transform(Image.open(f"preprocessing/{picture}.jpg").convert("RGB"))
    name = f"{picture}-{interpolation}-{mode}-{crop}-{size}.png"
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(FOLDER / name)
