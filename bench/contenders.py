"""The processes that are timed: a peer's, which lives through all rounds, and this project's, started for each turn."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import environment
from .cases import OURS_LOW, Case, Contender

# Most iterations of one turn; the median of more would be no better.
MOST_ITERATIONS = 100


class ContenderError(Exception):
    """Why a contender cannot take part, or no longer can."""


@dataclass
class Turn:
    """The figures of one turn; `raw` is the list of a peer's times, or the object that our program printed."""

    median_ms: float
    min_ms: float
    peak_rss_mib: float
    raw: Any


class Process:
    """A child process that takes no time while it is paused."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (`close` closes it)
        pipe, everything = subprocess.PIPE, {**os.environ, **env}
        try:
            self._child = subprocess.Popen(
                command, env=everything, cwd=environment.ROOT, stdin=pipe, stdout=pipe, stderr=self._errors, text=True
            )
        except OSError as error:
            raise ContenderError(str(error)) from None

    def pause(self) -> None:
        """Stops all its threads; an engine's may spin for a while after their work."""
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets its threads run."""
        self._child.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends it, paused or not."""
        self._child.kill()
        self._child.communicate()
        self._errors.close()

    def request(self, line: str) -> dict[str, Any]:
        """Writes a line, if any, and reads one line of JSON."""
        assert self._child.stdin and self._child.stdout
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
            return json.loads(self._child.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise ContenderError(self._last_words()) from None

    def _last_words(self) -> str:
        code = self._child.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {code}"


class Peer:
    """A peer: warmed up when made, then paused between its turns."""

    def __init__(self, contender: Contender, case: Case, python: Path, seconds: float) -> None:
        self.contender = contender
        folder = environment.cache() / "-".join(f"{name}{version}" for name, version in environment.pins().items())
        folder.mkdir(parents=True, exist_ok=True)
        shape = [case.model, str(case.batch), str(case.size), str(case.threads)]
        env = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), **contender.env}
        self._process = Process([str(python), "-m", "bench.peers", contender.key, case.task, *shape, str(folder)], env)
        try:
            self.about = self._process.request("")
            self.logits = self.about.pop("logits")
            warm = self._process.request("3\n")["ms"]
        except BaseException:
            self._process.close()
            raise
        self._iterations = min(max(round(1e3 * seconds / statistics.median(warm[1:])), 2), MOST_ITERATIONS)
        self._process.pause()

    def turn(self) -> Turn:
        """Runs for about the seconds that a turn may take."""
        self._process.resume()
        reply = self._process.request(f"{self._iterations}\n")
        self._process.pause()
        ms = reply["ms"]
        return Turn(statistics.median(ms), min(ms), reply["peak_rss_mib"], ms)

    def close(self) -> None:
        """Ends its process."""
        self._process.close()


class Ours:
    """This project's program, `densenet bench`, which warms itself up."""

    def __init__(self, contender: Contender, case: Case, program: list[str]) -> None:
        self.contender = contender
        self.about: dict[str, Any] = {}
        self.logits = None
        shape = {"model": case.model, "batch": case.batch, "size": case.size, "threads": case.threads}
        options = [text for name, value in shape.items() for text in (f"--{name}", str(value))]
        low = ["--memory", "low"] if contender is OURS_LOW else []
        precision = ["--precision", case.precision] if case.precision != "f32" else []
        self._command = [*program, "bench", case.task, *options, *low, *precision, "--json"]

    def turn(self) -> Turn:
        """Runs the program once."""
        try:
            run = subprocess.run(self._command, cwd=environment.ROOT, capture_output=True, text=True)
            record = json.loads(run.stdout)
            return Turn(record["median_ms"], record["min_ms"], record["peak_rss_mib"], record)
        except OSError as error:
            raise ContenderError(str(error)) from None
        except (json.JSONDecodeError, KeyError):
            lines = run.stderr.strip().splitlines() or [f"status {run.returncode}, without the object agreed on"]
            raise ContenderError(lines[-1]) from None

    def close(self) -> None:
        """Nothing lives between turns."""


class Burner(Process):
    """Keeps the last core busy."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-c", "while True: pass"], {})
        os.sched_setaffinity(self._child.pid, {max(os.sched_getaffinity(0))})
