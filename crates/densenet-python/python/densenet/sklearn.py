"""scikit-learn estimators for pictures.

Pictures are paths, or uint8 arrays (N, H, W, C); both work with `Pipeline`, `cross_val_score`, `GridSearchCV` and
`CalibratedClassifierCV`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from densenet import training
from densenet.model import BATCH, Model, load

__all__ = ["DenseNetClassifier", "DenseNetFeatures"]


def _tagged(tags: Any) -> Any:
    """The tags of an estimator for pictures, which are not tables of numbers."""
    tags.input_tags.two_d_array = False
    tags.input_tags.string = True
    tags.no_validation = True
    return tags


class DenseNetFeatures(TransformerMixin, BaseEstimator):
    """The classifier's input in a trained network, as features for other estimators.

        >>> make_pipeline(DenseNetFeatures("cifar10"), LogisticRegression()).fit(pictures, classes)

    The parameters are those of `densenet.load`, and `batch`, the number of pictures that go through the network at a
    time.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "cifar10",
        *,
        preset: str | None = None,
        size: int | None = None,
        card: dict[str, Any] | None = None,
        batch: int = BATCH,
    ) -> None:
        self.weights = weights
        self.preset = preset
        self.size = size
        self.card = card
        self.batch = batch

    def fit(self, X: Any, y: Any = None) -> DenseNetFeatures:
        """Loads the network; nothing is learned."""
        self.model_ = load(self.weights, preset=self.preset, size=self.size, card=self.card)
        self._n_features_out = self.model_.num_features
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """(N, features)."""
        check_is_fitted(self)
        return self.model_.pooled(_pictures(X), batch=self.batch)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """`densenet0`, `densenet1`, ..."""
        check_is_fitted(self)
        return np.array([f"densenet{number}" for number in range(self._n_features_out)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        return _tagged(super().__sklearn_tags__())


class DenseNetClassifier(ClassifierMixin, BaseEstimator):
    """A network that `fit` trains, as `densenet.train` does.

        >>> DenseNetClassifier(init="cifar10", recipe="finetune", epochs=5).fit(pictures, classes)

    `recipe`, `model`, `init`, `epochs`, `size` and `seed` are those of `densenet.train`; `options` holds others, e.g.
    `{"lr": 0.01, "batch": 16}`. `out` is the folder of the run, which is kept; without it a temporary one is used. Part
    of the pictures is held out for choosing the best epoch and calibrating it, as in every run."""

    def __init__(
        self,
        *,
        recipe: str | os.PathLike[str] | None = None,
        model: str | None = None,
        init: str | os.PathLike[str] | None = None,
        epochs: int | None = None,
        size: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        out: str | os.PathLike[str] | None = None,
        batch: int = BATCH,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.init = init
        self.epochs = epochs
        self.size = size
        self.seed = seed
        self.options = options
        self.out = out
        self.batch = batch

    def fit(self, X: Any, y: Any) -> DenseNetClassifier:
        """Trains a network."""
        pictures, classes = _pictures(X), np.asarray(y)
        self.classes_, numbers = np.unique(classes, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{len(self.classes_)} class; a classifier needs two or more")
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary, "run") if self.out is None else Path(self.out)
            data: Any
            if isinstance(pictures, np.ndarray):
                data = (pictures, numbers)
            else:
                data = _linked(pictures, numbers, Path(temporary, "pictures"))
            run = training.train(
                data,
                recipe=self.recipe,
                model=self.model,
                init=self.init,
                epochs=self.epochs,
                size=self.size,
                seed=self.seed,
                out=out,
                **(self.options or {}),
            )
            self.model_: Model = run.model
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """(N, classes), in the order of `classes_`."""
        check_is_fitted(self)
        return self.model_.probabilities(_pictures(X), batch=self.batch)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """The logits, (N, classes); for two classes the second's minus the first's, (N,)."""
        check_is_fitted(self)
        logits = self.model_.logits(_pictures(X), batch=self.batch).astype(np.float64)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each picture."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def __sklearn_tags__(self) -> Any:
        return _tagged(super().__sklearn_tags__())


def _pictures(X: Any) -> NDArray[np.uint8] | list[str]:
    """Pixels, or paths, which others may have put into an array."""
    if isinstance(X, np.ndarray) and X.dtype == np.uint8:
        return X
    return [os.fspath(path) for path in X]


def _linked(paths: Sequence[str], classes: NDArray[Any], folder: Path) -> Path:
    """A folder of classes with the pictures, under unique names."""
    digits = len(str(classes.max()))
    for number, (path, name) in enumerate(zip(paths, classes)):
        link = folder / str(name).zfill(digits) / f"{number:07}{Path(path).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.symlink_to(Path(path).absolute())
        except OSError:
            shutil.copyfile(path, link)
    return folder
