"""Runs a command in a terminal of 24-bit colours and draws what it prints as an SVG.

The README's picture is made by

    cargo build --release
    PATH=target/release:$PATH python3 docs/pictures/terminal.py docs/pictures/eval.svg \\
        densenet eval --weights fashion-mnist --data fashion-mnist --show 3

It needs the standard library alone. Of the terminal's sequences it knows colours and resets, which are all that the
program's results have; progress goes to standard error, which is not drawn.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

FONT_SIZE = 14
# Of DejaVu Sans Mono; text is stretched to it where another font stands in.
CELL_WIDTH, CELL_HEIGHT = 8.43, 17
MARGIN = 16
BACKGROUND, TEXT, PROMPT = "#0d1117", "#e6edf3", "#7ee787"
HALF_BLOCK = "▀"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

Colour = tuple[int, ...]
Cell = tuple[str, Colour | None, Colour | None]


def output_of(command: list[str]) -> str:
    """What `command` prints to a terminal, if it ends well."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=env)
    os.close(theirs)
    printed = bytearray()
    try:
        while part := os.read(ours, 1 << 16):
            printed += part
    except OSError:
        pass  # Linux tells the end of a terminal's output by an error.
    _, complaint = child.communicate()
    if child.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {child.returncode}: {complaint.decode()}")
    return printed.decode().replace("\r\n", "\n").rstrip("\n")


def cells(line: str) -> Iterator[Cell]:
    """The characters of a line with their colours, the character's and the one behind it."""
    front = back = None
    for sequence, character in re.findall(r"\x1b\[([\d;]*)m|([^\x1b])", line):
        if character:
            yield character, front, back
            continue
        codes = [int(code or 0) for code in sequence.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                front = back = None
            elif code in (38, 48) and codes[:1] == [2]:
                colour, codes = tuple(codes[1:4]), codes[4:]
                front, back = (colour, back) if code == 38 else (front, colour)
            else:
                sys.exit(f"the sequence {sequence!r} is none of those that can be drawn")


def pixels(rows: list[list[Cell]]) -> Iterator[str]:
    """A path for each colour of half blocks; a cell is one unit wide and two high."""
    paths: dict[Colour, str] = defaultdict(str)
    for row, line in enumerate(rows):
        for half in (0, 1):
            colours = [cell[1 + half] if cell[0] == HALF_BLOCK else None for cell in line]
            start = 0
            for end in range(1, len(colours) + 1):
                if end < len(colours) and colours[end] == colours[start]:
                    continue
                if colours[start] is not None:
                    width = end - start
                    paths[colours[start]] += f"M{start} {2 * row + half}h{width}v1h-{width}z"
                start = end
    for colour, path in sorted(paths.items()):
        yield f'<path fill="#{bytes(colour).hex()}" d="{path}"/>'


def text(row: int, line: str, colour: str) -> str:
    """A row of text; its characters keep their columns in every font."""
    words = line.lstrip()
    column = len(line) - len(words)
    place = f'x="{column * CELL_WIDTH:.2f}" y="{(row + 0.78) * CELL_HEIGHT:.2f}" textLength="{len(words) * CELL_WIDTH:.2f}"'
    # Blanks that no viewer draws together: some no longer know xml:space.
    return f'<text {place} fill="{colour}">{escape(words).replace(" ", NO_BREAK_SPACE)}</text>'


def drawing(command: list[str], printed: str) -> str:
    """The terminal with the command and what it printed."""
    prompt = f"$ {shlex.join(command)}"
    rows = [[(character, None, None) for character in prompt], *(list(cells(line)) for line in printed.split("\n"))]
    lines = ["".join(" " if cell[0] == HALF_BLOCK else cell[0] for cell in row).rstrip() for row in rows]
    texts = [text(row, line, TEXT if row else PROMPT) for row, line in enumerate(lines) if line]
    width = 2 * MARGIN + max(map(len, rows)) * CELL_WIDTH
    height = 2 * MARGIN + len(rows) * CELL_HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
            f"<title>{escape(prompt)}</title>",
            f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
            f'<g transform="translate({MARGIN} {MARGIN})">',
            f'<g transform="scale({CELL_WIDTH} {CELL_HEIGHT / 2})" shape-rendering="crispEdges">',
            *pixels(rows),
            "</g>",
            f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{FONT_SIZE}">',
            *texts,
            "</g>",
            "</g>",
            "</svg>\n",
        ]
    )


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python3 docs/pictures/terminal.py PICTURE.svg COMMAND...")
    picture, *command = sys.argv[1:]
    Path(picture).write_text(drawing(command, output_of(command)))


if __name__ == "__main__":
    main()
