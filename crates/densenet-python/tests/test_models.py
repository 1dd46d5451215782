"""Loading, creating, saving and explaining networks."""

import densenet
import numpy as np
import pytest


@pytest.fixture(scope="module")
def torchvision_model():
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    torch.manual_seed(0)
    network = torchvision.models.DenseNet(16, (2, 3), 32, num_classes=4).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "norm1.bias", "norm2.bias")):
                values.normal_(0, 0.1)
    return network


@pytest.fixture
def saved(torchvision_model, tmp_path):
    import torch

    path = tmp_path / "network.pth"
    torch.save(torchvision_model.state_dict(), path)
    return path


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_file_of_torchvision_predicts_as_torchvision(torchvision_model, saved):
    import torch

    images = torch.randn(3, 3, 64, 48)
    model = densenet.load(saved)
    with torch.no_grad():
        maps = torchvision_model.features(images)
        assert close(model.logits(images), torchvision_model(images).numpy())
    features = model.features(images)
    assert close(features.pooled, maps.relu().mean((2, 3)).numpy())
    assert [block.shape[1] for block in features.blocks] == [64, 80]
    assert model.card["config"]["block_config"] == [2, 3] and model.labels[3] == "class 3"


def test_what_a_file_does_not_say_is_told(saved, files, tmp_path):
    with pytest.raises(ValueError, match="preset="):
        densenet.load(saved).predict(files)
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\ncat\ndog\n")
    for labels in (["ant", "bee", "cat", "dog"], names):
        model = densenet.load(saved, preset="imagenet", size=64, labels=labels)
        assert model.card["preprocessing"]["size"] == 64
        assert {found.label for found in model.predict(files[0])[0]} == {"ant", "bee", "cat", "dog"}
    model = densenet.load(
        saved, card={"preprocessing": {"size": 64, "mean": [0, 0, 0], "std": [1, 1, 1]}, "licence": "MIT"}
    )
    assert model.prepare(files).shape == (5, 3, 64, 64) and model.card["licence"] == "MIT"
    with pytest.raises(ValueError, match="3 class names for a network of 4"):
        densenet.load(saved, labels=["ant", "bee", "cat"])
    with pytest.raises(ValueError, match="unknown field"):
        densenet.load(saved, card={"pictures": 3})


def test_a_configuration_comes_from_the_file(cifar10):
    config = cifar10.card["config"]
    for other in (config | {"final_relu": False}, config | {"num_classes": 9}, {"final_relu": True}, {}, None):
        with pytest.raises(ValueError, match="a network's configuration comes from its file"):
            densenet.load("cifar10", card={"config": other})
    assert densenet.load("cifar10", card=cifar10.card).card == cifar10.card


def test_names_of_networks():
    model = densenet.create("densenet121", num_classes=7)
    assert model.num_parameters == 6_961_031 and repr(model) == "<densenet.Model: 6,961,031 parameters, 7 classes>"
    small = densenet.create("densenet-bc-40-12", labels=["cat", "dog"], preset="cifar10", in_channels=1, drop_rate=0.1)
    config = small.card["config"]
    assert (config["num_classes"], config["in_channels"], config["drop_rate"]) == (2, 1, 0.1)
    assert small.predict(np.zeros((2, 40, 40), np.uint8)[..., np.newaxis])[1][0].label in ("cat", "dog")
    one, other = (
        densenet.create("densenet-bc-40-12", seed=seed).logits(np.ones((1, 3, 32, 32), np.float32)) for seed in (1, 2)
    )
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match='no model is called "densenet122"; choose from seed, densenet121'):
        densenet.create("densenet122")
    with pytest.raises(FileNotFoundError, match="nothing.pth"):
        densenet.load("nothing.pth")


@pytest.mark.parametrize("name", ["densenet121", "densenet161", "densenet169", "densenet201"])
def test_a_name_is_the_network_of_timm_and_torchvision(name):
    timm, torchvision = pytest.importorskip("timm"), pytest.importorskip("torchvision")
    import torch

    with torch.device("meta"):
        for peer in (timm.create_model(name, num_classes=5), torchvision.models.get_model(name, num_classes=5)):
            assert (
                sum(value.numel() for value in peer.parameters()) == densenet.create(name, num_classes=5).num_parameters
            )


def test_files_go_back_to_torchvision_and_timm(torchvision_model, saved, tmp_path):
    import torch
    from safetensors.torch import load_file

    model = densenet.load(saved)
    model.export(tmp_path / "back.safetensors", "torchvision")
    back = load_file(tmp_path / "back.safetensors")
    for name, values in torchvision_model.state_dict().items():
        assert torch.equal(back[name], values), name
    timm = pytest.importorskip("timm")
    large = densenet.create("densenet121", num_classes=5, preset="imagenet")
    large.export(tmp_path / "timm", "timm")
    network = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert close(large.logits(images), network(images).numpy())


