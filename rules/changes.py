"""Segment changes as they are decided: what changed, why, the id, and the sequence number.

The one rule: the same decision has the same id, wherever and however often it is made. A change is numbered once, when
it is certain that it is published (`numbered`).

See also `streams.wire.changes` for the record on the topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal

import msgspec

from rules.customer import Customer
from rules.event_names import UNNAMED
from rules.events import Event
from rules.reasons import Reason

ChangeKind = Literal["entered", "exited"]
ChangeCause = Literal["event", "time", "erasure", "merge", "definition"]

UNNUMBERED = 0


class Change(msgspec.Struct, frozen=True, gc=False):
    """An entry into or exit from a segment, as decided.

    ``event``: its cause; ``None`` if time alone or other definitions caused it.

    ``sequence``: `UNNUMBERED` until it is certain that the change is published (`numbered`). ``backfill``: caused by
    other definitions, or by a rebuild from all events; nothing happened to the customer. ``data``: what the segment's
    changes carry (`rules.definitions.change_data`), as no part of the decision.
    """

    customer: str
    segment: str
    kind: ChangeKind
    occurred_at: int
    sequence: int
    segments: tuple[str, ...]
    event: Event | None
    reason: Reason
    definition: str
    late: bool
    stayed_ms: int = 0  # for an exit: the time since the entry
    backfill: bool = False
    data: Mapping[str, object] | None = None

    @property
    def cause(self) -> ChangeCause:
        """The cause of the decision."""
        if self.event is None:
            return "definition" if self.backfill else "time"
        if self.event.name != UNNAMED:
            return "event"
        return "erasure" if self.event.is_erasure else "merge"

    @property
    def id(self) -> str:
        """The id: the same for the same decision, wherever and however often it is made."""
        cause = f"{self.cause}\0" if self.event is None else f"{self.cause}\0{self.event.id}"
        # No part but the last, the event's id, can hold the separator.
        decided = f"{self.definition}\0{self.segment}\0{self.kind}\0{self.occurred_at}"
        return sha256(f"{decided}\0{self.customer}\0{cause}".encode()).hexdigest()[:32]


def numbered(customer: Customer, decided: Iterable[Change]) -> list[Change]:
    """Give decided changes the customer's next sequence numbers; only this function counts them up."""
    changes = []
    for change in decided:
        customer.sequence += 1
        changes.append(msgspec.structs.replace(change, sequence=customer.sequence))
    return changes
