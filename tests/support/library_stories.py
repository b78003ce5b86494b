"""The stories of the library: tables of steps (library_stories.yaml) into events and expected changes.

Only times and ids are computed here; the expected changes stand in the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

from rules.definitions import yaml_text
from tests.oracle.oracle import milliseconds

Json = dict[str, Any]
Steps = list[Json]

FROM = "2026-03-01T10:00:00Z"
CUSTOMER = "u1"
CALLS = ("page", "screen", "identify")
EVENT_KEYS = {"at", "customer", "event", "properties", "traits", "context", "times", "every"}
EXPECT_KEYS = {"at", "customer", "expect", "late"}
CHANGES = {"enters": "entered", "exits": "exited"}

_PART = re.compile(r"(-?)(\d+)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LibraryStory(NamedTuple):
    """The story of one segment: what is sent, and the changes of this segment up to ``until``."""

    segment: str
    why: str
    events: list[Json]
    until: str
    expected: list[Json]


@cache
def library() -> Json:
    """The library's file as it stands, read without the product's own reading of definitions."""
    document = yaml_text.read(files("rules").joinpath("segments.yaml").read_text("utf-8"))
    return cast("Json", document)


def stories() -> list[LibraryStory]:
    """The stories of the library, in the order of their file."""
    tables = cast("Json", yaml_text.read(Path(__file__).with_name("library_stories.yaml").read_text("utf-8")))
    return [story(segment, table) for segment, table in tables.items()]


def story(segment: str, table: Json) -> LibraryStory:
    steps = cast("Steps", table["steps"])
    assert table.keys() <= {"why", "from", "steps"}, segment
    begin = milliseconds(table.get("from", FROM))
    numbers = count(1)
    events = [event for step in steps if "event" in step for event in happenings(step, begin, numbers)]
    assert all("event" in step or "expect" in step for step in steps), segment
    expected = [change for step in steps if "expect" in step for change in expectations(step, begin, segment)]
    until = max(moment(step["at"], begin) for step in steps)
    return LibraryStory(segment, table["why"], events, written(until), expected)


def happenings(step: Json, begin: int, numbers: Iterator[int]) -> Iterator[Json]:
    """The event of a step, as often as it happens."""
    assert step.keys() <= EVENT_KEYS, step
    name = step["event"]
    call = {"type": name} if name in CALLS else {"type": "track", "event": name}
    parts = {part: step[part] for part in ("properties", "traits", "context") if part in step}
    for nth in range(step.get("times", 1)):
        at = moment(step["at"], begin) + nth * duration(step.get("every", "0m"))
        identity = {"messageId": f"m{next(numbers):03}", "userId": step.get("customer", CUSTOMER)}
        yield call | identity | {"timestamp": written(at)} | parts


def expectations(step: Json, begin: int, segment: str) -> Iterator[Json]:
    """The change of a step, if it is one."""
    assert step.keys() <= EXPECT_KEYS, step
    if step["expect"] == "nothing":
        return
    ((verb, key),) = cast("Mapping[str, str]", step["expect"]).items()
    assert key == segment, f"{key} in the story of {segment}"
    yield {
        "customer_id": step.get("customer", CUSTOMER),
        "segment": segment,
        "change": CHANGES[verb],
        "occurred_at": written(moment(step["at"], begin)),
        "late": step.get("late", False),
    }


def moment(at: str, begin: int) -> int:
    """The instant that is these durations after ``begin``, or is written out."""
    return milliseconds(at) if at.endswith("Z") else begin + duration(at)


def duration(text: str) -> int:
    """The milliseconds of a duration, the sum of its parts, such as ``30m -1ms``."""
    parts = [cast("re.Match[str]", _PART.fullmatch(part)).groups() for part in text.split()]
    return sum(int(sign + number) * _UNIT_MS[unit] for sign, number, unit in parts)


def written(instant: int) -> str:
    """An instant as RFC 3339 in UTC, to the millisecond."""
    return (_EPOCH + timedelta(milliseconds=instant)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def definitions_of(segment: str) -> Json:
    """The part of the library that decides a segment: itself, and what it names, as they stand there."""
    whole = library()
    keys: set[str] = set()
    ahead = [segment]
    while ahead:
        keys.add(key := entry_of(ahead.pop()))
        ahead += [name for name in named(whole["segments"][key]) if entry_of(name) not in keys]
    segments = {key: entry for key, entry in whole["segments"].items() if key in keys}
    return {"version": whole["version"], "currency": whole["currency"], "segments": segments}


def entry_of(segment: str) -> str:
    """The entry of the file that a segment comes from: itself, or the value whose band it is."""
    entries = library()["segments"]
    if segment in entries:
        return segment
    (entry,) = [key for key, definition in entries.items() if "bands" in definition and segment.startswith(f"{key}_")]
    return cast("str", entry)


def named(node: object) -> Iterator[str]:
    """The segments that `in_segment` names, however deep."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "in_segment":
                yield str(value)
            else:
                yield from named(value)
    elif isinstance(node, list):
        for member in node:
            yield from named(member)
