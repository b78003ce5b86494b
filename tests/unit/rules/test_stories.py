"""Every hand-computed story comes out of the product, from the bytes that a shop would send."""

import json
from collections import defaultdict
from pathlib import Path
from typing import TypedDict, cast

import pytest

from rules.changes import Change
from rules.definitions.segments_file import Definitions, build, built_in
from rules.engine import Engine
from rules.times import format_instant, parse_instant
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line


class Expected(TypedDict):
    customer_id: str
    segment: str
    change: str
    occurred_at: str
    late: bool


class Story(TypedDict):
    name: str
    definitions: dict[str, object] | None
    events: list[dict[str, object]]
    until: str | None
    expected: list[Expected]


STORIES = cast("list[Story]", json.loads((Path(__file__).parents[2] / "support" / "stories.json").read_text()))
# Of the built-in file, which may grow.
COMPARED = {"abandoned_cart", "recently_purchased", "returning_visitor", "repeat_buyer"}


def name_of(story: Story) -> str:
    return story["name"]


def definitions_of(story: Story) -> Definitions:
    return built_in() if story["definitions"] is None else build(story["definitions"], "story.yaml")


def compared(change: Change) -> Expected:
    return {
        "customer_id": change.customer,
        "segment": change.segment,
        "change": change.kind,
        "occurred_at": format_instant(change.occurred_at),
        "late": change.late,
    }


def per_customer(changes: list[Expected]) -> dict[str, list[Expected]]:
    own: dict[str, list[Expected]] = defaultdict(list)
    for change in changes:
        own[change["customer_id"]].append(change)
    return own


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_story(story: Story) -> None:
    """What was computed by hand comes out, in order per customer, late or not."""
    replay = Replay(Engine(definitions_of(story)))
    lines = [json.dumps(event, ensure_ascii=False).encode() for event in story["events"]]
    until = None if story["until"] is None else parse_instant(story["until"])
    changes = [compared(change) for change in replay.run(map(decode_line, lines), until)]
    if story["definitions"] is None:
        changes = [change for change in changes if change["segment"] in COMPARED]
    assert per_customer(changes) == per_customer(story["expected"])


def test_every_story_has_a_name_of_its_own() -> None:
    """A story that fails is found by its name."""
    assert len({story["name"] for story in STORIES}) == len(STORIES) >= 57
