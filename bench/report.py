"""The table of a run, as Markdown, and the file that keeps its raw turns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .cases import OURS, OURS_LOW, Case, Contender

Results = dict[str, Any]


def label(case: Case, ours: Contender) -> str:
    """A case in words."""
    words = f"{case.model} {case.size}x{case.size}, batch {case.batch}, {case.threads} thread{'s'[: case.threads - 1]}"
    words += f", {case.precision}" if case.precision != "f32" else ""
    return words + (", a core busy" if case.busy else "") + (", memory low" if ours is OURS_LOW else "")


def cell(entry: Results | None) -> str:
    """Median and peak memory, or that there is none."""
    if entry is None or "median_ms" not in entry:
        return "-"
    return f"{entry['median_ms']:.1f} ms, {entry['peak_rss_mib']:.0f} MiB"


def ratio(ours: Results, peers: list[Results], measure: str) -> str:
    """Our figure over the best float32 peer's, with that peer's name."""
    ran = [peer for peer in peers if peer["exact"] and measure in peer]
    if measure not in ours or not ran:
        return "-"
    best = min(ran, key=lambda peer: peer[measure])
    return f"{ours[measure] / best[measure]:.2f} ({best['title']})"


def table(task: str, cases: list[tuple[Case, list[Results]]]) -> str:
    """The rows of one task; a case has a row for each setting of ours."""
    chosen = [(case, entries) for case, entries in cases if case.task == task]
    peers = {peer.key: peer.title for case, _ in chosen for peer in case.peers}
    rows = [["inference" if task == "infer" else "training", OURS.title, *peers.values(), "time", "memory"]]
    rows.append(["---"] * len(rows[0]))
    for case, entries in chosen:
        by_key = {entry["key"]: entry for entry in entries}
        others = [by_key[peer.key] for peer in case.peers]
        for ours in case.ours:
            mine = by_key[ours.key]
            ratios = [ratio(mine, others, measure) for measure in ("median_ms", "peak_rss_mib")]
            cells = [cell(mine), *(cell(by_key.get(key)) for key in peers)]
            rows.append([label(case, ours), *cells, *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def contended(cases: list[tuple[Case, list[Results]]]) -> list[str]:
    """For each case with a core busy, how many times its quiet twin's median every contender took."""
    medians = {case.name: {one["title"]: one.get("median_ms") for one in entries} for case, entries in cases}
    lines = []
    for name, busy in medians.items():
        quiet = medians.get(name.removesuffix("-busy"), {}) if name.endswith("-busy") else {}
        times = [f"{title} {ms / quiet[title]:.1f}" for title, ms in busy.items() if ms and quiet.get(title)]
        lines += [f"With a core busy, times the quiet median: {', '.join(times)}."] if times else []
    return lines


def tables(cases: list[tuple[Case, list[Results]]]) -> str:
    """The whole table: inference, then training, as far as they were run."""
    tasks = [task for task in ("infer", "train") if any(case.task == task for case, _ in cases)]
    return "\n\n".join([*(table(task, cases) for task in tasks), *contended(cases)])


def record(case: Case, entries: list[Results]) -> Results:
    """What is kept of a case."""
    names = ("name", "task", "model", "batch", "size", "threads", "busy", "precision")
    return {**{name: getattr(case, name) for name in names}, "contenders": entries}


def keep(folder: Path, record: Results) -> Path:
    """Writes the run to `DATE-PROCESSOR.json`, or with a number after it where that day has a run already."""
    folder.mkdir(parents=True, exist_ok=True)
    processor = re.sub(r"[^A-Za-z0-9]+", "-", record["processor"]).strip("-")
    stem, number = f"{record['date'][:10]}-{processor}", 1
    path = folder / f"{stem}.json"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    text = json.dumps(record, indent=1)
    # A list of times goes on one line.
    path.write_text(re.sub(r"\[[-\d.,\s]+\]", lambda times: " ".join(times[0].split()), text) + "\n")
    return path
