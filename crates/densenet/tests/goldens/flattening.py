"""Writes transparent pictures and pictures of 16-bit grey into flattening/, and what Pillow makes of them.

    python flattening.py

A transparent picture's goldens are `PICTURE.drop.png`, which is `convert(MODE)`, and `PICTURE.white.png` and
`PICTURE.black.png`, which are `Image.alpha_composite` on that ground; MODE is L where the picture is grey, and RGB elsewhere.
Those of 16-bit grey are `PICTURE.clip.png`, which is `convert("L")`, and `PICTURE.high-byte.png`, which is not Pillow's: the
values divided by 256.

Made with Pillow 13.0.0, numpy 2.4.6.
"""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "flattening"
SIDE = 16
GREY = {"LA", "La", "L"}


def samples(channels):
    """Colours and an alpha that is 0 and 255 somewhere and all else elsewhere."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    colours = [(x * (c + 3) * 7 + y * (5 - c) * 4) % 256 for c in range(channels)]
    alpha = np.clip((x + SIDE * y) * 1.2 - 24, 0, 255)
    return np.stack([*colours, alpha], -1).astype(np.uint8)


def png(values, colour):
    """A PNG of 16 bits a sample, of `(height, width, channels)`; Pillow writes none of several channels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def write_transparent():
    rgba, la = Image.fromarray(samples(3)), Image.fromarray(samples(1))
    rgba.save(FOLDER / "rgba.png")
    la.save(FOLDER / "la.png")
    rgba.save(FOLDER / "rgba.webp", lossless=True, exact=True)
    rgba.save(FOLDER / "rgba.tif", compression="tiff_deflate")
    rgba.save(FOLDER / "rgba.ico", sizes=[(SIDE, SIDE)])
    palette = rgba.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
    palette.save(FOLDER / "palette.png", transparency=bytes(range(0, 256, 8)))
    palette.save(FOLDER / "palette.gif", transparency=3)
    rgba.convert("RGB").save(FOLDER / "key.png", transparency=tuple(int(v) for v in samples(3)[2, 5, :3]))
    la.convert("L").save(FOLDER / "key-grey.png", transparency=int(samples(1)[2, 5, 0]))
    deep = samples(3).astype(np.uint16) * 256 + 200
    (FOLDER / "deep-rgba.png").write_bytes(png(deep, 6))
    (FOLDER / "deep-la.png").write_bytes(png(deep[..., [0, 3]], 4))


def write_deep_grey():
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    values = ((x + SIDE * y) ** 2).astype(np.uint16)
    Image.fromarray(values).save(FOLDER / "deep.png")
    Image.fromarray(values).save(FOLDER / "deep.tif", compression="tiff_deflate")
    Image.fromarray(values.astype(">u2")).save(FOLDER / "deep-big-endian.tif")
    (FOLDER / "deep.pgm").write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    write_transparent()
    transparent = sorted(FOLDER.iterdir())
    write_deep_grey()
    for file in transparent:
        picture = Image.open(file)
        mode = "L" if picture.mode in GREY else "RGB"
        picture.convert(mode).save(f"{file}.drop.png", optimize=True)
        for name, ground in (("white", (255, 255, 255, 255)), ("black", (0, 0, 0, 255))):
            laid = Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture.convert("RGBA"))
            laid.convert(mode).save(f"{file}.{name}.png", optimize=True)
    for file in sorted(FOLDER.glob("deep*")):
        if file in transparent or file.name.count(".") > 1:
            continue
        picture = Image.open(file)
        print(file.name, picture.mode)
        picture.convert("L").save(f"{file}.clip.png", optimize=True)
        Image.fromarray((np.asarray(picture) // 256).astype(np.uint8)).save(f"{file}.high-byte.png", optimize=True)


if __name__ == "__main__":
    main()
