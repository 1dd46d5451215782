"""`densenet serve` at several times what it can carry, beside idle connections, as a Markdown table by the minute.

python3 -m bench.overload [--minutes 10] [--times 4] [--idle 10000] [--threads 2] [--model densenet121] [--size 224]
                          [--ours PROGRAM]

Exits with 1 where an answer was wrong, the server ended, or its memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import select
import shlex
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from . import environment, report
from .contenders import ContenderError
from .serve import PATIENCE, Server, free_port, network

FOLDER = environment.ROOT / "crates/densenet/tests/goldens/preprocessing"

# Pictures whose answers differ, so that an answer to another request is told from the right one.
PICTURES = [FOLDER / name for name in ("dress.jpg", "pants.jpg", "progressive.jpg")]

# Clients at a time while the rate that the server can carry is measured, and for how many seconds.
CLOSED_CLIENTS, CLOSED_SECONDS = 16, 5.0

# Requests under way at a time, at most; what would be more is counted as not sent.
MOST = 2000

# Idle connections that are opened at a time.
OPENED = 20

# Connections that have been free for so many seconds are not used again: the server is about to close them.
FRESH = 5.0

# A refusal should take no longer, in milliseconds.
REFUSED_MS = 10.0

# Memory may be so much more at the end than after the first part.
GROWTH = 1.1


def arguments() -> argparse.Namespace:
    """The command line, validated."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.overload", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it takes (default 10)")
    parser.add_argument("--times", type=float, default=4.0, help="requests, as a multiple of what it can carry (default 4)")
    parser.add_argument("--idle", type=int, default=10_000, help="connections that say nothing (default 10000)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the server (default 2)")
    parser.add_argument("--model", default="densenet121", help="a network of torchvision (default densenet121)")
    parser.add_argument("--size", type=int, default=224, help="pixels of its input's side (default 224)")
    parser.add_argument("--ours", default="target/release/densenet", help="this project's program")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="folder to write to")
    args = parser.parse_args()
    if min(args.minutes, args.times, args.threads) <= 0 or args.idle < 0:
        parser.error("--minutes, --times and --threads must be above 0, and --idle not below")
    return args


@dataclass
class Part:
    """What came of the requests of a part of the run: milliseconds of those that were answered rightly and refused."""

    right: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: int = 0
    not_sent: int = 0
    rss_mib: float = 0.0
    idle: int = 0

    def figures(self) -> dict:
        """For the file of results: counts, and the median, 99 % and maximum of the times."""
        times = {"right": self.right, "refused": self.refused}
        quantiles = {f"{name}_ms": [quantile(ms, share) for share in (0.5, 0.99, 1)] for name, ms in times.items()}
        return {**vars(self), **{name: len(ms) for name, ms in times.items()}, **quantiles}

    def row(self, number: int) -> str:
        """A row of the table."""
        quick = sum(ms <= REFUSED_MS for ms in self.refused) / max(len(self.refused), 1)
        cells = [number, len(self.right), self.wrong, len(self.refused), self.failed, self.not_sent]
        cells += [f"{quantile(self.right, 0.5):.0f} ms, {quantile(self.right, 0.99):.0f} ms"]
        cells += [f"{quantile(self.refused, 0.5):.1f} ms, {quantile(self.refused, 0.99):.1f} ms", f"{100 * quick:.1f} %"]
        return f"| {' | '.join(map(str, [*cells, self.idle, f'{self.rss_mib:.0f} MiB']))} |"


HEADER = [
    *("part", "right", "wrong", "503", "failed", "not sent", "right: median, 99 %", "503: median, 99 %"),
    *(f"503 within {REFUSED_MS:.0f} ms", "idle", "memory"),
]


