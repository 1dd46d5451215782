"""torchvision's networks in PyTorch with its own operations and with this library's (`densenet.torch`), in turn.

    python -m bench.python [--networks densenet121] [--batch 16] [--size 224] [--rounds 5] [--steps 3] [--threads 2]

Run it with a Python that has torch, torchvision and the package `densenet`, as `make python` leaves one in
`target/python`. Each contender is a process of its own; a training step is forward, cross-entropy, backward and SGD
with momentum, as in any loop, and inference is a forward pass without gradients. A line is printed for each: medians of
all rounds, and the peak of the process. """

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time

from .contenders import Process

CONTENDERS = ("torchvision", "densenet.torch")


def arguments() -> argparse.Namespace:
    """The command line, validated."""
    parser = argparse.ArgumentParser(prog="python -m bench.python", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["densenet121"], help="of torchvision (default densenet121)")
    parser.add_argument("--tasks", nargs="+", default=["train", "infer"], choices=["train", "infer"])
    parser.add_argument("--batch", type=int, default=16, help="pictures (default 16)")
    parser.add_argument("--size", type=int, default=224, help="pixels of a picture's side (default 224)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--steps", type=int, default=3, help="steps of a turn (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every contender (default 2)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.batch, args.size, args.rounds, args.steps, args.threads) < 1:
        parser.error("--batch, --size, --rounds, --steps and --threads must be above 0")
    return args


def contend(args: argparse.Namespace) -> None:
    """Takes steps whenever a line comes, and answers with their times and the peak of memory."""
    import torch

    torch.set_num_threads(args.threads)
    if args.contender == "torchvision":
        from torchvision import models
    else:
        import densenet
        import densenet.torch as models

        densenet.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = getattr(models, args.networks[0])(num_classes=1000)
    images, classes = torch.randn(args.batch, 3, args.size, args.size), torch.arange(args.batch)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def train() -> float:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), classes)
        loss.backward()
        optimiser.step()
        return loss.item()

    def infer() -> float:
        with torch.no_grad():
            return network(images).norm().item()

    step = train if args.tasks == ["train"] else infer
    network.train(step is train)
    first = step()
    step()
    print(json.dumps({"first": first}), flush=True)
    for _ in sys.stdin:
        times = []
        for _ in range(args.steps):
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"ms": times, "peak_mib": peak}), flush=True)


class Contender:
    """A process that is paused between its turns."""

    def __init__(self, name: str, task: str, network: str, args: argparse.Namespace) -> None:
        shape = [f"--{option}={getattr(args, option)}" for option in ("batch", "size", "steps", "threads")]
        command = [sys.executable, "-m", "bench.python", "--contender", name, "--tasks", task, "--networks", network]
        self._process = Process([*command, *shape], {"OMP_NUM_THREADS": str(args.threads)})
        self.first = self._process.request("")["first"]
        self._process.pause()
        self.times: list[float] = []
        self.peak = 0.0

    def turn(self) -> None:
        self._process.resume()
        answer = self._process.request("\n")
        self._process.pause()
        self.times += answer["ms"]
        self.peak = answer["peak_mib"]

    def end(self) -> None:
        self._process.close()


def main() -> None:
    args = arguments()
    if args.contender:
        contend(args)
        return
    print("| network, task | torchvision | densenet.torch | time | memory |\n|---|---|---|---|---|")
    for network in args.networks:
        for task in args.tasks:
            theirs, ours = contenders = [Contender(name, task, network, args) for name in CONTENDERS]
            # The same pictures and weights; in training the loss of the first step.
            if abs(ours.first - theirs.first) > 1e-3 * abs(theirs.first):
                sys.exit(f"{network}, {task}: the first step gives {ours.first} and {theirs.first}; one must be wrong")
            for _ in range(args.rounds):
                for contender in contenders:
                    contender.turn()
            for contender in contenders:
                contender.end()
            figures = [(statistics.median(contender.times), contender.peak) for contender in contenders]
            cells = [f"{ms:,.1f} ms, {mib:,.0f} MiB" for ms, mib in figures]
            ratios = [f"{ours / theirs:.2f}" for theirs, ours in zip(*figures)]
            name = f"{network}, {args.batch}x{args.size}x{args.size}, {task}"
            print(f"| {name} | {' | '.join(cells)} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
