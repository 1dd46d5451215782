"""Runs from Python, which are the same as the program's."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import densenet
import numpy as np
import pytest
from PIL import Image

SHORT = {"model": "densenet-bc-10-4", "epochs": 2, "batch": 8, "size": 16, "val_fraction": 0.25}


@pytest.fixture
def arrays():
    """Pictures of two classes that are easily told apart, and their classes."""
    rng = np.random.default_rng(3)
    classes = np.arange(48) % 2
    images = (
        rng.integers(0, 100, (48, 16, 16, 3), dtype=np.uint8) + (classes * 120).astype(np.uint8)[:, None, None, None]
    )
    return images, classes


@pytest.fixture
def folder(arrays, tmp_path):
    for number, (picture, name) in enumerate(zip(*arrays)):
        path = tmp_path / "photos" / ("bright" if name else "dark") / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return tmp_path / "photos"


class Heard(densenet.Callback):
    def __init__(self, last=None):
        self.steps, self.epochs, self.last = [], [], last

    def on_step(self, step):
        self.steps.append(step)
        return step["step"] != self.last

    def on_epoch(self, epoch):
        self.epochs.append(epoch)


def program(*arguments):
    command = [sys.executable, "-m", "densenet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def words(options):
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def test_a_run_is_the_program_s_to_the_bit(folder, tmp_path):
    heard = Heard()
    run = densenet.train(
        folder, out=tmp_path / "ours", callbacks=[heard], shuffle=False, color_jitter=(0.1, 0.1, 0.1, 0), **SHORT
    )
    other = program(
        "train",
        "--data",
        folder,
        "--out",
        tmp_path / "theirs",
        "--no-shuffle",
        "--color-jitter=0.1,0.1,0.1,0",
        *words(SHORT),
    )
    assert other.returncode == 0, other.stderr
    for name in ("best.safetensors", "last.safetensors", "recipe.toml"):
        assert (run.folder / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    assert run.done and repr(run).endswith("ours>")
    assert [line for line in run.log if "loss" in line] == heard.steps
    assert [line for line in run.log if "train_loss" in line] == heard.epochs and len(heard.epochs) == 2
    assert run.model.labels == ["bright", "dark"] and run.weights.name == "best.safetensors"
    page = run._repr_html_()
    assert page.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;') and "bright" in page


def test_arrays_become_files_that_a_run_can_go_on_with(arrays, tmp_path):
    run = densenet.train(arrays, out=tmp_path / "run", **SHORT)
    assert run.model.labels == ["0", "1"]
    assert (run.model.logits(arrays[0]).argmax(1) == arrays[1]).mean() > 0.9
    grey = densenet.train((arrays[0][..., 0], ["a", "b"] * 24), out=tmp_path / "grey", **SHORT)
    assert grey.model.labels == ["a", "b"] and grey.model.card["config"]["in_channels"] in (1, 3)


def written(run):
    """The files in the folder of a run's pictures, by class."""
    return {path.relative_to(run / "pictures"): path.read_bytes() for path in (run / "pictures").glob("*/*")}


def test_arrays_take_the_place_of_those_that_came_to_no_run(arrays, tmp_path):
    images, classes = arrays
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="lr"):
        densenet.train((images, 1 - classes), out=run, lr=-1, **SHORT)
    assert len(written(run)) == 48
    densenet.train((images[:40], classes[:40]), out=run, **SHORT)
    assert sorted(path.as_posix() for path in written(run)) == sorted(f"{i % 2}/{i:07}.ppm" for i in range(40))
    assert not list(run.glob("pictures-*"))


def test_the_pictures_of_a_run_stay(arrays, tmp_path):
    images, classes = arrays
    run = densenet.train((images, classes), out=tmp_path / "run", callbacks=[Heard(last=2)], **SHORT)
    before = written(run.folder)
    with pytest.raises(ValueError, match="run: holds a training run already; resume it or choose another folder"):
        densenet.train((255 - images, 1 - classes), out=run.folder, **SHORT)
    with pytest.raises(ValueError, match="arrays are for a new run"):
        densenet.train((255 - images, 1 - classes), resume=run.folder)
    assert written(run.folder) == before and densenet.train(resume=run.folder).done


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "../../out", "a/b", "a\0b", "train"])
def test_names_that_no_folder_of_a_class_can_have_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"class {name!r}: ")):
        densenet.train((np.zeros((4, 4, 4), np.uint8), ["b", name] * 2), model="seed", out=tmp_path / "runs" / "one")
    assert not list(tmp_path.iterdir())


