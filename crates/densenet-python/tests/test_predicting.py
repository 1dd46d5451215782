"""Pictures of all kinds, and their predictions."""

import io
import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import densenet
import numpy as np
import pytest
from PIL import Image


def test_a_picture_is_the_same_however_it_comes(cifar10, pixels, files):
    expected = cifar10.logits(files)
    assert expected.shape == (5, 10) and expected.dtype == np.float32
    forms = {
        "strings": [str(path) for path in files],
        "bytes": [path.read_bytes() for path in files],
        "PIL": [Image.open(path) for path in files],
        "array": pixels,
        "arrays": list(pixels),
        "strided array": np.asfortranarray(pixels),
        "inputs": cifar10.prepare(files),
        "doubles": cifar10.prepare(files).astype(np.float64),
        "list of inputs": list(cifar10.prepare(files)),
        "generator": (path for path in files),
    }
    for name, pictures in forms.items():
        assert np.array_equal(cifar10.logits(pictures), expected), name
    for batch in (1, 2, 100):
        assert np.array_equal(cifar10.logits(files, batch=batch), expected), batch
    assert np.array_equal(cifar10.logits(files[0]), expected[:1])
    assert np.array_equal(cifar10.logits(pixels[0]), expected[:1])


def test_tensors_are_pictures(cifar10, pixels):
    torch = pytest.importorskip("torch")
    expected = cifar10.logits(pixels)
    channels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    inputs = torch.from_numpy(cifar10.prepare(pixels)).requires_grad_()
    other_layout = inputs.contiguous(memory_format=torch.channels_last)
    forms = [channels_first, channels_first.contiguous(), list(channels_first), inputs, other_layout]
    for pictures in forms:
        assert np.array_equal(cifar10.logits(pictures), expected)


def test_what_pixels_do_not_say_comes_along_from_pil(tmp_path, pixels):
    seen = np.dstack(
        [pixels[0], np.linspace(0, 255, pixels[0].size // 3).astype(np.uint8).reshape(pixels[0].shape[:2])]
    )
    transparent, turned = Image.fromarray(seen), Image.fromarray(pixels[0])
    deep = Image.fromarray(np.linspace(0, 65535, 1600).astype(np.uint16).reshape(40, 40))
    turned.getexif()[0x0112] = 6
    rules = {"orientation": "apply", "transparency": "white"}
    plain = densenet.load("cifar10").card["preprocessing"]
    model = densenet.load("cifar10", card={"preprocessing": plain | rules})
    for name, picture in {"transparent": transparent, "turned": turned, "deep": deep}.items():
        path = tmp_path / f"{name}.png"
        picture.save(path, exif=picture.getexif())
        assert np.array_equal(model.logits(picture), model.logits(path)), name
        assert not np.array_equal(model.logits(picture), model.logits(np.asarray(picture.convert("RGB")))), name
    assert np.array_equal(model.logits(turned), model.logits(turned.transpose(Image.Transpose.ROTATE_270)))


def test_predictions_are_probabilities_with_names(cifar10, files):
    predictions = cifar10.predict(files, top=3)
    logits = cifar10.logits(files).astype(np.float64) / cifar10.card.get("output", {}).get("temperature", 1)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(cifar10.probabilities(files), shares, atol=1e-6)
    assert [len(classes) for classes in predictions] == [3] * 5
    for classes, row in zip(predictions, shares):
        assert [found.number for found in classes] == list(np.argsort(-row)[:3])
        for label, probability, index in classes:
            assert label == cifar10.labels[index] and probability == pytest.approx(row[index], abs=1e-6)
    assert len(cifar10.predict(files[0], top=99)[0]) == 10


def test_features_are_pooled_and_of_each_block(cifar10, files):
    features = cifar10.features(files)
    assert np.array_equal(features.pooled, cifar10.pooled(files))
    assert np.array_equal(features.pooled, cifar10.pooled(cifar10.prepare(files), batch=2))
    assert len(features.blocks) == 3 and [block.shape[2] for block in features.blocks] == [32, 16, 8]


def test_no_pictures_are_no_rows(cifar10):
    assert cifar10.logits([]).shape == (0, 10) and cifar10.predict([]) == []


def inputs(place=0, value=0.0, size=(32, 32)):
    """Three inputs, with one value of one of them set."""
    images = np.zeros((3, 3, *size), np.float32)
    images[place, ..., -1:] = value
    return images


@pytest.mark.parametrize(
    ("pictures", "error", "words"),
    [
        ("nothing.png", FileNotFoundError, "nothing.png"),
        ([3], TypeError, "int is not a picture"),
        (3, TypeError, "int is not a picture"),
        (b"no picture", ValueError, "picture 0"),
        (np.zeros((2, 8, 8, 2), np.uint8), ValueError, "2 channels"),
        (np.zeros((2, 8, 8, 3), np.int64), TypeError, "int64"),
        (np.zeros((2, 1, 32, 32), np.float32), ValueError, "1 channels"),
        (np.zeros((8, 8), np.float32), ValueError, r"\(8, 8\)"),
        (np.zeros((1, 1, 1, 1, 1), np.uint8), ValueError, r"\(1, 1, 1, 1, 1\)"),
        (inputs(size=(0, 0)), ValueError, "picture size 0x0"),
        (inputs(size=(0, 32)), ValueError, "picture size 0x32"),
        (inputs(size=(32, 0)), ValueError, "picture size 32x0"),
        (inputs(1, np.nan), ValueError, "picture 1 contains values that are not finite"),
        (inputs(2, np.inf), ValueError, "picture 2 contains values that are not finite"),
        (list(inputs(0, -np.inf)), ValueError, "picture 0 contains values that are not finite"),
        (inputs(2, np.inf).swapaxes(2, 3).astype(np.float64), ValueError, "picture 2 contains values"),
    ],
)
def test_wrong_pictures_are_told(cifar10, pictures, error, words):
    for method in (cifar10.logits, cifar10.pooled):
        with pytest.raises(error, match=words):
            method(pictures)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (inputs()[:0], "no pictures"),
        (inputs(size=(0, 0)), "picture size 0x0"),
        (inputs(1, np.nan), "picture 1 contains values that are not finite"),
    ],
)
def test_wrong_inputs_have_no_features(cifar10, images, words):
    with pytest.raises(ValueError, match=words):
        cifar10.features(images)


