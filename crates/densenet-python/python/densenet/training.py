"""Training, as with the program."""

from __future__ import annotations

import html
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densenet import _densenet
from densenet.model import Model, load

PathLike = str | os.PathLike[str]

#: Time between updates of a progress bar, in seconds.
_BAR_EVERY = 0.2

#: The file that a run resumes from; where it exists, there is a run.
_RESUME = "resume.safetensors"

#: The names of pictures that were arrays.
_PICTURE = re.compile(r"[0-9]{7,}\.p[gp]m")


class Callback:
    """Observes a run. A method that returns False ends the run, after it is saved."""

    def on_step(self, step: dict[str, Any]) -> bool | None:
        """After every step: `step`, `epoch`, `loss` and `lr`, as in the run's log."""

    def on_epoch(self, epoch: dict[str, Any]) -> bool | None:
        """After every epoch: `epoch`, `train_loss`, `val_loss`, `val_top1` and others, as in the run's log."""


class Run:
    """A training run: its folder and what is in it."""

    def __init__(self, folder: PathLike, done: bool = True) -> None:
        self.folder = Path(folder)
        #: Whether it finished. Otherwise `train(resume=run.folder)` resumes it.
        self.done = done

    @property
    def weights(self) -> Path:
        """The file with the best weights, or the newest if no epoch is done."""
        best = self.folder / "best.safetensors"
        return best if best.exists() else self.folder / "last.safetensors"

    @property
    def model(self) -> Model:
        """The best network."""
        return load(self.weights)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log: one per step, and one per epoch, which has a `train_loss`."""
        with open(self.folder / "log.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @property
    def report(self) -> Path:
        """The report page of the run, which notebooks display."""
        return self.folder / "report.html"

    def __repr__(self) -> str:
        return f"<densenet.Run in {self.folder}{'' if self.done else ', not done'}>"

    def _repr_html_(self) -> str:
        page = html.escape(self.report.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 1px solid #ccc"></iframe>'


def train(
    data: PathLike | tuple[NDArray[np.uint8], Sequence[Any]] | None = None,
    *,
    recipe: PathLike | None = None,
    out: PathLike | None = None,
    resume: PathLike | None = None,
    callbacks: Iterable[Callback] = (),
    **options: Any,
) -> Run:
    """Trains a network: the same run, files and bits as with `densenet train`.

    `data` is a folder of classes, a table of pictures (`.csv`), a named data set (`cifar10`), or pictures and their
    classes as arrays: uint8 (N, H, W, C) or (N, H, W), and N numbers or names. Arrays are written into the run's
    folder, so that it can be resumed, and replace those of an earlier call that did not start a run.

    `recipe` is a recipe's name or file, and `options` are those of the program, by name: `model="densenet121"`,
    `init="cifar10"`, `epochs=3`, `lr=0.1`, `batch=64`, `size=96`, `shuffle=False`, ... `resume` is the folder of a run
    to resume. Ctrl-C saves the run and raises KeyboardInterrupt.

        >>> run = densenet.train("photos", recipe="finetune", init="cifar10", out="runs/photos", epochs=5)
        >>> run.model.predict("new.jpg")
    """
    arguments = _arguments({"recipe": recipe, "out": out, "resume": resume, **options})
    if isinstance(data, tuple):
        if resume is not None:
            raise ValueError("arrays are for a new run; resume= uses those that are in the run's folder")
        if out is None:
            raise ValueError("arrays are written into the run's folder; give it with out=")
        data = _written(*data, Path(out))
    if data is not None:
        arguments += ["--data", os.fspath(data)]
    heard = list(callbacks)
    if _in_notebook():
        heard.append(_Bar())
    return Run(*_densenet.train(arguments, lambda kind, line: _tell(heard, kind, json.loads(line))))


def _tell(callbacks: list[Callback], kind: str, line: dict[str, Any]) -> bool:
    # All of them are called, whatever the first returns.
    answers = [getattr(callback, f"on_{kind}")(line) for callback in callbacks]
    return all(answer is not False for answer in answers)


def _arguments(options: dict[str, Any]) -> list[str]:
    """Options as command line arguments."""
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or (value is False and name != "shuffle") or (name == "shuffle" and value is True):
            continue
        if name == "shuffle":
            words.append("--no-shuffle")
        elif value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words.append(f"{option}={','.join(map(str, value))}")
        else:
            words.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return words


def _written(images: NDArray[np.uint8], classes: Sequence[Any], run: Path) -> Path:
    """Writes pictures as files into the folder of a new run, each in the folder of its class. They appear there all at
    once, and replace those of an earlier call that did not start a run."""
    if (run / _RESUME).exists():
        raise ValueError(f"{run}: holds a training run already; resume it or choose another folder")
    pictures, names = _labelled(np.asarray(images), np.asarray(classes))
    folder = run / "pictures"
    _refuse_others(folder)
    run.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-", dir=run) as temporary:
        new = Path(temporary, "new")
        for number, (picture, name) in enumerate(zip(pictures, names)):
            _write(picture, new / name, f"{number:07}")
        if folder.exists():
            folder.rename(Path(temporary, "old"))
        new.rename(folder)
    return folder


def _labelled(images: NDArray[np.uint8], classes: NDArray[Any]) -> tuple[NDArray[np.uint8], list[str]]:
    """Pictures, and the names of their classes, which sort as the classes do."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise ValueError(f"pictures of {images.dtype} {images.shape}; uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3)")
    if images.size == 0:
        raise ValueError(f"pictures of shape {images.shape}; at least one, of at least one pixel, is needed")
    if classes.shape != images.shape[:1]:
        raise ValueError(f"classes of shape {classes.shape} for {len(images)} pictures; (N,) is needed")
    digits = len(str(classes.max())) if np.issubdtype(classes.dtype, np.integer) else 0
    names = [str(name).zfill(digits) for name in classes]
    for name in sorted(set(names)):
        _check_name(name)
    return images, names


