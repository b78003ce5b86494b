"""The published stories: current, complete in themselves, and run by the program that stands beside them.

The stories are read from the published file, as another implementation would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.times import format_instant, parse_instant
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.oracle import oracle
from tests.support import conformance, library_stories

Json = dict[str, Any]
ChangesByCustomer = dict[str, list[tuple[str, str, str, bool]]]

STORIES: list[Json] = [json.loads(line) for line in (conformance.ROOT / conformance.FILE).read_text().splitlines()]
RUN = conformance.ROOT / "docs" / "conformance" / "run.py"
KEYS = ["name", "why", "definitions", "compared", "events", "until", "expected"]
# Behaves as specified for one customer that adds to a cart: half an hour later that customer is in.
PROGRAM = """
import json, sys
event = json.loads(open(sys.argv[1]).readline())
json.load(open(sys.argv[2]))
print(json.dumps({"customer_id": event["userId"], "segment": "abandoned_cart", "change": "entered",
    "occurred_at": "2026-03-01T10:30:00.000Z", "late": False, "more": 1}))
print(json.dumps({"customer_id": "u1", "segment": "mine", "change": "entered",
    "occurred_at": sys.argv[3], "late": False}))
"""


def name_of(story: Json) -> str:
    return str(story["name"])


def expected(story: Json) -> ChangesByCustomer:
    own: ChangesByCustomer = {}
    for change in story["expected"]:
        row = (change["segment"], change["change"], change["occurred_at"], change["late"])
        own.setdefault(change["customer_id"], []).append(row)
    return own


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_a_published_story(story: Json) -> None:
    """With the definitions of its own line, product and oracle give the changes of the story."""
    events = [decode_line(json.dumps(event).encode()) for event in story["events"]]
    by_product: ChangesByCustomer = {}
    for change in Replay(Engine(build(story["definitions"], "story"))).run(events, parse_instant(story["until"])):
        if change.segment in story["compared"]:
            row = (change.segment, str(change.kind), format_instant(change.occurred_at), change.late)
            by_product.setdefault(change.customer, []).append(row)
    by_oracle: ChangesByCustomer = {}
    for oracle_change in oracle.changes(story["events"], story["definitions"], oracle.milliseconds(story["until"])):
        if oracle_change.segment in story["compared"]:
            row = (
                oracle_change.segment,
                oracle_change.change,
                library_stories.written(oracle_change.occurred_at),
                oracle_change.late,
            )
            by_oracle.setdefault(oracle_change.customer_id, []).append(row)
    assert by_product == by_oracle == expected(story)


def test_every_story_is_complete() -> None:
    """A story has all keys, a name of its own, and expects nothing that is not compared or not defined."""
    assert len(STORIES) >= 57 + 55
    assert max(Counter(map(name_of, STORIES)).values()) == 1
    for story in STORIES:
        assert list(story) == KEYS, story["name"]
        assert {change["segment"] for change in story["expected"]} <= set(story["compared"]), story["name"]
        assert set(story["compared"]) <= set(oracle.conditions_of(story["definitions"])), story["name"]


def test_the_file_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main(["--check"]) == 0, capsys.readouterr().err


def test_a_file_that_is_not_current_is_named_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a missing or changed file --check says what to run, and that puts it right."""
    path = tmp_path / conformance.FILE
    assert conformance.main(["--check"], tmp_path) == 1
    assert not path.exists()
    assert conformance.main([], tmp_path) == 0
    path.write_text(path.read_text().replace("entered", "exited", 1))
    assert conformance.main(["--check"], tmp_path) == 1
    assert "run python -m tests.support.conformance" in capsys.readouterr().err
    assert conformance.main([], tmp_path) == conformance.main(["--check"], tmp_path) == 0
    assert conformance.main(["--chekc"], tmp_path) == 2


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(RUN), *words]  # -I: nothing of this project within reach
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_runner_on_the_segmenter() -> None:
    """The command of the README passes on stories with bands, another segment, Persian names and late events."""
    segmenter = [sys.executable, "-m", "streams", "replay"]
    words = [*segmenter, "{events}", "--definitions", "{definitions}", "--until", "{until}"]
    for only, count in (("library: vip", 1), ("library: customer_value_", 3), ("Persian", 1), ("library: from_", 4)):
        done = run("--only", only, *words)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout == f"{count} of {count} stories came out\n"


def test_the_runner_on_another_program(tmp_path: Path) -> None:
    """Other segments than the compared ones are ignored; a difference is shown, and is exit code 1."""
    program = tmp_path / "other.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program), "{events}", "{definitions}", "{until}"]
    assert run("--only", "a cart goes quiet", *words).stdout == "1 of 1 stories came out\n"
    done = run("--only", "one millisecond early", *words)
    assert done.returncode == 1
    assert "FAILED a cart is not quiet one millisecond early: Nothing fires before its instant.\n" in done.stdout
    assert "wanted no change\n" in done.stdout
    assert "found  ('abandoned_cart', 'entered', '2026-03-01T10:30:00.000Z', False)\n" in done.stdout
    assert done.stdout.endswith("0 of 1 stories came out\n")


@pytest.mark.parametrize(("code", "words"), [("raise SystemExit(3)", "exit code 3"), ("print(1)", "is no change")])
def test_the_runner_on_a_broken_program(code: str, words: str) -> None:
    """A program that prints nothing, or no changes, does not pass where no change is expected."""
    done = run("--only", "one millisecond early", sys.executable, "-c", code)
    assert done.returncode == 1
    assert words in done.stdout


@pytest.mark.parametrize("words", [["--only", "no such story"], ["there-is-no-such-program"]])
def test_wrong_arguments_of_the_runner(words: list[str]) -> None:
    assert run(*words).returncode == 2
