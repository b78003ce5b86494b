"""The stories as a file that any implementation can run: ``python -m tests.support.conformance [--check]``.

The one rule: every line stands for itself, with the definitions that it is decided by and the
segments that are compared; the built-in file is never meant in silence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.oracle import oracle
from tests.support import library_stories

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FILE = "docs/conformance/stories.jsonl"
HAND_MADE = Path(__file__).with_name("stories.json")
# What a story of stories.json is decided by that names no definitions, and is compared by.
FOUR = ("abandoned_cart", "recently_purchased", "returning_visitor", "repeat_buyer")


def lines() -> Iterator[Json]:
    """The stories of the contract first, then those of the library."""
    yield from map(of_contract, json.loads(HAND_MADE.read_text("utf-8")))
    yield from map(of_library, library_stories.stories())


def of_contract(story: Json) -> Json:
    definitions = story["definitions"] or four()
    until = story["until"] or library_stories.written(oracle.latest(story["events"]))
    return {
        "name": story["name"],
        "why": story["why"],
        "definitions": definitions,
        "compared": sorted(oracle.conditions_of(definitions)),
        "events": story["events"],
        "until": until,
        "expected": story["expected"],
    }


def four() -> Json:
    """The four segments of the contract, as they stand in the library."""
    whole = library_stories.library()
    return {**whole, "segments": {key: whole["segments"][key] for key in FOUR}}


def of_library(story: library_stories.LibraryStory) -> Json:
    return {
        "name": f"library: {story.segment}",
        "why": story.why,
        "definitions": library_stories.definitions_of(story.segment),
        "compared": [story.segment],
        "events": story.events,
        "until": story.until,
        "expected": story.expected,
    }


def text() -> str:
    """The whole file."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines())


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the file if it is not current, or with ``--check`` say so; the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tests.support.conformance [--check]\n")
        return 2
    path = root / FILE
    if path.is_file() and path.read_text("utf-8") == text():
        return 0
    if arguments:
        sys.stderr.write(f"{FILE} is not what the stories say: run python -m tests.support.conformance\n")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