def quantile(values: list[float], share: float) -> float:
    """Of a list that may be empty."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


class Clients:
    """Requests to a server over connections that stay open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests = [post(path.read_bytes()) for path in PICTURES]
        self.answers: list[list] = []
        self.part = Part()
        self._free: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._under_way = 0

    async def learn(self) -> None:
        """Asks for the right answers, where there is no load."""
        self.answers = []
        for request in self.requests:
            status, body = await self._ask(request)
            if status != 200:
                raise ContenderError(f"{status} {body.decode(errors='replace')}")
            self.answers.append(json.loads(body)["classes"])
        if any(answer in self.answers[:number] for number, answer in enumerate(self.answers)):
            raise ContenderError("the answers for two pictures are alike")

    async def closed(self, clients: int, seconds: float) -> float:
        """Requests a second that the server can carry: so many clients, each with one request at a time."""
        self.part = Part()
        end = time.perf_counter() + seconds

        async def client(which: int) -> None:
            while time.perf_counter() < end:
                await self.one(which)

        await asyncio.gather(*(client(number % len(self.requests)) for number in range(clients)))
        return len(self.part.right) / seconds

    async def opened(self, rate: float, seconds: float) -> Part:
        """Sends requests at the `rate`, whether or not those before are answered."""
        part = self.part = Part()
        begun, sent, tasks = time.perf_counter(), 0, set()
        while (now := time.perf_counter() - begun) < seconds:
            for number in range(sent, int(now * rate)):
                if self._under_way >= MOST:
                    part.not_sent += 1
                    continue
                task = asyncio.create_task(self.one(number % len(self.requests)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            sent = int(now * rate)
            await asyncio.sleep(1e-3)
        await asyncio.gather(*tasks)
        return part

    async def one(self, which: int) -> None:
        """One request, counted."""
        part, begun = self.part, time.perf_counter()
        self._under_way += 1
        try:
            status, body = await self._ask(self.requests[which])
        except (OSError, asyncio.IncompleteReadError):
            part.failed += 1
            return
        finally:
            self._under_way -= 1
        ms = 1e3 * (time.perf_counter() - begun)
        if status == 503:
            part.refused.append(ms)
        elif status == 200 and json.loads(body)["classes"] == self.answers[which]:
            part.right.append(ms)
        else:
            part.wrong += 1

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the reply."""
        reader, writer = self._fresh() or await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
            body = await reader.readexactly(length)
        except BaseException:
            writer.transport.abort()
            raise
        self._free.append((time.monotonic(), reader, writer))
        return int(head.split(" ", 2)[1]), body

    def _fresh(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection that was freed last, unless it has been free for long; then all are closed."""
        if self._free and time.monotonic() - self._free[-1][0] < FRESH:
            return self._free.pop()[1:]
        while self._free:
            self._free.pop()[2].transport.abort()
        return None


def post(picture: bytes) -> bytes:
    """A request with its body."""
    return b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(picture), picture)


def hold(port: int, many: int, held: Synchronized) -> None:
    """Holds so many connections that say nothing, and opens each anew when the server closes it; `held` is how many there are."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What is measured is the server with these connections, not how fast they are made.
    os.nice(10)
    poll, connections = select.epoll(), {}
    while True:
        for _ in range(min(many - len(connections), OPENED)):
            with suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN | select.EPOLLRDHUP)
        for number, _ in poll.poll(0.01):
            poll.unregister(number)
            connections.pop(number).close()
        held.value = len(connections)


def raise_limit(idle: int) -> None:
    """Lets this process open as many files as it takes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = idle + MOST + 100
    if most != resource.RLIM_INFINITY and most < needed:
        sys.exit(f"the limit of open files is {most} (ulimit -Hn); --idle {idle} takes {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def measure(args: argparse.Namespace, server: Server) -> tuple[float, list[Part]]:
    """What the server can carry, and what it does with more."""
    clients = Clients(server.port)
    await clients.learn()
    carried = await clients.closed(CLOSED_CLIENTS, CLOSED_SECONDS)
    print(f"it carries {carried:.1f} a second; {args.times * carried:.1f} are sent for {args.minutes:g} minutes", file=sys.stderr)
    held = multiprocessing.Value("i", 0)
    holder = multiprocessing.Process(target=hold, args=(server.port, args.idle, held), daemon=True)
    holder.start()
    end = time.monotonic() + PATIENCE
    while held.value < 0.9 * args.idle:
        if time.monotonic() > end:
            raise ContenderError(f"it has {held.value} of {args.idle} idle connections after {PATIENCE:.0f} s")
        await asyncio.sleep(0.1)
    parts, count = [], max(round(args.minutes), 1)
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|")
    for number in range(1, count + 1):
        part = await clients.opened(args.times * carried, 60 * args.minutes / count)
        part.rss_mib, part.idle = server.rss_mib(), held.value
        parts.append(part)
        print(part.row(number), flush=True)
    holder.terminate()
    holder.join()
    # It serves as before.
    before = clients.answers
    await clients.learn()
    if clients.answers != before:
        raise ContenderError("it predicts otherwise than before")
    return carried, parts


def main() -> None:
    # As Ctrl-C: the server would outlive a parent that ends without ending it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = arguments()
    raise_limit(args.idle)
    python = environment.peers_python()
    port, weights = free_port(), network(python, args, ".pth")
    command = [*shlex.split(args.ours), "serve", "--weights", str(weights), "--preset", "imagenet", "--size", str(args.size)]
    command += ["--threads", str(args.threads), "--port", str(port)]
    try:
        server = Server("densenet", command, port, PICTURES[0].read_bytes())
        try:
            server.resume()
            carried, parts = asyncio.run(measure(args, server))
        finally:
            server.close()
    except (ContenderError, OSError) as error:
        sys.exit(f"the server failed: {error}")
    done = {"carried": carried, "parts": [part.figures() for part in parts]}
    settings = {name: getattr(args, name) for name in ("threads", "minutes", "times", "idle", "model", "size")}
    path = report.keep(args.results, {**environment.machine(python), **settings, "overload": done})
    print(f"\nraw figures: {path}", file=sys.stderr)
    wrong, failed = sum(part.wrong for part in parts), sum(part.failed for part in parts)
    grown = parts[-1].rss_mib > GROWTH * parts[0].rss_mib
    if wrong or failed or grown:
        sys.exit(f"{wrong} wrong answers, {failed} failed requests, memory {'grew' if grown else 'did not grow'}")


if __name__ == "__main__":
    main()
