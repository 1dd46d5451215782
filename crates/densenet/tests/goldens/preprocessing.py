"""Writes the pictures that tests/preprocessing.rs checks, and what torchvision makes of them.

    python preprocessing.py CLOTHING

CLOTHING is the folder test/ of https://github.com/alexeygrigorev/clothing-dataset-small reduced to a short side of 160
pixels (CC0 1.0: no rights reserved); the pictures are kept in preprocessing/ as they are.

Each golden is what torchvision gives before the division by 255, as a PNG, which loses nothing. The name says how it was
made: PICTURE.MODE.RESIZE.CROP.png, RESIZE being `whole` where both sides are resized to CROP.

Made with torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0, numpy 2.4.6.
"""

import pathlib
import shutil
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2 as T

SOURCES = {
    "dress.jpg": "dress/facbf570-2a46-43cd-b58b-ea03df3e7919.jpg",
    "pants.jpg": "pants/e3229e00-607a-4172-86b0-7205ac0c15fa.jpg",
    "shorts.jpg": "shorts/cbae96c4-ee32-4c10-a69e-d723e0a54480.jpg",
    "sleeve.jpg": "longsleeve/6b7e076a-5c7b-46c4-8847-3be2efcc1cb4.jpg",
}
CASES = [
    ("dress.jpg", "RGB", 256, 224),
    ("dress.jpg", "RGB", 73, 64),
    ("dress.jpg", "L", 73, 64),
    ("pants.jpg", "RGB", 73, 64),
    ("shorts.jpg", "RGB", 65, 64),
    ("shorts.jpg", "RGB", "whole", 96),
    ("sleeve.jpg", "RGB", 110, 96),
    ("sleeve.jpg", "L", "whole", 28),
    ("tiny.png", "RGB", "whole", 96),
    ("tiny.png", "L", "whole", 32),
    ("grey.png", "RGB", 40, 32),
    ("alpha.png", "RGB", 40, 32),
    ("alpha.png", "L", 40, 32),
    ("palette.png", "RGB", 40, 32),
    ("bits.png", "L", 40, 32),
    ("deep.png", "RGB", 40, 32),
    ("cmyk.jpg", "RGB", 40, 32),
    ("grey.jpg", "RGB", 40, 32),
    ("progressive.jpg", "RGB", 73, 64),
    ("full.jpg", "RGB", 40, 32),
]


def make(folder):
    """Pictures of other kinds, out of the real ones."""
    dress, sleeve = (Image.open(folder / name) for name in ("dress.jpg", "sleeve.jpg"))
    dress.resize((32, 32)).save(folder / "tiny.png")
    small = sleeve.resize((61, 47))
    small.convert("L").save(folder / "grey.png")
    small.convert("L").save(folder / "grey.jpg", quality=80)
    small.save(folder / "full.jpg", quality=80, subsampling=0)
    small.convert("CMYK").save(folder / "cmyk.jpg", quality=80)
    small.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    small.convert("1").save(folder / "bits.png")
    alpha = small.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(small.size))
    alpha.save(folder / "alpha.png")
    sleeve.save(folder / "progressive.jpg", quality=70, progressive=True)
    write_deep(np.asarray(small).astype(np.uint16) * 256 + 200, folder / "deep.png")


def write_deep(pixels, path):
    """16-bit RGB, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def main():
    clothing = pathlib.Path(sys.argv[1])
    folder = pathlib.Path(__file__).parent / "preprocessing"
    folder.mkdir(exist_ok=True)
    for name, source in SOURCES.items():
        shutil.copyfile(clothing / source, folder / name)
    make(folder)
    for name, mode, resize, crop in CASES:
        picture = Image.open(folder / name).convert(mode)
        steps = [T.Resize((crop, crop))] if resize == "whole" else [T.Resize(resize), T.CenterCrop(crop)]
        T.Compose(steps)(picture).save(folder / f"{name}.{mode}.{resize}.{crop}.png", optimize=True)
    evaluate = T.Compose([
        T.Resize(18), T.CenterCrop(16), T.ToImage(), T.ToDtype(torch.float32, scale=True),
        T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    evaluate(Image.open(folder / "pants.jpg").convert("RGB")).numpy().tofile(folder / "pants.imagenet.18.16.f32")


if __name__ == "__main__":
    main()
