"""Writes the pictures of every format and sampling that tests/decoding.py checks, and what Pillow makes of them.

    python pictures.py

Each golden is `PICTURE.png`: Pillow's `Image.open(PICTURE).convert(MODE)`, MODE being L where the picture is grey and RGB
elsewhere. `PICTURE.upright.png` is that after `ImageOps.exif_transpose`, and `PICTURE.2.png` (4, 8) what Pillow's draft
mode, and so libjpeg, decodes at that fraction.

Pillow writes few of the samplings that JPEG has, so a small encoder of baseline JPEG is here. Everything is drawn here.

Made with Pillow 13.0.0, numpy 2.4.6.
"""

import io
import pathlib
import struct

import numpy as np
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).parent / "pictures"

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
DCT = np.array([[np.sqrt((1 if k else 0.5) / 4) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)])
QUANTISER = 6
DC_SYMBOLS, AC_SYMBOLS = list(range(12)), [run << 4 | size for run in range(16) for size in range(1, 11)] + [0x00, 0xF0]


def planes(height, width, count):
    """Smooth colours with edges and some grain, one plane a component."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    grain = np.random.default_rng(1).integers(-12, 13, (count, height, width))
    waves = [128 + 110 * np.sin(7 * (x * (c + 1) + y * (3 - c)) + c) for c in range(count)]
    edge = (np.mgrid[0:height, 0:width].sum(axis=0) // 9 % 2) * 40
    return np.clip(np.stack(waves) + grain - edge, 0, 255).round()


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def huffman(symbols, length):
    """A table whose codes are all of `length` bits, in the order of `symbols`."""
    return bytes(len(symbols) if n == length else 0 for n in range(1, 17)) + bytes(symbols)


def bits(value):
    """Size and bits of a coefficient, as JPEG writes it."""
    size = int(abs(value)).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""


def block_bits(block, before):
    """The bits of quantised coefficients in zigzag order; `before` is the component's last DC."""
    size, text = bits(block[0] - before)
    code = format(DC_SYMBOLS.index(size), "04b") + text
    run, last = 0, max((i for i in range(1, 64) if block[i]), default=0)
    for value in block[1 : last + 1]:
        if value == 0:
            run += 1
            continue
        while run > 15:
            code, run = code + format(AC_SYMBOLS.index(0xF0), "08b"), run - 16
        size, text = bits(value)
        code, run = code + format(AC_SYMBOLS.index(run << 4 | size), "08b") + text, 0
    return code if last == 63 else code + format(AC_SYMBOLS.index(0x00), "08b")


