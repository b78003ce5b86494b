"""The standing: what was decided about a customer.

The one rule: decisions never go back. The instant only grows, every change takes the next
sequence number, and entered and exited of one segment alternate.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec

from rules.events import Event
from rules.profile import Profile
from rules.reasons import Reason

Kind = Literal["entered", "exited"]


class Ahead(msgspec.Struct, array_like=True, gc=False):
    """What was published of a customer beyond its standing; see `rules.ahead`.

    ``waiting``: ids of published changes that were not decided again yet. ``newest`` (ms): when
    the latest published change occurred. ``wake`` (ms): when the wait for them ends, even if
    nothing happens. ``segments``: the membership after the last published change, sorted.
    """

    waiting: set[str]
    newest: int
    wake: int
    segments: tuple[str, ...]


class Customer(msgspec.Struct, array_like=True, gc=False):
    """A customer: the standing and the profile that it was decided from.

    ``instant`` (ms): the latest moment at which this customer was decided. ``since`` (ms): by
    place of a segment, when it was entered, for those that the customer is in. ``dues`` (ms): by
    place, when time alone may next change it, where it may; ``due``: the next of them, 0 = none.
    ``ahead``: what was published that this standing does not know, nearly always nothing.
    ``late``: how often something came out of its order: an event after its time, or a change that
    was not decided as it had been published. With 0, what was decided follows from the events alone.
    """

    instant: int
    sequence: int
    since: dict[int, int]
    dues: dict[int, int]
    profile: Profile
    due: int = 0
    ahead: Ahead | None = None
    late: int = 0


class Change(msgspec.Struct, frozen=True, gc=False):
    """A segment entered or left. ``event``: what caused it, ``None`` when time alone did."""

    customer: str
    segment: str
    kind: Kind
    occurred_at: int
    sequence: int
    segments: tuple[str, ...]
    event: Event | None
    reason: Reason
    definition: str
    late: bool
    stayed_ms: int = 0  # of an exit: since the entry

    @property
    def id(self) -> str:
        """The same decision has the same id, wherever and however often it is made."""
        cause = "time\0" if self.event is None else f"event\0{self.event.id}"
        # No part but the last, the event's id, can hold the separator.
        decided = f"{self.definition}\0{self.segment}\0{self.kind}\0{self.occurred_at}"
        return sha256(f"{decided}\0{self.customer}\0{cause}".encode()).hexdigest()[:32]
