"""Runs the stories beside it through a program: ``python run.py [--only TEXT] [COMMAND …]``.

The one rule: the program is judged by what it prints. It gets the events, the definitions and the
end as files and words in place of ``{events}``, ``{definitions}`` and ``{until}``, and prints one
JSON object per change. Nothing but Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SEGMENTER = ("segmenter", "replay", "{events}", "--definitions", "{definitions}", "--until", "{until}")
FIELDS = ("segment", "change", "occurred_at", "late")


def main() -> int:
    """0 when every story came out, 1 when one did not, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="stories whose name has this in it")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=f"default: {' '.join(SEGMENTER)}")
    arguments = parser.parse_args()
    command = [word for word in arguments.command if word != "--"] or list(SEGMENTER)
    if shutil.which(command[0]) is None:
        parser.error(f"there is no program {command[0]}")
    file = Path(__file__).with_name("stories.jsonl")
    stories = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    chosen = [story for story in stories if arguments.only in story["name"]]
    if not chosen:
        parser.error(f"no story has {arguments.only!r} in its name")
    failed = [story["name"] for story in chosen if not passes(story, command)]
    sys.stdout.write(f"{len(chosen) - len(failed)} of {len(chosen)} stories came out\n")
    return 1 if failed else 0


def passes(story: Json, command: list[str]) -> bool:
    """Run one story; what differs is printed."""
    try:
        actual = per_customer(change for change in run(story, command) if change["segment"] in story["compared"])
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"FAILED {story['name']}: exit code {error.returncode}\n")
        return False
    except (ValueError, KeyError, TypeError) as error:
        sys.stdout.write(f"FAILED {story['name']}: the printed text is no change: {error!r}\n")
        return False
    wanted = per_customer(story["expected"])
    for customer in sorted(actual.keys() | wanted.keys()):
        if actual.get(customer) != wanted.get(customer):
            sys.stdout.write(f"FAILED {story['name']}: {story['why']}\n  customer {customer}\n")
            sys.stdout.writelines(f"  wanted {change}\n" for change in wanted.get(customer, ["no change"]))
            sys.stdout.writelines(f"  found  {change}\n" for change in actual.get(customer, ["no change"]))
    return actual == wanted


def run(story: Json, command: list[str]) -> list[Json]:
    """What the program prints for a story."""
    with tempfile.TemporaryDirectory() as folder:
        events, definitions = Path(folder) / "events.jsonl", Path(folder) / "definitions.json"
        lines = (json.dumps(event, ensure_ascii=False) + "\n" for event in story["events"])
        events.write_text("".join(lines), "utf-8")
        definitions.write_text(json.dumps(story["definitions"], ensure_ascii=False), "utf-8")
        replacements = {"{events}": str(events), "{definitions}": str(definitions), "{until}": story["until"]}
        words = [replacements.get(word, word) for word in command]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)  # noqa: S603 (the program to be judged)
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def per_customer(changes: Any) -> dict[str, list[tuple[Any, ...]]]:
    """(segment, change, occurred_at, late) in order, by customer; between customers there is no order."""
    own: dict[str, list[tuple[Any, ...]]] = {}
    for change in changes:
        own.setdefault(change["customer_id"], []).append(tuple(change[name] for name in FIELDS))
    return own


if __name__ == "__main__":
    sys.exit(main())
