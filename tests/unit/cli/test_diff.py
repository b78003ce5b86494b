"""`segmenter diff`: what another file would do, against the oracle of both files and by hand.

The one rule: what is expected comes from the oracle's changes under each file alone, laid side by side instant by
instant; nothing of the dry run is used for it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rules.definitions.segments_file import build
from rules.times import format_instant
from streams.cli.diff_report import chart, document
from streams.cli.terminal import wrapped
from streams.offline.definitions_comparison import DryRun
from tests.oracle import oracle
from tests.oracle.oracle import Json, OracleChange
from tests.strategies import histories, worlds
from tests.support.commands import event, line, segmenter
from tests.support.diff_files import TOLD, files

__all__ = ["files"]  # the fixture


SEEDS = 40
OLD, NEW = Path("old.yaml"), Path("new.yaml")
Difference = tuple[str, str, str, str | None]


# --- against the oracle ------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
def test_differences_are_those_of_the_oracle(late: bool) -> None:
    """Of random histories and pairs of files: who differs, from when until when, sizes, and how many changes."""
    kinds = set[str]()
    for seed in range(SEEDS):
        rng = random.Random(f"diff {seed}")
        of = histories.scene(rng.choice)
        world = worlds.made(rng, histories.history(rng, of), histories.random_definitions(rng, of))
        sent = world.shuffled if late else world.sent
        old, new = (world.plain_definitions, other(rng, of)) if late else (world.definitions, other(rng, of))
        dry = DryRun(build(old, "old"), build(new, "new"))
        dry.run(world.late if late else world.events, world.until)
        told = document(dry, OLD, NEW)
        assert_told(told, sent, old, new, world.until, in_order=not late)
        kinds |= {one["kind"] for segment in told["segments"].values() for one in segment["differences"]}
    assert kinds == {"gained", "lost"}


def other(rng: random.Random, of: histories.Scene) -> Json:
    return histories.without_hold(histories.random_definitions(rng, of))


def assert_told(
    told: dict[str, Any], sent: Sequence[histories.Event], old: Json, new: Json, until: int, *, in_order: bool
) -> None:
    was, now = (oracle.changes(sent, one, until) for one in (old, new))
    keys = {change.segment for change in (*was, *now)}
    assert keys <= told["segments"].keys() | set(told["unchanged"])
    for key in told["unchanged"]:
        assert [one for one in was if one.segment == key] == [one for one in now if one.segment == key]
    for key, segment in told["segments"].items():
        mine, theirs = ([one for one in found if one.segment == key] for found in (was, now))
        assert differences(mine, theirs) == {
            (one["customer"], one["kind"], one["since"], one["until"]) for one in segment["differences"]
        }
        for name, found in (("old", mine), ("new", theirs)):
            assert segment["sizes"][name] == list(sizes(segment["sizes"], found, until))
            assert segment[name]["members"] == len(members(found, until))
            if in_order:  # what is taken back at one instant is no matter of the oracle's
                assert segment[name]["entered"] == sum(one.change == "entered" for one in found)
                assert segment[name]["customers"] == len({one.customer_id for one in found})


def differences(old: Sequence[OracleChange], new: Sequence[OracleChange]) -> set[Difference]:
    """Each customer looked at right after each instant at which anything changed."""
    found = set[Difference]()
    for customer in {one.customer_id for one in (*old, *new)}:
        own = [[one for one in side if one.customer_id == customer] for side in (old, new)]
        instants = sorted({one.occurred_at for side in own for one in side})
        states = [(at, *(customer in members(side, at) for side in own)) for at in instants]
        turns = [one for before, one in pairwise([(0, False, False), *states]) if before[1:] != one[1:]]
        for (since, was, now), after in zip(turns, [*turns[1:], None], strict=False):
            if was != now:
                kind = "gained" if now else "lost"
                found.add((customer, kind, format_instant(since), None if after is None else format_instant(after[0])))
    return found


def members(found: Sequence[OracleChange], at: int) -> set[str]:
    inside = set[str]()
    for one in found:
        if one.occurred_at <= at:
            (inside.add if one.change == "entered" else inside.discard)(one.customer_id)
    return inside


def sizes(told: dict[str, Any], found: Sequence[OracleChange], until: int) -> Iterator[int]:
    """Right before each step ends; of the last, at the end of all."""
    first = oracle.milliseconds(told["first"])
    for number in range(1, len(told["old"]) + 1):
        yield len(members(found, min(first + number * told["step_ms"] - 1, until)))
    assert first <= until < first + len(told["old"]) * told["step_ms"]


# --- by hand -----------------------------------------------------------------------------------


QUIET = "old file enters: no cart activity since 2026-03-01T{}:00.000Z, for 30 minutes; the cart holds 1 item"


def test_a_page(files: list[str]) -> None:
    """Word for word: what is read, each segment that differs with sizes and examples, and how much is sent in all."""
    done = segmenter("diff", *files, "-", stdin=TOLD)
    assert (done.code, done.err) == (0, "")
    old, new = files
    first, until = "2026-03-01T10:00:00.000Z", "2026-03-01T13:00:00.000Z"
    page = [
        f"old {old}, new {new}",
        f"5 events of 3 customers, {first} to {until} (0.1 days)",
        "1 segments are unchanged, all others follow",
        "",
        "came (added)",
        "                                 old         new",
        "  changes a day                  0.0         8.0",
        "  changes                          0           1",
        "  customers ever in it             0           1",
        "  members at the end               0           1   1 more, 0 no longer",
        "  size, old file        up to 0",
        "  size, new file  ████  up to 1",
        "  in it at some time only under the new file: 1 customers; only under the old: 0",
        "  + c  2026-03-01T10:10:00.000Z to the end  new file enters: 1 × page ever (asked: at least 1)",
        "",
        "cart (changed)",
        "                                 old         new",
        "  changes a day                 24.0         8.0",
        "  changes                          3           1",
        "  customers ever in it             2           1",
        "  members at the end               1           1   0 more, 0 no longer",
        "  size, old file  ████  up to 1",
        "  size, new file   ███  up to 1",
        "  in it at some time only under the new file: 0 customers; only under the old: 2",
        f"  - a  2026-03-01T10:30:00.000Z to 2026-03-01T10:45:00.000Z  {QUIET.format('10:00')}",
        f"  - b  2026-03-01T10:35:00.000Z to 2026-03-01T11:05:00.000Z  {QUIET.format('10:05')}",
        "",
        "gone (removed)",
        "                                 old         new",
        "  changes a day                  8.0         0.0",
        "  changes                          1           0",
        "  customers ever in it             1           0",
        "  members at the end               1           0   0 more, 1 no longer",
        "  size, old file  ████  up to 1",
        "  size, new file        up to 0",
        "  in it at some time only under the new file: 0 customers; only under the old: 1",
        "  - c  2026-03-01T10:10:00.000Z to the end  old file enters: 1 × page ever (asked: at least 1)",
        "",
        "changes in all: 5 → 3, that is 40.0 → 24.0 a day",
    ]
    assert done.out.splitlines() == [part for text in page for part in wrapped(text)]


def test_examples_and_until(files: list[str]) -> None:
    """As many reasons as asked for, and time up to a moment, at which the new file no longer differs."""
    done = segmenter("diff", *files, "-", "--json", "--examples", "1", "--until", "2026-03-01T10:40:00Z", stdin=TOLD)
    told = json.loads(done.out)
    assert (told["events"], told["until"]) == (3, "2026-03-01T10:40:00.000Z")
    assert [one.get("why") for one in told["segments"]["cart"]["differences"]] == [
        {
            "by": "old",
            "change": "entered",
            "said": "no cart activity since 2026-03-01T10:00:00.000Z, for 30 minutes; the cart holds 1 item",
        },
        None,
    ]
    assert [one["until"] for one in told["segments"]["cart"]["differences"]] == [None, None]
    assert told["unchanged"] == ["bought"]


def test_a_file_beside_itself(files: list[str]) -> None:
    """Nothing differs, and as many changes are made."""
    told = segmenter("diff", files[0], files[0], "-", stdin=TOLD).out.splitlines()
    assert told[-3:] == ["3 segments are unchanged", "", "changes in all: 5 → 5, that is 40.0 → 40.0 a day"]


def test_wrong_lines_and_files(files: list[str], tmp_path: Path) -> None:
    """A line that cannot be used is named, the rest is decided; and wrong files and arguments are said."""
    done = segmenter("diff", *files, "-", stdin=b"[[\n" + TOLD)
    assert (done.code, done.out) == (1, segmenter("diff", *files, "-", stdin=TOLD).out)
    assert done.err == "line 1: not_json: [[\n1 dead letters\n"
    (tmp_path / "wrong.yaml").write_text("version: 1\nsegments: {a: {title: A, when: {cart: {idle_for: 30x}}}}\n")
    wrong = segmenter("diff", files[0], str(tmp_path / "wrong.yaml"), "-", stdin=TOLD)
    assert (wrong.code, wrong.out) == (1, "")
    assert "segments.a.when.cart.idle_for: '30x' is not a duration" in wrong.err
    assert segmenter("diff", files[0], str(tmp_path / "none.yaml"), "-").code == 1
    for arguments in (
        files,
        [*files, "-", "--topics"],
        [*files, "-", "--examples", "-1"],
        [*files, "-", "--until", "x"],
    ):
        done = segmenter("diff", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_no_events(files: list[str]) -> None:
    """Said, in both forms."""
    assert segmenter("diff", *files, "-").out == "no events, so nothing differs\n"
    assert json.loads(segmenter("diff", *files, "-", "--json").out)["segments"] == {}


def test_a_name_of_others_steers_no_terminal(files: list[str]) -> None:
    """Who is called by a character that turns a line around."""
    told = segmenter("diff", *files, "-", stdin=line(event("a\u202eb", 1, "page", 0)))
    assert "\u202e" not in told.out
    assert "a�b" in told.out


def test_charts_by_hand() -> None:
    """Many hours in 48 characters, each as high as the largest of its hours; who is there at all is seen."""
    assert chart(np.array([0, 1, 4, 8]), 8) == " ▁▄█"
    assert chart(np.array([0] * 95 + [1_000]), 1_000) == " " * 47 + "█"
    assert chart(np.array([1, 1_000]), 1_000) == "▁█"
