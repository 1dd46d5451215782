"""What in a picture supports a class, displayed in notebooks."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: The colours of places that support the class, and of those that oppose it.
_FOR, _AGAINST = np.array([230.0, 80.0, 0.0]), np.array([0.0, 90.0, 230.0])

#: The least height and width of a picture that is shown.
_SHOWN = 224


@dataclass(frozen=True)
class Explanation:
    """A map of what in a picture supports a class."""

    #: (H, W); for cam and integrated-gradients in units of the logit.
    map: NDArray[np.float32] = field(repr=False)
    #: The class that is explained.
    label: str
    #: The class that it is compared with.
    against: str | None
    method: str
    #: The part of the picture that the network sees, (H, W, C), if it is known how pictures are prepared.
    picture: NDArray[np.uint8] | None = field(repr=False)

    def overlay(self) -> NDArray[np.uint8]:
        """The map over the picture, (H, W, 3): orange where it is above 0, blue where it is below."""
        if self.picture is None:
            picture = np.full((*self.map.shape, 3), 255.0)
        else:
            picture = np.broadcast_to(self.picture, (*self.picture.shape[:2], 3)).astype(np.float64)
        height, width = picture.shape[:2]
        rows = np.arange(height) * self.map.shape[0] // height
        columns = np.arange(width) * self.map.shape[1] // width
        values = self.map[rows][:, columns] / max(float(np.abs(self.map).max()), 1e-30)
        colour = np.where(values[..., np.newaxis] > 0, _FOR, _AGAINST)
        share = 0.8 * np.abs(values)[..., np.newaxis]
        return ((1 - share) * picture + share * colour).round().astype(np.uint8)

    def _repr_html_(self) -> str:
        overlay = self.overlay()
        pictures = [overlay] if self.picture is None else [np.broadcast_to(self.picture, overlay.shape), overlay]
        scale = -(-_SHOWN // max(overlay.shape[:2]))
        size = f"width: {scale * overlay.shape[1]}px; image-rendering: pixelated"
        images = "".join(f'<img style="{size}" src="data:image/png;base64,{_png(shown)}"> ' for shown in pictures)
        against = "" if self.against is None else f" against {self.against}"
        return (
            f"<figure>{images}<figcaption>{html.escape(f'{self.label}{against}: {self.method}')}</figcaption></figure>"
        )


def _png(pixels: NDArray[np.uint8]) -> str:
    """A PNG file of (H, W, 3) in base64."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()
