"""Trains the same network on the same photographs by the same recipe, here and in PyTorch, from several seeds.

    python -m bench.clothing PHOTOS --epochs 12 --seeds 3 [--model seed --size 128 --init WEIGHTS.safetensors --out DIR]

PHOTOS has `train`, `validation` and `test` with a folder a class. Both sides take torchvision's RandomResizedCrop and a
mirror image half the time, SGD with Nesterov's momentum 0.9 and weight decay 0.0001, a twentieth of warm-up and a cosine, and
the preprocessing that our run's card says; the best epoch by validation is tested, once. Without `--init` each side draws its
own initial weights as it usually does; with it both begin from that file of ours, with a classifier that starts anew.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import subprocess
import time
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from bench import models

LABEL_SMOOTHING, MOMENTUM, WEIGHT_DECAY = 0.0, 0.9, 1e-4


def network(model: str, init: Path | None) -> nn.Module:
    """The network for ten classes and three channels; with `init` its body has the values of that file of ours."""
    net = models.article(3) if model == "seed" else models.MODELS[model]()
    if init:
        with safe_open(init, "pt") as file:
            names = [name for name in file.offset_keys() if not name.startswith(("classifier.", "reference."))]
            held = {name: file.get_tensor(name) for name in names}
        # Both have the parameters in the order of the network, and then the running statistics.
        running = [value for name, value in net.named_buffers() if not name.endswith("num_batches_tracked")]
        for value, (name, our) in zip([*net.parameters()][:-2] + running, held.items(), strict=True):
            assert value.shape == our.shape, f"{tuple(value.shape)} for {name} of {tuple(our.shape)}"
            value.data.copy_(our)
    return net


def run_folder(options: argparse.Namespace, seed: int) -> Path:
    return options.out / f"{'tuned' if options.init else 'scratch'}-{seed}"


def data(photos: Path, run: Path) -> tuple[ImageFolder, ImageFolder, ImageFolder]:
    """The three parts, prepared as the weights of our `run` say."""
    with safe_open(run / "best.safetensors", "pt") as file:
        card = json.loads(file.metadata()["densenet_card"])["preprocessing"]
    size, side = card["size"], round(card["size"] / card["crop_fraction"])
    numbers = [transforms.ToTensor(), transforms.Normalize(card["mean"], card["std"])]
    changed = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    plain = [transforms.Resize((side, side) if card["resize"] == "squash" else side), transforms.CenterCrop(size)]
    train = ImageFolder(photos / "train", transforms.Compose(changed + numbers))
    return train, *(ImageFolder(photos / part, transforms.Compose(plain + numbers)) for part in ("validation", "test"))


def rate(step: int, steps: int, highest: float) -> float:
    """Rises over a twentieth of the steps, then falls along half a cosine, as `--schedule cosine`."""
    warm_up = steps // 20
    if step < warm_up:
        return highest * (step + 1) / warm_up
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))


@torch.inference_mode()
def accuracy(net: nn.Module, pictures: ImageFolder) -> float:
    net.eval()
    right = sum((net(x).argmax(1) == y).sum().item() for x, y in DataLoader(pictures, 64))
    return right / len(pictures)


def pytorch(options: argparse.Namespace, seed: int) -> tuple[float, float]:
    """Accuracy on the test part, and seconds, of PyTorch's run from `seed`."""
    torch.manual_seed(seed)
    train, validation, test = data(options.photos, run_folder(options, seed))
    net = network(options.model, options.init)
    optimiser = torch.optim.SGD(
        net.parameters(), options.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    loader = DataLoader(train, options.batch, shuffle=True)
    steps, step, best, chosen = options.epochs * len(loader), 0, -1.0, None
    begun = time.monotonic()
    for epoch in range(options.epochs):
        net.train()
        for x, y in loader:
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps, options.lr)
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), y, label_smoothing=LABEL_SMOOTHING).backward()
            optimiser.step()
            step += 1
        held_out = accuracy(net, validation)
        if held_out > best:
            best, chosen = held_out, copy.deepcopy(net.state_dict())
        print(f"PyTorch, seed {seed}, epoch {epoch + 1}: validation {100 * held_out:.2f} %", flush=True)
    net.load_state_dict(chosen)
    return accuracy(net, test), time.monotonic() - begun


def ours(options: argparse.Namespace, seed: int) -> tuple[float, float]:
    """The same of this project's run from `seed`."""
    folder = run_folder(options, seed)
    begin = ["--init", options.init] if options.init else ["--model", options.model]
    words = [
        options.program, "train", *begin, "--data", options.photos, "--size", options.size, "--epochs", options.epochs,
        "--batch", options.batch, "--lr", options.lr, "--schedule", "cosine", "--momentum", MOMENTUM,
        "--weight-decay", WEIGHT_DECAY, "--augment", "resized-crop", "--seed", seed, "--threads", options.threads,
        "--out", folder,
    ]
    begun = time.monotonic()
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    return json.loads((folder / "evaluation.json").read_text())["evaluation"]["top1"], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="seed")
    parser.add_argument("--init", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/clothing"))
    parser.add_argument("--program", type=Path, default=Path("target/release/densenet"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {"densenet": [], "PyTorch": []}
    for seed in range(options.seeds):
        # Ours first: its card says how pictures are prepared.
        for name, train in (("densenet", ours), ("PyTorch", pytorch)):
            found[name].append(train(options, seed))
            print(f"{name}, seed {seed}: test {100 * found[name][-1][0]:.2f} %, {found[name][-1][1]:.0f} s", flush=True)
    print("\n| | test accuracy, mean | deviation | seconds a run, median |\n|---|---|---|---|")
    for name, runs in found.items():
        accuracies = [100 * run[0] for run in runs]
        deviation = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
        print(f"| {name} | {statistics.mean(accuracies):.2f} % | {deviation:.2f} | {statistics.median(run[1] for run in runs):.0f} |")


if __name__ == "__main__":
    main()