def test_what_others_wrote_is_not_replaced(arrays, tmp_path):
    run = tmp_path / "run"
    (run / "pictures" / "cat").mkdir(parents=True)
    for path in (run / "pictures" / "cat" / "mine.png", run / "pictures" / "0000000.txt"):
        path.write_bytes(b"mine")
        with pytest.raises(ValueError, match=f"{path.name}: not written by train"):
            densenet.train(arrays, out=run, **SHORT)
        assert path.read_bytes() == b"mine"
        path.unlink()


def test_a_callback_ends_a_run_which_goes_on(folder, tmp_path):
    whole = densenet.train(folder, out=tmp_path / "whole", **SHORT)
    begun = densenet.train(folder, out=tmp_path / "begun", callbacks=[Heard(last=2)], **SHORT)
    assert not begun.done and len(begun.log) == 2 and "not done" in repr(begun)
    assert begun.weights.name == "last.safetensors"
    ended = densenet.train(resume=begun.folder)
    assert ended.done and ended.weights.read_bytes() == whole.weights.read_bytes()


def test_what_a_callback_raises_is_raised_after_the_run_is_saved(folder, tmp_path):
    class Failing(densenet.Callback):
        def on_step(self, step):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        densenet.train(folder, out=tmp_path / "run", callbacks=[Failing()], **SHORT)
    assert densenet.Run(tmp_path / "run").log and (tmp_path / "run" / "resume.safetensors").exists()


def test_ctrl_c_saves_the_run(folder, tmp_path):
    script = """if True:
        import signal, sys, densenet
        # A shell's background jobs begin with it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        class Ready(densenet.Callback):
            def on_step(self, step):
                if step["step"] == 1:
                    print("ready", flush=True)
        try:
            long = dict(model="densenet-bc-10-4", size=16, batch=8, epochs=10000)
            densenet.train(sys.argv[1], out=sys.argv[2], callbacks=[Ready()], **long)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script, folder, run], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=120)[0] == "interrupted\n"
    finally:
        process.kill()
    assert (run / "resume.safetensors").exists()


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ("nowhere", {"model": "seed"}, ValueError, "nowhere"),
        (None, {"model": "seed"}, ValueError, "a new run needs --data"),
        ((np.zeros((40, 4, 4), np.uint8), [0, 1] * 20), {}, ValueError, "a new run needs --model or --init"),
        ("cifar10", {"model": "seed", "epoch": 3}, ValueError, "--epochs"),
        ("cifar10", {"model": "seed", "epochs": "many"}, ValueError, "many"),
        ("cifar10", {"model": "seed", "seeds": 3}, ValueError, "for the command line"),
        ((np.zeros((2, 4, 4), np.uint8), [0, 1]), {"model": "seed", "out": None}, ValueError, "out="),
        ((np.zeros((2, 4, 4), np.uint8), [0, 1, 2]), {"model": "seed"}, ValueError, r"classes of shape \(3,\)"),
        ((np.zeros((2, 4, 4)), [0, 1]), {"model": "seed"}, ValueError, "float64"),
        ((np.zeros((0, 4, 4), np.uint8), []), {"model": "seed"}, ValueError, r"pictures of shape \(0, 4, 4\)"),
        ((np.zeros((2, 4, 0), np.uint8), [0, 1]), {"model": "seed"}, ValueError, r"pictures of shape \(2, 4, 0\)"),
    ],
)
def test_wrong_runs_are_told(data, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        densenet.train(data, **{"out": tmp_path / "run"} | options)


def test_the_program_comes_along(files, cifar10):
    found = program("predict", "--weights", "cifar10", "--json", *files)
    predictions = json.loads(found.stdout)["predictions"]
    expected = cifar10.predict(files)
    for prediction, classes in zip(predictions, expected):
        assert prediction["classes"][0]["label"] == classes[0].label
        assert prediction["classes"][0]["probability"] == pytest.approx(classes[0].probability, abs=1e-6)
    assert program("predict", "--what").returncode == 2
    assert program("predict", "nothing.png").returncode == 1
    assert program("--version").stdout.startswith("densenet ")


def test_notebooks_have_a_bar(folder, tmp_path, monkeypatch):
    display = pytest.importorskip("IPython.display")
    from densenet import training

    shown = []
    monkeypatch.setattr(training, "_in_notebook", lambda: True)
    monkeypatch.setattr(display.DisplayHandle, "display", lambda self, text, raw: shown.append(text["text/plain"]))
    monkeypatch.setattr(display.DisplayHandle, "update", lambda self, text, raw: shown.append(text["text/plain"]))
    densenet.train(folder, out=Path(tmp_path, "run"), **SHORT)
    assert "step 1: loss" in shown[0] and "epoch 2: train_loss" in shown[-1]
