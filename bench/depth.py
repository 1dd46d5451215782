"""Peak memory of a training step against depth, at both memory levels, as a Markdown table.

python3 -m bench.depth [--depths 40 100 160 190 250] [--growth 12] [--batch 64] [--threads 2] [--ours PROGRAM]
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys

from . import environment


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.depth", description=__doc__.splitlines()[0])
    parser.add_argument("--depths", nargs="+", type=int, default=[40, 100, 160, 190, 250], help="L of DenseNet-BC")
    parser.add_argument("--growth", type=int, default=12, help="k of DenseNet-BC (default 12)")
    parser.add_argument("--batch", type=int, default=64, help="pictures of 32x32 a step (default 64)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default 2)")
    parser.add_argument("--ours", default="target/release/densenet", help="this project's program")
    return parser.parse_args()


def measure(args: argparse.Namespace, depth: int, memory: str) -> dict:
    """The object that `densenet bench train` prints of one network."""
    model = f"densenet-bc-{depth}-{args.growth}"
    shape = ["--model", model, "--batch", str(args.batch), "--size", "32", "--threads", str(args.threads)]
    command = [*shlex.split(args.ours), "bench", "train", *shape, "--memory", memory, "--seconds", "0", "--json"]
    run = subprocess.run(command, cwd=environment.ROOT, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(run.returncode)
    return json.loads(run.stdout)


def main() -> None:
    args = arguments()
    levels = ["normal", "low"]
    print("| L | " + " | ".join(f"{level}, MiB | a layer | ms" for level in levels) + " |")
    print("|---" * (1 + 3 * len(levels)) + "|")
    for depth in args.depths:
        cells = [str(depth)]
        for level in levels:
            figures = measure(args, depth, level)
            mib = figures["peak_rss_mib"]
            cells += [f"{mib:.0f}", f"{mib / depth:.2f}", f"{figures['median_ms']:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
