"""Predictions with Ray Data, for when one machine is not enough.

>>> import ray
>>> from densenet.ray import Predictor
>>> pictures = ray.data.read_binary_files("photos", include_paths=True)
>>> predictions = pictures.map_batches(Predictor, fn_constructor_args=["cifar10"], compute=workers, batch_size=64)
>>> predictions.write_parquet("predictions")
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import densenet
from densenet.model import BATCH

__all__ = ["Predictor"]


class Predictor:
    """A callable for Ray's `map_batches` over batches of pictures: one network per worker.

    `weights` and the other keyword arguments are those of `densenet.load`. A batch has a `column` with the contents of
    picture files, as from `ray.data.read_binary_files` (`bytes`), with paths, or with pixels, as from
    `ray.data.read_images` (`image`). In the result, `column` is replaced by the columns `label` and `probability` of
    the most likely class, or lists of them with `top` above 1. `threads` is the number of threads per worker: the CPUs
    requested from Ray."""

    def __init__(
        self,
        weights: str | os.PathLike[str],
        *,
        column: str = "bytes",
        top: int = 1,
        threads: int = 1,
        batch: int = BATCH,
        **said: Any,
    ) -> None:
        densenet.set_num_threads(threads)
        self.model = densenet.load(weights, **said)
        self.column, self.top, self.batch = column, top, batch

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        pictures = batch[self.column]
        if not (isinstance(pictures, np.ndarray) and pictures.dtype == np.uint8):
            pictures = list(pictures)
        predictions = self.model.predict(pictures, self.top, batch=self.batch)
        kept = {name: values for name, values in batch.items() if name != self.column}
        if self.top == 1:
            return kept | {
                "label": np.array([found[0].label for found in predictions], dtype=object),
                "probability": np.array([found[0].probability for found in predictions]),
            }
        return kept | {
            "label": [[found.label for found in classes] for classes in predictions],
            "probability": [[found.probability for found in classes] for classes in predictions],
        }
