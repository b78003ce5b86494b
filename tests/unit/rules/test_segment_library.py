"""Every segment of the library does what its story says, in the product and in the oracle.

A story was computed by hand from the definition; product and oracle are both judged by it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

from rules.definitions.segments_file import build, built_in
from rules.engine import Engine
from rules.times import format_instant, parse_instant
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.oracle import oracle
from tests.support import library_stories
from tests.support.library_stories import LibraryStory

STORIES = library_stories.stories()
NEVER_LEFT = {"hold_out"}  # a customer's share is what it is
PROMISED = {"abandoned_cart", "recently_purchased", "returning_visitor", "repeat_buyer"}
ChangesByCustomer = dict[str, list[dict[str, Any]]]


def segment_of(story: LibraryStory) -> str:
    return story.segment


def per_customer(changes: Iterable[dict[str, Any]]) -> ChangesByCustomer:
    own: ChangesByCustomer = defaultdict(list)
    for change in changes:
        own[change["customer_id"]].append(change)
    return own


def by_product(engine: Engine, story: LibraryStory) -> ChangesByCustomer:
    """The changes of the product, from the bytes that a shop would send."""
    events = [decode_line(json.dumps(event, ensure_ascii=False).encode()) for event in story.events]
    return per_customer(
        {
            "customer_id": change.customer, "segment": change.segment, "change": str(change.kind),
            "occurred_at": format_instant(change.occurred_at), "late": change.late,
        }
        for change in Replay(engine).run(events, parse_instant(story.until))
        if change.segment == story.segment
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The library as a whole, as a worker without a file of its own runs it."""
    return Engine(built_in())


@pytest.mark.parametrize("story", STORIES, ids=segment_of)
def test_the_product_decides_as_the_story_says(story: LibraryStory, engine: Engine) -> None:
    """The product decides a story's segment among all others as under its own definitions alone."""
    assert by_product(engine, story) == per_customer(story.expected)
    alone = Engine(build(library_stories.definitions_of(story.segment), "story.yaml"))
    assert by_product(alone, story) == per_customer(story.expected)


@pytest.mark.parametrize("story", STORIES, ids=segment_of)
def test_the_oracle_decides_as_the_story_says(story: LibraryStory) -> None:
    """The oracle reads the library's file as it stands, with bands and holds."""
    definitions = library_stories.definitions_of(story.segment)
    decided = oracle.changes(story.events, definitions, oracle.milliseconds(story.until))
    changes = [
        {**change._asdict(), "occurred_at": library_stories.written(change.occurred_at)}
        for change in decided
        if change.segment == story.segment
    ]
    assert per_customer(changes) == per_customer(story.expected)


def test_every_segment_has_a_story() -> None:
    """A new segment needs a story that was worked out by hand, and none is left out."""
    keys = [segment.key for segment in built_in().segments]
    assert sorted(story.segment for story in STORIES) == sorted(keys)
    assert set(oracle.conditions_of(library_stories.library())) == set(keys)
    assert set(keys) >= PROMISED
    assert len(keys) >= 55


def test_every_story_enters_leaves_and_comes_near() -> None:
    """Each has an entry, an exit where one is possible, and a moment at which nothing happens."""
    for story in STORIES:
        changes = {change["change"] for change in story.expected}
        assert changes == {"entered"} | ({"exited"} if story.segment not in NEVER_LEFT else set()), story.segment
        assert story.why, story.segment


def test_every_segment_says_what_it_is() -> None:
    """Each has a title, a description and a kind, by which a person chooses segments."""
    for key, entry in library_stories.library()["segments"].items():
        assert all(isinstance(entry.get(text), str) and entry[text] for text in ("title", "about", "kind")), key
    for segment in built_in().segments:
        assert segment.title, segment.key
        assert segment.about, segment.key
        assert segment.kind, segment.key
    titles = [segment.title for segment in built_in().segments]
    assert len(set(titles)) == len(titles)