def jpeg(components, sampling, markers=b"", ids=(1, 2, 3, 4)):
    """A baseline JPEG of those planes `(count, height, width)`, each sampled by its `(horizontal, vertical)`."""
    _, height, width = components.shape
    most_h, most_v = (max(factors) for factors in zip(*sampling))
    mcus = (-(-height // (8 * most_v)), -(-width // (8 * most_h)))
    blocks = []
    for plane, (h, v) in zip(components, sampling):
        rows, columns = mcus[0] * v * 8, mcus[1] * h * 8
        # The nearest pixel of each place: how a plane is made smaller is the encoder's affair.
        at = [np.minimum(np.arange(n) * most // own, size - 1) for n, most, own, size in
              ((rows, most_v, v, height), (columns, most_h, h, width))]
        small = plane[np.ix_(*at)] - 128
        tiles = small.reshape(rows // 8, 8, columns // 8, 8).swapaxes(1, 2)
        blocks.append((DCT @ tiles @ DCT.T / QUANTISER).round().astype(int).reshape(rows // 8, columns // 8, 64)[..., ZIGZAG])
    text, before = "", [0] * len(sampling)
    for row in range(mcus[0]):
        for column in range(mcus[1]):
            for c, (h, v) in enumerate(sampling):
                for block in blocks[c][row * v : row * v + v, column * h : column * h + h].reshape(-1, 64):
                    text, before[c] = text + block_bits(block, before[c]), block[0]
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    ids = bytes(ids[: len(sampling)])
    frame = b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, sampling))
    scan = b"".join(bytes([i, 0]) for i in ids)
    return b"".join([
        b"\xff\xd8", markers,
        segment(0xDB, b"\0" + bytes([QUANTISER]) * 64),
        segment(0xC0, struct.pack(">BHHB", 8, height, width, len(sampling)) + frame),
        segment(0xC4, b"\0" + huffman(DC_SYMBOLS, 4)), segment(0xC4, b"\x10" + huffman(AC_SYMBOLS, 8)),
        segment(0xDA, bytes([len(sampling)]) + scan + b"\0\x3f\0"), data, b"\xff\xd9",
    ])


def adobe(transform):
    return segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


JFIF = segment(0xE0, b"JFIF\0" + struct.pack(">HBHHBB", 0x0101, 0, 1, 1, 0, 0))


def factors(text):
    """`22-11-11` as pairs."""
    return [tuple(map(int, part)) for part in text.split("-")]


def write_jpegs():
    """JPEGs of three and four components, by sampling; and those that Pillow writes of four."""
    three = "11-11-11 21-11-11 12-11-11 22-11-11 41-11-11 14-11-11 42-11-11 24-11-11 22-21-21 22-12-12 22-12-21 21-11-21 " \
            "11-21-11 12-11-22 31-11-11 13-11-11 32-21-11".split()
    for sampling in three:
        (FOLDER / f"ycc-{sampling}.jpg").write_bytes(jpeg(planes(43, 37, 3), factors(sampling), JFIF))
    (FOLDER / "ycc-narrow.jpg").write_bytes(jpeg(planes(21, 3, 3), factors("22-11-11"), JFIF))
    (FOLDER / "ycc-low.jpg").write_bytes(jpeg(planes(3, 37, 3), factors("22-11-11"), JFIF))
    (FOLDER / "rgb-adobe.jpg").write_bytes(jpeg(planes(21, 37, 3), factors("11-11-11"), adobe(0)))
    (FOLDER / "rgb-ids.jpg").write_bytes(jpeg(planes(21, 37, 3), factors("11-11-11"), ids=b"RGB"))
    (FOLDER / "rgb-sampled.jpg").write_bytes(jpeg(planes(21, 37, 3), factors("11-22-11"), adobe(0)))
    four = "11-11-11-11 21-11-11-11 22-11-11-11 22-11-11-22 21-11-11-21 12-11-11-12 22-21-12-11 11-11-11-22 41-11-11-41 " \
           "31-11-11-31 32-21-11-11".split()
    for sampling in four:
        (FOLDER / f"ycck-{sampling}.jpg").write_bytes(jpeg(planes(27, 37, 4), factors(sampling), adobe(2)))
    (FOLDER / "cmyk-adobe.jpg").write_bytes(jpeg(planes(27, 37, 4), factors("22-11-11-11"), adobe(0)))
    (FOLDER / "cmyk-bare.jpg").write_bytes(jpeg(planes(27, 37, 4), factors("11-22-11-22")))
    (FOLDER / "cmyk-narrow.jpg").write_bytes(jpeg(planes(20, 4, 4), factors("22-11-11-22"), adobe(2)))
    for size in [(64, 60), (64, 64)]:
        cmyk = Image.merge("CMYK", [Image.new("L", size, level) for level in (30, 90, 150)]
                           + [Image.linear_gradient("L").rotate(90).resize(size)])
        for subsampling in (0, 1, 2):
            cmyk.save(FOLDER / f"cmyk-{size[1]}-{subsampling}.jpg", quality=90, subsampling=subsampling)
    cmyk.save(FOLDER / "cmyk-progressive.jpg", quality=90, subsampling=2, progressive=True)


def tiff(samples, photometric):
    """A TIFF, little-endian and in one strip, of `(height, width, channels)`."""
    height, width, channels = samples.shape
    depth = samples.dtype.itemsize * 8
    tags = [(256, width), (257, height), (258, depth), (259, 1), (262, photometric), (273, 0), (277, channels),
            (278, height), (279, samples.nbytes), (284, 1)]
    depths = 8 + 2 + 12 * len(tags) + 4
    values = {273: depths + 2 * channels, 258: depths if channels > 2 else depth}
    entries = b"".join(struct.pack("<HHII", tag, 3 if tag == 258 else 4, channels if tag == 258 else 1, values.get(tag, value))
                       for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 4 + struct.pack("<H", depth) * channels \
        + samples.tobytes()


def write_others():
    """Pictures of the other formats."""
    pixels = planes(19, 23, 4).astype(np.uint8).transpose(1, 2, 0)
    rgb = Image.fromarray(pixels[..., :3])
    rgb.save(FOLDER / "rgb.tif", compression="tiff_lzw")
    rgb.convert("L").save(FOLDER / "grey.tiff")
    rgb.convert("1").save(FOLDER / "bits.tif", compression="group4")
    Image.fromarray(pixels, "RGBA").save(FOLDER / "alpha.tif", compression="tiff_deflate")
    Image.fromarray(pixels, "CMYK").save(FOLDER / "cmyk.tif")
    deep = pixels.astype("<u2") * 257
    (FOLDER / "deep-rgb.tif").write_bytes(tiff(np.ascontiguousarray(deep[..., :3]), 2))
    (FOLDER / "deep-cmyk.tif").write_bytes(tiff(deep, 5))
    rgb.save(FOLDER / "rgb.ppm")
    rgb.convert("L").save(FOLDER / "grey.pgm")
    rgb.convert("1").save(FOLDER / "bits.pbm")
    rows = "\n".join(" ".join(str(v // 17) for v in row) for row in pixels[..., 0])
    (FOLDER / "text.pgm").write_text(f"P2\n# sixteen levels\n23 19\n15\n{rows}\n")
    icon = Image.fromarray(pixels, "RGBA").resize((32, 32))
    icon.save(FOLDER / "icon.ico", sizes=[(16, 16), (32, 32)])
    icon.save(FOLDER / "bitmap.ico", sizes=[(16, 16), (32, 32)], bitmap_format="bmp")
    rgb.convert("L").save(FOLDER / "lossless.webp", lossless=True)


def write_turned():
    """Pictures that say how they are to be turned."""
    drawn = Image.fromarray(planes(5, 7, 3).astype(np.uint8).transpose(1, 2, 0))

    def exif(turn):
        exif = Image.Exif()
        exif[0x0112] = turn
        return exif

    for turn in range(1, 9):
        drawn.save(FOLDER / f"turned-{turn}.png", exif=exif(turn))
    drawn.convert("L").save(FOLDER / "turned-6.jpg", exif=exif(6))
    drawn.save(FOLDER / "turned-6.webp", exif=exif(6), lossless=True)
    drawn.save(FOLDER / "turned-6.tif", tiffinfo={0x0112: 6})


def write_large():
    """JPEGs that are decoded at a fraction."""
    colour = Image.fromarray(planes(45, 61, 3).astype(np.uint8).transpose(1, 2, 0))
    colour.convert("L").save(FOLDER / "large-grey.jpg", quality=80)
    for subsampling in (0, 1, 2):
        colour.save(FOLDER / f"large-{subsampling}.jpg", quality=80, subsampling=subsampling)
    colour.save(FOLDER / "large-progressive.jpg", quality=80, progressive=True)
    colour.convert("CMYK").save(FOLDER / "large-cmyk.jpg", quality=80, subsampling=0)


def golden(name, picture):
    picture.convert("L" if picture.mode in ("1", "L") else "RGB").save(FOLDER / f"{name}.png", optimize=True)


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    write_jpegs()
    write_others()
    write_turned()
    write_large()
    for file in sorted(FOLDER.iterdir()):
        try:
            picture = Image.open(file)
            picture.load()
        except OSError as error:
            # Not every sampling is one that libjpeg decodes.
            print(f"{file.name}: {error}")
            continue
        if not file.name.startswith("large"):
            golden(file.name, picture)
        if file.name.startswith("turned"):
            golden(f"{file.name}.upright", ImageOps.exif_transpose(picture))
        for part in (2, 4, 8) if file.name.startswith("large") else ():
            picture = Image.open(io.BytesIO(file.read_bytes()))
            picture.draft(None, tuple(side // part for side in picture.size))
            golden(f"{file.name}.{part}", picture)


if __name__ == "__main__":
    main()
