"""The map of WORLD/map.html keeps the neighbours of WORLD/f.npy as well as scikit-learn's: tsne.py WORLD."""

import re
import sys
from pathlib import Path

import numpy as np
from sklearn.manifold import TSNE, trustworthiness

TOLERANCE = 0.01

world = Path(sys.argv[1])
features = np.load(world / "f.npy")
features /= np.linalg.norm(features, axis=1, keepdims=True)
circles = re.findall(r'<circle [^>]*cx="([^"]*)" cy="([^"]*)"[^>]*data-tip', (world / "map.html").read_text())
ours = np.array(circles, dtype=float)
assert len(ours) == len(features), ours.shape
theirs = TSNE(init="pca", perplexity=30, random_state=0).fit_transform(features)
found, wanted = (trustworthiness(features, places) for places in (ours, theirs))
shuffled = trustworthiness(features, ours[np.random.default_rng(0).permutation(len(ours))])
print(f"trustworthiness: {found:.4f}, of scikit-learn's map {wanted:.4f}, of places at random {shuffled:.4f}")
assert found >= wanted - TOLERANCE and shuffled < 0.6
