"""How exact F(4x4, 3x3) is in float32 for several interpolation points.

Run:  python3 -m bench.points      (needs NumPy)

128 input channels of rectified normal numbers, weights of Kaiming's size; the error is relative in norm, to the sum in
float64. A plain float32 sum, channel by channel, is the measure.
"""

from __future__ import annotations

import numpy as np

CHANNELS, OUT, TILES = 128, 4, 40
POINTS = [(1.0, 2.0), (0.5, 1.0), (0.5, 1.5), (0.75, 1.5), (0.625, 1.5)]


def matrices(p: float, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`A^T`, `G` and `B^T` of the points 0, ±p, ±q and infinity."""
    points = [0.0, p, -p, q, -q]
    outputs, filters, inputs = np.zeros((4, 6)), np.zeros((6, 3)), np.zeros((6, 6))
    outputs[3, 5] = filters[5, 2] = 1
    for j, x in enumerate(points):
        others = [y for y in points if y != x]
        outputs[:, j] = x ** np.arange(4.0)
        filters[j] = x ** np.arange(3.0) / np.prod([x - y for y in others])
        inputs[j, :5] = np.poly(others)[::-1]
    inputs[5] = np.poly(points)[::-1]
    return outputs, filters, inputs


def along_both(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The transform of axes 1 and 2, added up term by term in float32 as vectors do."""
    matrix = matrix.astype(np.float32)
    for axis in (1, 2):
        moved = np.moveaxis(values, axis, 0)
        sums = [sum((m * x for m, x in zip(row, moved)), np.float32(0)) for row in matrix]
        values = np.moveaxis(np.stack(sums), 0, axis)
    return values


def main() -> None:
    rng = np.random.default_rng(0)
    tiles = np.maximum(rng.standard_normal((TILES, 6, 6, CHANNELS)), 0).astype(np.float32)
    weights = (rng.standard_normal((CHANNELS, 3, 3, OUT)) / np.sqrt(9 * CHANNELS)).astype(np.float32)
    offsets = [(i, j) for i in range(3) for j in range(3)]
    exact = sum(tiles[:, i : i + 4, j : j + 4].astype(float) @ weights[:, i, j].astype(float) for i, j in offsets)

    def error(values: np.ndarray) -> float:
        return np.linalg.norm(values - exact) / np.linalg.norm(exact)

    plain = np.zeros(exact.shape, np.float32)
    for c in range(CHANNELS):
        for i, j in offsets:
            plain += tiles[:, i : i + 4, j : j + 4, c, None] * weights[c, i, j]
    measure = error(plain)
    print(f"plain sum        {measure:.1e}")
    for p, q in POINTS:
        outputs, filters, inputs = matrices(p, q)
        at_points = np.einsum("ij,cjko,lk->ilco", filters, weights, filters).astype(np.float32)
        products = np.einsum("tijc,ijco->tijo", along_both(inputs, tiles), at_points)
        found = error(along_both(outputs, products))
        print(f"0 ±{p:<5} ±{q:<4} inf {found:.1e}, {found / measure:.1f} times the plain sum's")


if __name__ == "__main__":
    main()
