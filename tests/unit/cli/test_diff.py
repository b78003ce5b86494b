"""`segmenter diff`: what another file would do, against the oracle of both files and by hand.

The expected difference comes from the oracle's changes under each file alone, laid side by side instant by instant;
no code of the dry run is used for it.
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
from tests.support.diff_files import EVENTS, files

__all__ = ["files"]  # the fixture


SEEDS = 40
OLD, NEW = Path("old.yaml"), Path("new.yaml")
Difference = tuple[str, str, str, str | None]


# --- against the oracle ------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
def test_differences_are_those_of_the_oracle(late: bool) -> None:
    """Random histories and pairs of files give the oracle's differences, sizes and numbers of changes."""
    kinds = set[str]()
    for seed in range(SEEDS):
        rng = random.Random(f"diff {seed}")
        of = histories.scene(rng.choice)
        world = worlds.made(rng, histories.history(rng, of), histories.random_definitions(rng, of))
        sent = world.shuffled if late else world.sent
        old, new = (world.plain_definitions, other(rng, of)) if late else (world.definitions, other(rng, of))
        dry = DryRun(build(old, "old"), build(new, "new"))
        dry.run(world.late if late else world.events, world.until)
        report = document(dry, OLD, NEW)
        assert_report(report, sent, old, new, world.until, in_order=not late)
        kinds |= {
            difference["kind"] for segment in report["segments"].values() for difference in segment["differences"]
        }
    assert kinds == {"gained", "lost"}


def other(rng: random.Random, of: histories.Scene) -> Json:
    return histories.without_hold(histories.random_definitions(rng, of))


def assert_report(
    report: dict[str, Any], sent: Sequence[histories.Event], old: Json, new: Json, until: int, *, in_order: bool
) -> None:
    was, now = (oracle.changes(sent, definitions, until) for definitions in (old, new))
    keys = {change.segment for change in (*was, *now)}
    assert keys <= report["segments"].keys() | set(report["unchanged"])
    for key in report["unchanged"]:
        assert [change for change in was if change.segment == key] == [
            change for change in now if change.segment == key
        ]
    for key, segment in report["segments"].items():
        mine, theirs = ([change for change in changes if change.segment == key] for changes in (was, now))
        assert differences(mine, theirs) == {
            (difference["customer"], difference["kind"], difference["since"], difference["until"])
            for difference in segment["differences"]
        }
        for name, changes in (("old", mine), ("new", theirs)):
            assert segment["sizes"][name] == list(sizes(segment["sizes"], changes, until))
            assert segment[name]["members"] == len(members(changes, until))
            if in_order:  # what is taken back at one instant is no matter of the oracle's
                assert segment[name]["entered"] == sum(change.change == "entered" for change in changes)
                assert segment[name]["customers"] == len({change.customer_id for change in changes})


def differences(old: Sequence[OracleChange], new: Sequence[OracleChange]) -> set[Difference]:
    """The differences of each customer, looked at right after each instant at which anything changed."""
    intervals = set[Difference]()
    for customer in {change.customer_id for change in (*old, *new)}:
        own = [[change for change in side if change.customer_id == customer] for side in (old, new)]
        instants = sorted({change.occurred_at for side in own for change in side})
        states = [(at, *(customer in members(side, at) for side in own)) for at in instants]
        turns = [state for before, state in pairwise([(0, False, False), *states]) if before[1:] != state[1:]]
        for (since, was, now), after in zip(turns, [*turns[1:], None], strict=False):
            if was != now:
                kind = "gained" if now else "lost"
                intervals.add(
                    (customer, kind, format_instant(since), None if after is None else format_instant(after[0]))
                )
    return intervals


def members(changes: Sequence[OracleChange], at: int) -> set[str]:
    inside = set[str]()
    for change in changes:
        if change.occurred_at <= at:
            (inside.add if change.change == "entered" else inside.discard)(change.customer_id)
    return inside


def sizes(series: dict[str, Any], changes: Sequence[OracleChange], until: int) -> Iterator[int]:
    """The sizes of a segment right before each step ends; the last one at the end of all events."""
    first = oracle.milliseconds(series["first"])
    for number in range(1, len(series["old"]) + 1):
        yield len(members(changes, min(first + number * series["step_ms"] - 1, until)))
    assert first <= until < first + len(series["old"]) * series["step_ms"]


# --- by hand -----------------------------------------------------------------------------------


QUIET = "old file enters: no cart activity since 2026-03-01T{}:00.000Z, for 30 minutes; the cart holds 1 item"


def test_a_page(files: list[str]) -> None:
    """The page is as expected word for word: what is read, each segment that differs, and how much is sent in all."""
    done = segmenter("diff", *files, "-", stdin=EVENTS)
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
    """There are as many reasons as asked for; time goes up to `--until`, where the new file no longer differs."""
    done = segmenter("diff", *files, "-", "--json", "--examples", "1", "--until", "2026-03-01T10:40:00Z", stdin=EVENTS)
    report = json.loads(done.out)
    assert (report["events"], report["until"]) == (3, "2026-03-01T10:40:00.000Z")
    assert [difference.get("why") for difference in report["segments"]["cart"]["differences"]] == [
        {
            "by": "old",
            "change": "entered",
            "said": "no cart activity since 2026-03-01T10:00:00.000Z, for 30 minutes; the cart holds 1 item",
        },
        None,
    ]
    assert [difference["until"] for difference in report["segments"]["cart"]["differences"]] == [None, None]
    assert report["unchanged"] == ["bought"]


def test_a_file_beside_itself(files: list[str]) -> None:
    """Nothing differs, and as many changes are made."""
    output_lines = segmenter("diff", files[0], files[0], "-", stdin=EVENTS).out.splitlines()
    assert output_lines[-3:] == ["3 segments are unchanged", "", "changes in all: 5 → 5, that is 40.0 → 40.0 a day"]


def test_wrong_lines_and_files(files: list[str], tmp_path: Path) -> None:
    """A line that cannot be used is named and the rest is decided; wrong files and arguments are named, too."""
    done = segmenter("diff", *files, "-", stdin=b"[[\n" + EVENTS)
    assert (done.code, done.out) == (1, segmenter("diff", *files, "-", stdin=EVENTS).out)
    assert done.err == "line 1: not_json: [[\n1 dead letters\n"
    (tmp_path / "wrong.yaml").write_text("version: 1\nsegments: {a: {title: A, when: {cart: {idle_for: 30x}}}}\n")
    wrong = segmenter("diff", files[0], str(tmp_path / "wrong.yaml"), "-", stdin=EVENTS)
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
    """Both forms say that there are no events."""
    assert segmenter("diff", *files, "-").out == "no events, so nothing differs\n"
    assert json.loads(segmenter("diff", *files, "-", "--json").out)["segments"] == {}


def test_a_name_of_others_steers_no_terminal(files: list[str]) -> None:
    """A character that turns a line around is not printed as part of a customer's id."""
    done = segmenter("diff", *files, "-", stdin=line(event("a\u202eb", 1, "page", 0)))
    assert "\u202e" not in done.out
    assert "a�b" in done.out


def test_charts_by_hand() -> None:
    """Many hours fit into 48 characters, each as high as its largest hour; a single member can still be seen."""
    assert chart(np.array([0, 1, 4, 8]), 8) == " ▁▄█"
    assert chart(np.array([0] * 95 + [1_000]), 1_000) == " " * 47 + "█"
    assert chart(np.array([1, 1_000]), 1_000) == "▁█"
