"""Replays all cases of one segments file in one run, and tells where the memberships differ from the right ones."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.input_surface.model import MARK, UNTIL, Case
from tests.input_surface.truth import own_keys, text_of

REFUSAL: Final = re.compile(r"line (\d+): ([a-z_]+)")


@dataclass(frozen=True)
class Difference:
    """A case whose result is not the right one, and the sentence that says how."""

    case: Case
    what: str

    def __str__(self) -> str:
        lines = "\n    ".join(case[:400] for case in self.case.lines)
        return f"{self.case.name} [{self.case.file}; {' '.join(self.case.rules)}]: {self.what}\n    {lines}"


@dataclass(frozen=True)
class Outcome:
    """What a replay gave: the memberships per customer, and the reason per refused line."""

    segments: dict[str, frozenset[str]]
    refused: dict[int, str]


def replay(lines: Sequence[str], file: str, folder: Path) -> Outcome:
    """Run the product's `replay` over the lines."""
    events, definitions = folder / f"{file}.jsonl", folder / f"{file}.yaml"
    events.write_text("".join(f"{case}\n" for case in lines), encoding="utf-8")
    definitions.write_text(text_of(file), encoding="utf-8")
    command = [sys.executable, "-m", "streams", "replay", str(events), "--definitions", str(definitions)]
    done = subprocess.run([*command, "--until", UNTIL], capture_output=True, text=True, encoding="utf-8", check=False)
    refused = {int(hit[1]): hit[2] for hit in map(REFUSAL.match, done.stderr.splitlines()) if hit}
    if done.returncode not in (0, 1) or (done.returncode == 1 and not refused):
        raise RuntimeError(f"replay with {file}.yaml: {done.stderr[-2000:]}")
    segments: dict[str, frozenset[str]] = {}
    for text in done.stdout.splitlines():
        change = json.loads(text)
        segments[change["customer_id"]] = frozenset(change["segments"])
    return Outcome(segments, refused)


def differences(cases: Sequence[Case], file: str, folder: Path) -> list[Difference]:
    """The differences of the cases of one file."""
    lines: list[str] = []
    first: list[int] = []  # number of the first line of each case
    for index, case in enumerate(cases):
        first.append(len(lines) + 1)
        lines += [case.replace(MARK, f"{index}-") for case in case.lines]
    outcome = replay(lines, file, folder)
    hit = []
    for index, case in enumerate(cases):
        sentences = [*_refusals(case, first[index], outcome), *_memberships(case, index, outcome)]
        if sentences:
            hit.append(Difference(case, "; ".join(sentences)))
    return hit


def _refusals(case: Case, first: int, outcome: Outcome) -> list[str]:
    numbers = range(1, len(case.lines) + 1)
    given = {case: outcome.refused[first + case - 1] for case in numbers if first + case - 1 in outcome.refused}
    return [] if given == dict(case.refused) else [f"refused {given or 'none'}, right {dict(case.refused) or 'none'}"]


def _memberships(case: Case, index: int, outcome: Outcome) -> list[str]:
    compared = own_keys(case.file) - case.undecided
    hit = []
    for customer, right in case.right.items():
        given = outcome.segments.get(customer.replace(MARK, f"{index}-"), frozenset()) & compared
        if given != right & compared:
            more, less = sorted(given - right), sorted(right & compared - given)
            hit.append(f"{customer}: wrongly in {more}, missing in {less}")
    return hit
