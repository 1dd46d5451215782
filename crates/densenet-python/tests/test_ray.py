"""Predictions with Ray Data on this machine."""

import os

import pytest

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from densenet.ray import Predictor


@pytest.fixture(scope="module")
def cluster():
    # Two workers and one that reads.
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def predictions(kind, folder, arguments, **named):
    pictures = ray.data.read_binary_files(str(folder), include_paths=True, override_num_blocks=5)
    mapped = pictures.map_batches(
        kind,
        fn_constructor_args=arguments,
        fn_constructor_kwargs=named,
        compute=ray.data.ActorPoolStrategy(size=2),
        batch_size=2,
    )
    return {os.path.basename(row["path"]): row for row in mapped.take_all()}


def test_predictions_are_those_of_one_machine(cluster, files, cifar10):
    found = predictions(Predictor, files[0].parent, ["cifar10"])
    assert len(found) == len(files)
    for path, classes in zip(files, cifar10.predict(files)):
        row = found[path.name]
        assert (row["label"], row["probability"]) == (classes[0].label, classes[0].probability) and "bytes" not in row
    several = predictions(Predictor, files[0].parent, ["cifar10"], top=3)
    for path, classes in zip(files, cifar10.predict(files, top=3)):
        assert list(several[path.name]["label"]) == [label for label, _, _ in classes]


def test_a_killed_worker_loses_nothing(cluster, files, cifar10, tmp_path_factory):
    marker = tmp_path_factory.mktemp("marker") / "died"

    # Workers cannot import this module; what is defined here travels with the work.
    class Dying(Predictor):
        def __call__(self, batch):
            if not os.path.exists(marker):
                open(marker, "w").close()
                os.kill(os.getpid(), 9)
            return super().__call__(batch)

    found = predictions(Dying, files[0].parent, ["cifar10"])
    assert marker.exists()
    for path, classes in zip(files, cifar10.predict(files)):
        assert found[path.name]["label"] == classes[0].label