def test_onnx_computes_the_same(cifar10, files, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    for fold in (False, True):
        path = tmp_path / "network.onnx"
        cifar10.export(path, fold=fold, dynamic_size=True)
        session = onnxruntime.InferenceSession(path)
        found = session.run(["logits"], {"images": cifar10.prepare(files)})[0]
        assert close(found, cifar10.logits(files))


def test_files_of_its_own_keep_everything(cifar10, files, tmp_path):
    cifar10.save(tmp_path / "again.safetensors")
    again = densenet.load(tmp_path / "again.safetensors")
    assert again.card == cifar10.card and np.array_equal(again.logits(files), cifar10.logits(files))


def test_wrong_exports_are_told(cifar10, tmp_path):
    for arguments, words in [
        ((tmp_path / "a.safetensors",), "does not say the format"),
        ((tmp_path / "a.xyz", "xyz"), 'no format is called "xyz"'),
        ((tmp_path / "a", "timm"), "timm has no such network"),
    ]:
        with pytest.raises(ValueError, match=words):
            cifar10.export(*arguments)
    with pytest.raises(ValueError, match="only for the format onnx"):
        cifar10.export(tmp_path / "a", "torchvision", fold=True)
    with pytest.warns(UserWarning, match="3x3 stem"):
        cifar10.export(tmp_path / "a.safetensors", "torchvision")
    with pytest.raises(FileNotFoundError, match="missing"):
        cifar10.save(tmp_path / "missing" / "a.safetensors")


def test_a_class_map_and_the_bias_are_the_logit(cifar10, files, tmp_path):
    from safetensors.numpy import load_file

    cifar10.export(tmp_path / "weights.safetensors", "densenet")
    bias = load_file(tmp_path / "weights.safetensors")["classifier.bias"]
    logits = cifar10.logits(files[0])[0]
    for label in (None, "cat", 5):
        found = cifar10.explain(files[0], label)
        index = cifar10.labels.index(found.label)
        assert found.map.mean() + bias[index] == pytest.approx(logits[index], abs=1e-3)
    assert index == 5 and cifar10.explain(files[0]).label == cifar10.predict(files[0])[0][0].label
    against = cifar10.explain(files[0], "cat", against="dog")
    expected = cifar10.explain(files[0], "cat").map - cifar10.explain(files[0], "dog").map
    assert np.allclose(against.map, expected, atol=1e-4) and against.against == "dog"


def test_other_methods_have_maps_of_their_size(cifar10, files):
    def size(**settings):
        return cifar10.explain(files[0], "cat", **settings).map.shape

    assert size(method="grad-cam") == (8, 8) and size(method="grad-cam", block=1) == (32, 32)
    assert size(method="integrated-gradients", steps=2) == (32, 32)
    assert size(method="smooth-grad", samples=2) == (32, 32)
    assert size(method="occlusion", square=16) == (32, 32)
    logit = cifar10.logits(files[0])[0] - cifar10.logits(np.zeros((1, 3, 32, 32), np.float32))[0]
    parts = cifar10.explain(files[0], "cat", method="integrated-gradients", steps=100).map
    assert parts.sum() == pytest.approx(logit[cifar10.labels.index("cat")], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("crane",), {}, "no class is called crane; the classes are airplane"),
        ((10,), {}, "class 10 of 10"),
        ((-1,), {}, "class -1 of 10"),
        ((np.int64(10),), {}, "class 10 of 10"),
        ((True,), {}, "no class is called True"),
        ((np.True_,), {}, "no class is called True"),
        ((3.0,), {}, "no class is called 3.0"),
        (("cat",), {"against": 3}, "cat against itself"),
        (("cat",), {"against": "cat"}, "cat against itself"),
        (("cat",), {"method": "x"}, 'no method is called "x"; choose from cam'),
        (("cat",), {"method": "grad-cam", "block": 4}, "block 4; blocks are counted from 1 to 3"),
        (("cat",), {"method": "occlusion", "square": 64}, "64 pixels"),
    ],
)
def test_wrong_explanations_are_told(cifar10, files, arguments, settings, words):
    with pytest.raises(ValueError, match=words):
        cifar10.explain(files[0], *arguments, **settings)


def test_classes_are_told_by_numbers_of_any_kind(cifar10, files):
    expected = cifar10.explain(files[0], 3, against=5)
    for kind in (np.int64, np.uint8, np.array):
        found = cifar10.explain(files[0], kind(3), against=kind(5))
        assert (found.label, found.against) == ("cat", "dog") and np.array_equal(found.map, expected.map)
    likeliest = cifar10.logits(files[0])[0].argmax()
    assert cifar10.explain(files[0], likeliest).label == cifar10.explain(files[0]).label


def test_only_finite_inputs_are_explained(cifar10):
    for method in ("cam", "grad-cam", "integrated-gradients", "smooth-grad", "occlusion"):
        with pytest.raises(ValueError, match="picture 0 contains values that are not finite"):
            cifar10.explain(np.full((1, 3, 32, 32), np.inf, np.float32), "cat", method=method)


def test_one_picture_is_explained_at_a_time(cifar10, files):
    with pytest.raises(ValueError, match="5 pictures; one"):
        cifar10.explain(files)


def test_an_explanation_shows_itself(cifar10, files):
    import base64
    import io

    from PIL import Image

    why = cifar10.explain(files[0], "cat", against="dog")
    page = why._repr_html_()
    assert "cat against dog: cam" in page and page.count("<img") == 2
    encoded = [part.split('"')[0] for part in page.split("base64,")[1:]]
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(part)))) for part in encoded]
    assert np.array_equal(shown[0], why.picture) and np.array_equal(shown[1], why.overlay())
    # What the network sees is the picture, but for rounding.
    assert np.array_equal(cifar10.explain(why.picture, "cat", against="dog").map.round(3), why.map.round(3))
    y, x = np.unravel_index(why.map.argmax(), why.map.shape)
    assert shown[1][4 * y, 4 * x, 0] >= 200
    alone = cifar10.explain(np.zeros((1, 3, 64, 48), np.float32), "cat")
    assert alone.picture is None and alone._repr_html_().count("<img") == 1 and alone.overlay().shape == (16, 12, 3)
