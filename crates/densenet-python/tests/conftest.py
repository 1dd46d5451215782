"""Fixtures shared by the tests."""

from pathlib import Path

import densenet
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def cifar10() -> densenet.Model:
    return densenet.load("cifar10")


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Five pictures, (N, H, W, C), smooth enough to be told apart."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    return coarse.repeat(6, axis=1).repeat(8, axis=2)


@pytest.fixture
def files(tmp_path: Path, pixels: np.ndarray) -> list[Path]:
    """The same as files."""
    paths = [tmp_path / f"{number}.png" for number in range(len(pixels))]
    for path, picture in zip(paths, pixels):
        Image.fromarray(picture).save(path)
    return paths
