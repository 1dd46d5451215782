"""Throughput and latency of `densenet serve` and of FastAPI around ONNX Runtime, in turn, as a Markdown table.

python3 -m bench.serve [--clients 1 4 16] [--rounds 5] [--seconds 3] [--threads 2] [--model densenet121] [--size 224]
                       [--picture FILE.jpg] [--ours PROGRAM]
"""

from __future__ import annotations

import argparse
import http.client
import json
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from . import environment, report
from .contenders import ContenderError, Process

PICTURE = environment.ROOT / "crates/densenet/tests/goldens/preprocessing/dress.jpg"

# Of the likeliest class's probability: beyond it two servers did not predict by the same network.
TOLERANCE = 1e-2

# How long a server may take to start.
PATIENCE = 120.0


def arguments() -> argparse.Namespace:
    """The command line, validated."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16], help="clients at a time (default 1 4 16)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every server (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a turn takes (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every server (default 2)")
    parser.add_argument("--model", default="densenet121", help="a network of torchvision (default densenet121)")
    parser.add_argument("--size", type=int, default=224, help="pixels of its input's side (default 224)")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the JPEG that clients send")
    parser.add_argument("--ours", default="target/release/densenet", help="this project's program")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="folder to write to")
    args = parser.parse_args()
    if min(*args.clients, args.rounds, args.threads) < 1 or args.seconds <= 0:
        parser.error("--clients, --rounds, --threads and --seconds must be above 0")
    return args


def network(python: Path, args: argparse.Namespace, suffix: str) -> Path:
    """The seeded network in a file, written once by the peers' Python."""
    folder = environment.cache() / f"serve-torchvision{environment.pins()['torchvision']}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{args.model}-1x{args.size}{suffix}"
    if not path.exists():
        command = [python, "-m", "bench.models", args.model, "1", str(args.size), path]
        try:
            subprocess.run(command, check=True, cwd=environment.ROOT, stdout=sys.stderr)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"the network could not be written: {error}")
    return path


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server(Process):
    """A server that has predicted the picture, and is then paused between its turns."""

    def __init__(self, title: str, command: list[str], port: int, picture: bytes) -> None:
        super().__init__(command, {"DENSENET_LOG": "off"})
        self.title, self.port, self.picture = title, port, picture
        try:
            self._wait()
            likeliest = json.loads(self.predict(self.connect()))["classes"][0]
        except BaseException:
            self.close()
            raise
        self.likeliest = likeliest["index"], likeliest["probability"]
        self.pause()

    def _wait(self) -> None:
        """Waits until it listens."""
        end = time.monotonic() + PATIENCE
        while True:
            if self._child.poll() is not None:
                raise ContenderError(self._last_words())
            try:
                return self.connect().close()
            except OSError:
                if time.monotonic() > end:
                    raise ContenderError(f"it does not listen after {PATIENCE:.0f} s") from None
                time.sleep(0.05)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that stays open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def predict(self, connection: http.client.HTTPConnection) -> bytes:
        """Sends the picture, and returns the reply."""
        connection.request("POST", "/predict", self.picture, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise ContenderError(f"{reply.status} {body.decode(errors='replace')}")
        return body

    def peak_rss_mib(self) -> float:
        """Most memory that it has held, in MiB."""
        return self._status("VmHWM") / 1024

    def rss_mib(self) -> float:
        """Memory that it holds now, in MiB."""
        return self._status("VmRSS") / 1024

    def _status(self, name: str) -> int:
        """KiB of a line of its status; fails where it has ended."""
        if self._child.poll() is not None:
            raise ContenderError(self._last_words())
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(f"{name}:")).split()[1])

    def turn(self, clients: int, seconds: float) -> dict:
        """So many clients send one picture after another for about so long: milliseconds of each reply, and their rate."""
        milliseconds: list[list[float]] = [[] for _ in range(clients)]
        errors: list[Exception] = []
        begun = threading.Barrier(clients + 1)

        def client(own: list[float]) -> None:
            connection = self.connect()
            try:
                self.predict(connection)
                begun.wait()
                end = time.perf_counter() + seconds
                while (sent := time.perf_counter()) < end:
                    self.predict(connection)
                    own.append(round(1e3 * (time.perf_counter() - sent), 3))
            except (ContenderError, OSError, http.client.HTTPException) as error:
                errors.append(error)
                begun.abort()
            except threading.BrokenBarrierError:
                pass
            finally:
                connection.close()

        self.resume()
        threads = [threading.Thread(target=client, args=(own,)) for own in milliseconds]
        for thread in threads:
            thread.start()
        try:
            begun.wait()
        except threading.BrokenBarrierError:
            pass
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - start
        self.pause()
        if errors:
            raise ContenderError(str(errors[0]))
        replies = [ms for own in milliseconds for ms in own]
        return {"ms": replies, "per_second": len(replies) / took, "peak_rss_mib": self.peak_rss_mib()}