def test_other_threads_run_meanwhile(cifar10, pixels):
    gate, ran = threading.Event(), []
    other = threading.Thread(target=lambda: (gate.wait(), ran.append(True)))
    before = sys.getswitchinterval()
    # No thread is made to wait for another: the other runs if this one lets it.
    sys.setswitchinterval(1000)
    try:
        other.start()
        inputs = np.zeros((64, 3, 32, 32), np.float32)
        gate.set()
        cifar10.logits(inputs)
        found = list(ran)
    finally:
        sys.setswitchinterval(before)
        other.join()
    assert found


def test_ctrl_c_ends_a_long_prediction():
    script = """if True:
        import signal, numpy, densenet
        # A shell's background jobs begin with it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        model = densenet.load("cifar10")
        pictures = [numpy.zeros((32, 32, 3), numpy.uint8)] * 1_000_000
        try:
            print("ready", flush=True)
            model.logits(pictures, batch=2)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=60)[0] == "interrupted\n"
    finally:
        program.kill()


def test_threads_are_set_in_one_place(cifar10, pixels):
    before, expected = densenet.get_num_threads(), cifar10.logits(pixels)
    try:
        for count in (1, 3):
            densenet.set_num_threads(count)
            assert densenet.get_num_threads() == count
            assert np.array_equal(cifar10.logits(pixels), expected)
    finally:
        densenet.set_num_threads(before)
    with pytest.raises(ValueError, match="0 threads; use from 1 to 1024"):
        densenet.set_num_threads(0)


def test_a_forked_process_has_threads_of_its_own(cifar10, pixels):
    expected = cifar10.logits(pixels)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(cifar10.logits, (pixels,)).get(timeout=60)
    assert np.array_equal(found, expected)


def test_a_model_is_pickled(cifar10, pixels):
    file = io.BytesIO()
    pickle.dump(cifar10, file)
    file.seek(0)
    again = pickle.load(file)
    assert again.card == cifar10.card and np.array_equal(again.logits(pixels), cifar10.logits(pixels))


def test_a_network_predicts_with_fewer_bits(cifar10, tmp_path):
    # Photographs: noise is far from what the scales without data are for.
    root = Path(__file__).parents[3]
    photographs = ("docs/guide/pictures/cat.jpg", "crates/densenet/tests/goldens/preprocessing/dress.jpg")
    pixels = np.stack([np.asarray(Image.open(root / path).convert("RGB").resize((48, 48))) for path in photographs])
    assert cifar10.precision == "f32"
    file = tmp_path / "int8.safetensors"
    subprocess.run([sys.executable, "-m", "densenet", "quantize", "--weights", "cifar10", "--out", file], check=True)
    expected = cifar10.logits(pixels)
    for weights, precision, found in (
        (file, None, {"int8"}),
        (file, "int8", {"int8"}),
        (file, "f32", {"f32"}),
        (file, "bf16", {"bf16", "f32"}),
        ("cifar10", "bf16", {"bf16", "f32"}),
    ):
        model = densenet.load(weights, precision=precision)
        assert model.precision in found
        with pytest.raises(ValueError, match="picture 1 contains values that are not finite"):
            model.logits(inputs(1, np.nan))
        logits = model.logits(pixels)
        assert np.linalg.norm(logits - expected) < 0.1 * np.linalg.norm(expected)
        again = pickle.loads(pickle.dumps(model))
        assert again.precision == model.precision and np.array_equal(again.logits(pixels), logits)
    with pytest.raises(ValueError, match="holds no integers"):
        densenet.load("cifar10", precision="int8")
    with pytest.raises(ValueError, match='precision "fp16"; choose from int8, bf16 and f32'):
        densenet.load("cifar10", precision="fp16")
