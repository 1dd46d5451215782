"""Runs every contender of every case in turn, A B A B, and prints one table of medians and ratios.

python3 -m bench.compare [--cases TEXT ...] [--threads 2] [--rounds 5] [--seconds 1] [--ours PROGRAM]
"""

from __future__ import annotations

import argparse
import math
import shlex
import signal
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from . import environment, report
from .cases import Case, Contender, all_cases
from .contenders import Burner, ContenderError, Ours, Peer, Turn

# Relative, in norm: beyond it two engines did not run the same network.
LOGITS_TOLERANCE = 1e-4

Player = Ours | Peer


def arguments() -> argparse.Namespace:
    """The command line, validated."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=[], help="run the cases whose name has one of these in it")
    parser.add_argument("--threads", type=int, default=2, help="threads of every contender (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long a peer's turn takes (default 1)")
    parser.add_argument("--ours", default="target/release/densenet", help="this project's program")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="folder to write to")
    args = parser.parse_args()
    if min(args.threads, args.rounds) < 1 or args.seconds <= 0:
        parser.error("--threads, --rounds and --seconds must be above 0")
    return args


def chosen(args: argparse.Namespace) -> list[Case]:
    """The cases that the filter lets through."""
    cases = all_cases(args.threads)
    kept = [case for case in cases if not args.cases or any(text in case.name for text in args.cases)]
    if not kept:
        sys.exit("no case has that in its name; there are\n  " + "\n  ".join(case.name for case in cases))
    return kept


def check_logits(player: Player, players: list[Player]) -> None:
    """Holds a peer's logits to those of the first that has any."""
    first = next((other.logits for other in players if other.logits), None)
    if first is None or player.logits is None:
        return
    distance = math.dist(player.logits, first) / math.hypot(*first)
    if not distance <= LOGITS_TOLERANCE:
        raise ContenderError(f"its logits are {distance:.1e} from the others'")


def play(players: list[Player], rounds: int, errors: dict[str, str]) -> dict[str, list[Turn]]:
    """Every player in turn, round after round; one that fails is left out from then on."""
    turns: dict[str, list[Turn]] = {player.contender.key: [] for player in players}
    for _ in range(rounds):
        for player in players:
            key = player.contender.key
            if key in errors:
                continue
            try:
                turns[key].append(player.turn())
            except ContenderError as error:
                errors[key] = str(error)
    return turns


def entry(contender: Contender, about: dict, turns: list[Turn], error: str | None) -> report.Results:
    """What is kept of one contender: its turns, and the median over the turns' medians."""
    record = {**asdict(contender), **about, "turns": [asdict(turn) for turn in turns]}
    if error is not None:
        return {**record, "error": error}
    return {
        **record,
        "median_ms": statistics.median(turn.median_ms for turn in turns),
        "min_ms": min(turn.min_ms for turn in turns),
        "peak_rss_mib": max(turn.peak_rss_mib for turn in turns),
    }


def enter(case: Case, args: argparse.Namespace, python: Path, stack: ExitStack, errors: dict[str, str]) -> list[Player]:
    """Starts the contenders of a case, ours first, and has `stack` end them."""
    players: list[Player] = []
    for contender in (*case.ours, *case.peers):
        try:
            if contender in case.ours:
                player: Player = Ours(contender, case, shlex.split(args.ours))
            else:
                player = Peer(contender, case, python, args.seconds)
            stack.callback(player.close)
            # Each quantises in its own way.
            if case.precision == "f32":
                check_logits(player, players)
            players.append(player)
        except ContenderError as error:
            errors[contender.key] = str(error)
    return players


def run_case(case: Case, args: argparse.Namespace, python: Path) -> list[report.Results]:
    """Lets the contenders of a case play, with a core busy where the case says so."""
    errors: dict[str, str] = {}
    with ExitStack() as stack:
        players = enter(case, args, python, stack, errors)
        if case.busy:
            stack.callback(Burner().close)
        turns = play(players, args.rounds, errors)
    about = {player.contender.key: player.about for player in players}
    contenders = (*case.ours, *case.peers)
    return [entry(c, about.get(c.key, {}), turns.get(c.key, []), errors.get(c.key)) for c in contenders]


def tell(case: Case, entries: list[report.Results]) -> None:
    """A line for each contender as soon as its case is done."""
    print(case.name, file=sys.stderr)
    for one in entries:
        print(f"  {one['title']:28} {one.get('error') or report.cell(one)}", file=sys.stderr)


def run_cases(cases: list[Case], args: argparse.Namespace, python: Path) -> Iterator[tuple[Case, list[report.Results]]]:
    """Runs one case after another; Ctrl-C ends it with the cases done so far."""
    try:
        for case in cases:
            entries = run_case(case, args, python)
            tell(case, entries)
            yield case, entries
    except KeyboardInterrupt:
        print("interrupted; what is done is kept", file=sys.stderr)


def main() -> None:
    # As Ctrl-C: paused children would outlive a parent that ends without ending them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = arguments()
    cases = chosen(args)
    python = environment.peers_python()
    machine = environment.machine(python)
    done = list(run_cases(cases, args, python))
    if not done:
        sys.exit(130)
    settings = {"threads": args.threads, "rounds": args.rounds, "seconds": args.seconds}
    path = report.keep(args.results, {**machine, **settings, "cases": [report.record(*one) for one in done]})
    print(report.tables(done))
    print(f"\nraw turns: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
