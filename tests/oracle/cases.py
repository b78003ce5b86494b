"""Histories written by hand, and their results.

Times are milliseconds after START, in the events as in the results.
"""

from collections.abc import Mapping
from datetime import timedelta

from tests.oracle.oracle import changes, milliseconds
from tests.strategies import histories
from tests.strategies.histories import START, Event

START_MS = milliseconds(START)  # time 0 of the histories told here
CALLS = ("page", "screen", "identify", "group", "alias")


class Timeline:
    """A hand-written history: each line is one event `at` milliseconds after START."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, at: int, name: str, **properties: object) -> "Timeline":
        """Under `traits` and `context` stand those, under `customer` and `message` the ids."""
        kind: Event = {"type": name} if name in CALLS else {"type": "track", "event": name}
        customer, message = properties.pop("customer", "u1"), properties.pop("message", f"m{len(self.events):03}")
        parts = {part: properties.pop(part) for part in ("traits", "context") if part in properties}
        stamp = histories.written(START + timedelta(milliseconds=at), "Z")
        ids: Event = {"userId": customer, "messageId": message, "timestamp": stamp}
        self.events.append(kind | ids | parts | {"properties": properties})
        return self

    def gives(self, when: Event, until: int | None = None, **segment: object) -> list[tuple[str, int]]:
        """The changes of one segment of this condition."""
        return [change[1:] for change in self.all({"s": {"when": when} | segment}, until)]

    def all(self, segments: Mapping[str, Event], until: int | None = None) -> list[tuple[str, str, int]]:
        """The changes of these segments, in a file whose currency is the euro."""
        definitions = {"version": 1, "currency": "EUR", "segments": segments}
        oracle_changes = changes(self.events, definitions, None if until is None else START_MS + until)
        return [(change.segment, change.change, change.occurred_at - START_MS) for change in oracle_changes]
