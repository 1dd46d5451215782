"""The estimators in scikit-learn's own tools."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import densenet
from densenet.sklearn import DenseNetClassifier, DenseNetFeatures
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

SMALL = {"model": "densenet-bc-10-4", "epochs": 2, "size": 16, "options": {"batch": 8, "val_fraction": 0.25}}


@pytest.fixture
def labelled(tmp_path):
    """Pictures of two classes, and their classes."""
    from PIL import Image

    rng = np.random.default_rng(3)
    classes = np.array(["dark", "light"] * 20)
    images = rng.integers(0, 100, (40, 16, 16, 3), dtype=np.uint8)
    images[classes == "light"] += 120
    paths = []
    for number, picture in enumerate(images):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(picture).save(paths[-1])
    return images, paths, classes


def test_features_feed_other_estimators(labelled):
    images, paths, classes = labelled
    features = DenseNetFeatures("cifar10", batch=7).fit(images)
    found = features.transform(images)
    assert np.array_equal(found, densenet.load("cifar10").pooled(images))
    assert np.array_equal(found, clone(features).fit_transform(paths))
    assert len(features.get_feature_names_out()) == found.shape[1]
    pipeline = make_pipeline(DenseNetFeatures("cifar10"), LogisticRegression())
    for pictures in (images, paths, np.array(paths)):
        assert cross_val_score(pipeline, pictures, classes, cv=3).min() > 0.9
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1]}, cv=2).fit(paths, classes)
    assert (search.predict(images) == classes).mean() > 0.9


def test_a_classifier_learns_from_arrays_and_paths(labelled, tmp_path):
    images, paths, classes = labelled
    for pictures in (images, paths):
        network = DenseNetClassifier(**SMALL).fit(pictures, classes)
        assert list(network.classes_) == ["dark", "light"]
        assert network.score(pictures, classes) > 0.9
        shares = network.predict_proba(images)
        assert shares.shape == (40, 2) and np.allclose(shares.sum(1), 1)
        assert ((network.decision_function(images) > 0) == (network.predict(images) == "light")).all()
    kept = DenseNetClassifier(**SMALL, out=tmp_path / "run").fit(paths, classes)
    assert (tmp_path / "run" / "report.html").exists() and kept.get_params()["epochs"] == 2


def test_cross_validation_and_calibration(labelled):
    images, _, classes = labelled
    network = DenseNetClassifier(**SMALL)
    assert cross_val_score(network, images, classes, cv=2).min() > 0.8
    calibrated = CalibratedClassifierCV(network, cv=2).fit(images, classes)
    assert calibrated.predict_proba(images).shape == (40, 2)
    assert (calibrated.predict(images) == classes).mean() > 0.8


def test_one_class_is_refused(labelled):
    images, *_ = labelled
    with pytest.raises(ValueError, match="1 class; a classifier needs two"):
        DenseNetClassifier(**SMALL).fit(images, ["dark"] * 40)