def start(args: argparse.Namespace, python: Path, stack: ExitStack) -> list[Server]:
    """Both servers, ours first, which `stack` ends; they must predict the same."""
    picture, threads = args.picture.read_bytes(), str(args.threads)
    port, other_port = free_port(), free_port()
    weights, onnx = network(python, args, ".pth"), network(python, args, ".onnx")
    ours = [*shlex.split(args.ours), "serve", "--weights", str(weights), "--preset", "imagenet", "--size", str(args.size)]
    ours += ["--threads", threads, "--port", str(port)]
    peer = [str(python), "-m", "bench.web", str(onnx), str(args.size), threads, str(other_port)]
    servers = []
    for title, command, own in [("densenet", ours, port), ("FastAPI, ONNX Runtime", peer, other_port)]:
        try:
            servers.append(Server(title, command, own, picture))
        except ContenderError as error:
            sys.exit(f"{title}: {error}")
        stack.callback(servers[-1].close)
    (index, probability), (other_index, other) = (server.likeliest for server in servers)
    if index != other_index or abs(probability - other) > TOLERANCE * other:
        sys.exit(f"they predict {index} by {probability:.4f} and {other_index} by {other:.4f}: not the same network")
    return servers


def summary(turns: list[dict]) -> dict:
    """The median over the turns, and the latency of all replies."""
    replies = sorted(ms for turn in turns for ms in turn["ms"])
    return {
        "per_second": statistics.median(turn["per_second"] for turn in turns),
        "median_ms": statistics.median(replies),
        "p99_ms": replies[min(len(replies) * 99 // 100, len(replies) - 1)],
        "peak_rss_mib": turns[-1]["peak_rss_mib"],
    }


def row(clients: int, figures: list[dict]) -> str:
    """A row of the table."""
    cells = [
        f"{one['per_second']:.1f} | {one['median_ms']:.1f} ms, {one['p99_ms']:.1f} ms | {one['peak_rss_mib']:.0f} MiB"
        for one in figures
    ]
    return f"| {clients} | {' | '.join(cells)} | {figures[0]['per_second'] / figures[1]['per_second']:.2f} |"


def main() -> None:
    # As Ctrl-C: paused children would outlive a parent that ends without ending them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = arguments()
    python = environment.peers_python()
    machine = environment.machine(python)
    done = []
    with ExitStack() as stack:
        servers = start(args, python, stack)
        print("| clients | " + " | ".join(f"{s.title}, a second | median, 99 % | memory" for s in servers) + " | ratio |")
        print("|---" * (2 + 3 * len(servers)) + "|")
        for clients in args.clients:
            turns: dict[str, list[dict]] = {server.title: [] for server in servers}
            for _ in range(args.rounds):
                for server in servers:
                    turns[server.title].append(server.turn(clients, args.seconds))
            figures = [{"title": title, **summary(own)} for title, own in turns.items()]
            print(row(clients, figures), flush=True)
            kept = [{**one, "turns": turns[one["title"]]} for one in figures]
            done.append({"clients": clients, "servers": kept})
    settings = {name: getattr(args, name) for name in ("threads", "rounds", "seconds", "model", "size")}
    path = report.keep(args.results, {**machine, **settings, "picture": args.picture.name, "serving": done})
    print(f"\nraw turns: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
