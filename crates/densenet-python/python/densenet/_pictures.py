"""Converting the forms that pictures have in Python into those that the native half takes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

#: Pictures that are not normalised yet: paths, file contents, and pixels (H, W, C).
Pictures = list[Union[str, bytes, "NDArray[np.uint8]"]]

#: The EXIF tag of a picture's orientation.
ORIENTATION = 0x0112


def taken(pictures: Any) -> Pictures | NDArray[np.float32]:
    """Pictures to be prepared, or, if they are floating-point numbers, the network's inputs (N, C, H, W)."""
    if _is_single(pictures):
        return [_picture(pictures)]
    if _is_tensor(pictures) or isinstance(pictures, np.ndarray):
        array = _array(pictures)
        if np.issubdtype(array.dtype, np.floating):
            return _inputs(array)
        return _pixels(array)
    if not isinstance(pictures, Iterable):
        raise TypeError(f"{type(pictures).__name__} is not a picture; {_TAKEN}")
    pictures = list(pictures)
    if pictures and all(_is_float(picture) for picture in pictures):
        return _inputs(np.stack([_array(picture) for picture in pictures]))
    return [_picture(picture) for picture in pictures]


_TAKEN = (
    "pictures are paths, bytes of picture files, PIL pictures, uint8 arrays (N, H, W, C) or tensors (N, C, H, W), or "
    "floating-point arrays or tensors (N, C, H, W), which are network inputs, already normalised"
)


def _is_single(picture: Any) -> bool:
    return isinstance(picture, (str, bytes, os.PathLike)) or _is_pil(picture)


def _is_pil(picture: Any) -> bool:
    return hasattr(picture, "getexif") and hasattr(picture, "tobytes")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _is_float(picture: Any) -> bool:
    return (_is_tensor(picture) or isinstance(picture, np.ndarray)) and np.issubdtype(
        _array(picture).dtype, np.floating
    )


def _array(value: Any) -> NDArray[Any]:
    """An array over the memory of an array or tensor; tensors of pixels are changed from channels first to last."""
    if not _is_tensor(value):
        return value
    tensor = value.detach().cpu()
    # NumPy has no bfloat16.
    array = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
    channels_first = array.dtype == np.uint8 and array.ndim >= 3
    return np.moveaxis(array, -3, -1) if channels_first else array


def _inputs(array: NDArray[Any]) -> NDArray[np.float32]:
    if array.ndim == 3:
        array = array[np.newaxis]
    if array.ndim != 4:
        raise ValueError(f"floating-point pictures of shape {array.shape}; (N, C, H, W) is needed")
    return np.ascontiguousarray(array, dtype=np.float32)


def _pixels(array: NDArray[Any]) -> Pictures:
    if array.dtype != np.uint8:
        raise TypeError(f"pictures of {array.dtype}; {_TAKEN}")
    if array.ndim in (2, 3) and not (array.ndim == 3 and array.shape[-1] not in (1, 3)):
        return [_picture(array)]
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise ValueError(f"pixels of shape {array.shape}; (N, H, W, C), or (H, W, C) for one picture, is needed")
    return list(array)


def _picture(picture: Any) -> str | bytes | NDArray[np.uint8]:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return os.fspath(picture)
    if _is_pil(picture):
        return _of_pil(picture)
    if not (_is_tensor(picture) or isinstance(picture, np.ndarray)):
        raise TypeError(f"{type(picture).__name__} is not a picture; {_TAKEN}")
    array = _array(picture)
    if array.dtype != np.uint8:
        raise TypeError(f"a picture of {array.dtype} among others; {_TAKEN}")
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3:
        raise ValueError(f"a picture's pixels of shape {array.shape}; (H, W, C) is needed")
    return array


def _of_pil(picture: Any) -> bytes | NDArray[np.uint8]:
    """Pixels, or a file if the picture has more than pixels: transparency, 16 bits, an orientation."""
    plain = picture.mode in ("L", "RGB") and "transparency" not in picture.info
    if plain and picture.getexif().get(ORIENTATION, 1) == 1:
        pixels = np.asarray(picture)
        return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, exif=picture.getexif())
    return file.getvalue()
