"""Distances and separations that scikit-learn makes of the same features as tests/novelty.rs.

    OMP_NUM_THREADS=1 python novelty.py

Writes novelty.json. `narrow` has fewer features than pictures, one of which never varies; `wide` has more. The covariance is
LedoitWolf's of features less the mean of their class; neighbours are of features brought to length 1. Scores are rounded, so
that some of them tie.

Made with scikit-learn 1.9.1, numpy 2.4.6 and scipy 1.17.1.
"""

import json
import pathlib

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize


def plain(array):
    """As numbers of which each is its float32's shortest decimal."""
    return [[float(str(x)) for x in row] for row in array]


def reach(*distances):
    """What 99 % of the pictures are within by every distance."""
    quantile = lambda values: np.quantile(values, 0.99, method="inverted_cdf")
    alone = [quantile(values) for values in distances]
    factor = quantile(np.max([values / one for values, one in zip(distances, alone)], axis=0))
    return [factor * one for one in alone]


def distances(rng, pictures, width, constant):
    classes = rng.choice([0, 2, 5], pictures)
    centre = rng.normal(0, 2, (6, width))
    draw = lambda classes: (centre[classes] + rng.normal(0, 1, (len(classes), width)) @ rng.normal(0, 0.5, (width, width))).astype(np.float32)
    features, held_out = draw(classes), draw(rng.choice([0, 2, 5], 150))
    features[:, constant] = held_out[:, constant] = 0.75
    double = features.astype(np.float64)
    means = {c: double[classes == c].mean(0) for c in np.unique(classes)}
    fitted = LedoitWolf(assume_centered=True).fit(double - np.stack([means[c] for c in classes]))
    other = held_out.astype(np.float64)
    to_class = [np.einsum("ij,jk,ik->i", other - mean, fitted.precision_, other - mean) for mean in means.values()]
    mahalanobis = np.sqrt(np.min(to_class, axis=0))
    neighbour = NearestNeighbors(n_neighbors=1).fit(normalize(double)).kneighbors(normalize(other))[0][:, 0]
    return {
        "features": plain(features), "classes": classes.tolist(), "held_out": plain(held_out),
        "mahalanobis": mahalanobis.tolist(), "neighbour": neighbour.tolist(),
        "reach": reach(mahalanobis, neighbour),
    }


def scores(rng):
    logits = rng.normal(0, 4, (50, 7)).astype(np.float32).round(1)
    like, other = (rng.normal(centre, 1, count).round(1) for centre, count in ((0, 90), (1, 70)))
    truth, score = np.repeat([1, 0], [90, 70]), -np.concatenate([like, other])
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    double = logits.astype(np.float64)
    return {
        "logits": plain(logits), "energy": (-logsumexp(double, axis=1)).tolist(),
        "softmax": (1 - softmax(double, axis=1).max(axis=1)).tolist(),
        "like": like.tolist(), "other": other.tolist(),
        "auroc": roc_auc_score(truth, score), "fpr95": fpr[np.argmax(tpr >= 0.95)],
    }


rng = np.random.default_rng(17)
cases = {"narrow": distances(rng, 60, 6, 4), "wide": distances(rng, 20, 32, 9), "scores": scores(rng)}
(pathlib.Path(__file__).parent / "novelty.json").write_text(json.dumps(cases) + "\n")
