"""Figures that scikit-learn and torchmetrics make of the same logits as tests/metrics.rs.

    OMP_NUM_THREADS=1 python metrics.py

Writes metrics/NAME.json: logits, what is right (a class a picture, or labels that are true, false or null, not known), and
the figures. Logits are float32; everything else is computed in float64 from them.

Rows come twice, so that scores tie; classes3 has a class without a picture, labels5 one label without a positive picture and
one that is never known.

Made with scikit-learn 1.9.1, torchmetrics 1.9.0, torch 2.15.0, numpy 2.4.6 and scipy 1.17.1.
"""

import json
import pathlib
import warnings

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit, softmax
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification.calibration_error import _ce_compute

FOLDER = pathlib.Path(__file__).parent / "metrics"
BINS = 15


def area(function, truth, scores, defined):
    return float(function(truth, scores)) if defined else None


def one(found, truth, scores):
    """Figures of a class against all others, or of a label."""
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, found, average="binary", zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "support": int(truth.sum()),
        "accuracy": float(sk.accuracy_score(truth, found)),
        "auc": area(sk.roc_auc_score, truth, scores, 0 < truth.sum() < len(truth)),
        "average_precision": area(sk.average_precision_score, truth, scores, truth.sum() > 0),
    }


def means(per_class):
    mean = lambda key: float(np.mean([c[key] for c in per_class if c[key] is not None]))
    return {key: mean(key) for key in ["auc", "average_precision"]}


def calibration(confidence, right):
    """torchmetrics rounds to float32 before it bins; this is the function that it calls then."""
    confidence, right = torch.tensor(confidence), torch.tensor(right, dtype=torch.float64)
    accuracies, confidences = calibration_curve(right.numpy(), confidence.numpy(), n_bins=BINS)
    bins = [list(pair) for pair in zip(confidences.tolist(), accuracies.tolist())]
    return {"ece": float(_ce_compute(confidence, right, BINS, norm="l1")), "filled_bins": bins}


def best_temperature(loss):
    """Of the summed loss and the prior b - ln b, of which b is one over the temperature."""
    def slope(logarithm):
        inverse = torch.tensor(np.exp(-logarithm), dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(loss(inverse) + inverse - torch.log(inverse), inverse)[0].item()

    return float(np.exp(brentq(slope, -4, 4, xtol=1e-13)))


def classes(name, logits, truth, temperature=1.0):
    count = logits.shape[1]
    scores = softmax(logits.astype(np.float64) / temperature, axis=1)
    found = scores.argmax(axis=1)
    per_class = [one(found == c, truth == c, scores[:, c]) for c in range(count)]
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, found, average="macro", zero_division=0)
    tensor, target = torch.tensor(logits, dtype=torch.float64), torch.tensor(truth)
    ranked = {"top5": float(sk.top_k_accuracy_score(truth, scores, k=5, labels=range(count)))} if count > 5 else {}
    write(name, logits, truth.tolist(), temperature, {
        "correct": int((found == truth).sum()),
        "top1": float(sk.accuracy_score(truth, found)),
        **ranked,
        "loss": torch.nn.functional.cross_entropy(tensor / temperature, target).item(),
        "precision": float(precision), "recall": float(recall), "f1": float(f1),
        "brier": float(sk.brier_score_loss(truth, scores, labels=range(count))),
        **means(per_class),
        **calibration(scores.max(axis=1), found == truth),
        "per_class": per_class,
        "confusion": sk.confusion_matrix(truth, found, labels=range(count)).tolist(),
        "best_temperature": best_temperature(lambda b: torch.nn.functional.cross_entropy(tensor * b, target, reduction="sum")),
    })


def labels(name, logits, truth, temperature=1.0):
    """Of float truths, NaN is not known."""
    scores = expit(logits.astype(np.float64) / temperature)
    known = ~np.isnan(truth)
    columns = [(known[:, c], truth[known[:, c], c] == 1, scores[known[:, c], c]) for c in range(truth.shape[1])]
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "accuracy": 0.0, "auc": None,
               "average_precision": None}
    per_class = [one(p >= 0.5, t, p) if k.any() else nothing for k, t, p in columns]
    taken = [c for c, (k, _, _) in zip(per_class, columns) if k.any()]
    right, p = truth[known] == 1, scores[known]
    tensor, target = torch.tensor(logits[known], dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    rows = [[None if np.isnan(t) else bool(t) for t in row] for row in truth]
    write(name, logits, rows, temperature, {
        "accuracy": float(sk.accuracy_score(right, p >= 0.5)),
        "loss": loss(tensor / temperature, target).item(),
        **{key: float(np.mean([c[key] for c in taken])) for key in ["precision", "recall", "f1"]},
        "brier": float(sk.brier_score_loss(right, p)),
        **means(per_class),
        **calibration(p, right),
        "per_class": per_class,
        "best_temperature": best_temperature(lambda b: loss(tensor * b, target, reduction="sum")),
    })


def write(name, logits, truth, temperature, figures):
    case = {"logits": [[float(str(x)) for x in row] for row in logits], "truth": truth, "temperature": temperature, "figures": figures}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(case) + "\n")


def noise(random, count, names, right, strength):
    """Logits of 3 decimals that are higher by `strength` where `right`; the last third repeats the first."""
    logits = random.normal(size=(count, names)) * 2 + strength * right
    logits[-(count // 3):] = logits[: count // 3]
    return logits.round(3).astype(np.float32)


def main():
    warnings.simplefilter("error")
    random = np.random.default_rng(7)
    truth = random.integers(0, 7, 60)
    classes("classes7", noise(random, 60, 7, np.eye(7)[truth], 2.5), truth)
    truth = random.choice([0, 2], 30)
    classes("classes3", noise(random, 30, 3, np.eye(3)[truth], 2.0), truth, temperature=1.75)
    truth = random.integers(0, 2, 30)
    classes("classes2", noise(random, 30, 2, np.eye(2)[truth], 3.0), truth)
    truth = (random.random((45, 5)) < [0.5, 0.3, 0.1, 0.0, 0.5]).astype(float)
    logits = noise(random, 45, 5, 2 * truth - 1, 1.5)
    truth[random.random(truth.shape) < 0.2] = np.nan
    truth[:, 4] = np.nan
    labels("labels5", logits, truth, temperature=0.8)


if __name__ == "__main__":
    main()
