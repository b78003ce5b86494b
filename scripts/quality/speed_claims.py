"""Finds figures of speed and memory in README and docs that are not generated, and so go stale.

A measured figure stands in a block that is generated from docs/benchmarks/results.json. Outside of these

- events/s, µs, a ratio with × or "times as", a percentile with its value and a table's column of such are always taken
  for measured;
- ms and MB are limits and settings: a word of `LIMIT` stands right before the number, or `SETTINGS` has the phrase.

Other limits of bytes are written in KiB or MiB, which are not checked. Code blocks show the output of commands, and
pages that are generated as a whole come from the code; neither is checked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from doc_tools import generated_blocks
from doc_tools.generated_blocks import BlockError

__all__ = ["findings", "main"]

ROOT = Path(__file__).resolve().parent.parent.parent
DRAWN = "<!-- Drawn from"
NUMBER = r"\d[\d,.]*"
THINGS = r"(?:events|records|changes|messages|webhooks|requests|look-ups)"
PERCENTILE = r"p(?:50|9\d(?:\.9+)?)"
MEASURED = (
    re.compile(rf"{NUMBER}\s*{THINGS}?/s\b|{NUMBER}\s+{THINGS}(?:\s+\S+){{0,2}}\s+(?:a|per)\s+second\b"),
    re.compile(rf"{NUMBER}\s*[µμ]s\b"),
    re.compile(rf"{NUMBER}\s*×|×\s*{NUMBER}|{NUMBER}\s+times\s+(?:as|faster|slower|the)\b"),
    re.compile(rf"\b{PERCENTILE}(?!\d|\.\d)\W{{1,3}}(?:is |was |of |at )?{NUMBER}|{NUMBER} \({PERCENTILE}"),
)
COLUMN = re.compile(rf"(?<!\S){THINGS}/s\b|(?<=\|) *{PERCENTILE} *(?=\|)")  # a figure in a row of a table
AMOUNT = re.compile(rf"{NUMBER}[\s-](?:ms|MB)\b")
LIMIT = re.compile(
    r"\b(?:up to|at most|at least|no more than|less than|above|below|over|under|within|every|after|waits?|"
    r"grace of|limit of|default of|default:?)\s+(?:some\s+)?$"
)
# Phrases with a setting or a limit that no word before it shows, and what each is.
SETTINGS = {
    "1 MB at a time": "how much of a compressed batch is unpacked in one piece",
    "256 MB record cache": "a setting of the program on Kafka Streams",
}


def main(root: Path = ROOT) -> int:
    lines = list(findings(root))
    for line in lines:
        print(line)
    return 1 if lines else 0


def findings(root: Path) -> Iterator[str]:
    """Yield ``path:line: what`` for each figure outside of a generated block."""
    for page in generated_blocks.pages(root):
        name, text = page.relative_to(root).as_posix(), page.read_text("utf-8")
        if text.startswith(DRAWN):
            continue
        try:
            yield from (f"{name}:{finding}" for finding in _page_findings(text))
        except BlockError as error:
            yield f"{name}:{error}"


def _page_findings(text: str) -> Iterator[str]:
    line_before = ""
    for number, line in _prose(text):
        if claims := list(dict.fromkeys(_claims(line, line_before))):
            yield (
                f"{number}: measured, and nothing draws it: {', '.join(claims)}; a figure belongs into a block of "
                "docs/benchmarks.md, a limit behind a word such as 'at most', a setting into quality.speed_claims"
            )
        line_before = line


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of generated blocks and of code."""
    fence = ""
    for number, line in generated_blocks.without_blocks(text):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        elif not fence:
            yield number, line


def _claims(line: str, line_before: str) -> Iterator[str]:
    """The figures of a line that count as measured."""
    for phrase in SETTINGS:
        line = line.replace(phrase, "")
    patterns = [*MEASURED, COLUMN] if line.startswith("|") else MEASURED
    for pattern in patterns:
        yield from (match[0].strip() for match in pattern.finditer(line))
    for match in AMOUNT.finditer(line):
        # A sentence may begin on the line before.
        if not LIMIT.search(f"{line_before} {line[: match.start()]}"):
            yield match[0]


if __name__ == "__main__":
    sys.exit(main())