def _check_name(name: str) -> None:
    """Rejects a class name that cannot be the name of a folder."""
    if not name or name.startswith(".") or any(mark in name for mark in ("/", "\0", os.sep)):
        rule = "it names a folder, so it must not be empty, begin with a dot, or contain a slash or NUL"
        raise ValueError(f"class {name!r}: {rule}")
    if name == "train":
        raise ValueError("class 'train': a folder of that name holds the training part; rename the class")


def _refuse_others(folder: Path) -> None:
    """Refuses to replace a folder with files that were not written by an earlier call."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if path.is_symlink() or not (path.is_dir() or _PICTURE.fullmatch(path.name)):
            raise ValueError(f"{path}: not written by train(), which would replace {folder}; choose another out=")


def _write(picture: NDArray[np.uint8], folder: Path, name: str) -> None:
    """Writes a picture (H, W) or (H, W, C) in a form that needs no library."""
    kind, ending = (b"P6", "ppm") if picture.ndim == 3 and picture.shape[2] == 3 else (b"P5", "pgm")
    folder.mkdir(parents=True, exist_ok=True)
    header = b"%s %d %d 255\n" % (kind, picture.shape[1], picture.shape[0])
    (folder / f"{name}.{ending}").write_bytes(header + np.ascontiguousarray(picture).tobytes())


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class _Bar(Callback):
    """The progress of a run, in a notebook."""

    def __init__(self) -> None:
        self.display: Any = None
        self.lines: list[str] = []
        self.last = 0.0

    def on_step(self, step: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self.last >= _BAR_EVERY:
            self.last = now
            self._show(f"epoch {step['epoch']}, step {step['step']}: loss {step['loss']:.4f}")

    def on_epoch(self, epoch: dict[str, Any]) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in epoch.items() if name != "epoch")
        self.lines.append(f"epoch {epoch['epoch']}: {figures}")
        self._show("")

    def _show(self, status: str) -> None:
        from IPython.display import DisplayHandle

        text = {"text/plain": "\n".join([*self.lines, status])}
        if self.display is None:
            self.display = DisplayHandle()
            self.display.display(text, raw=True)
        else:
            self.display.update(text, raw=True)
