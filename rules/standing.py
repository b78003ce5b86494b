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
from rules.times import format_instant

Kind = Literal["entered", "exited"]


class Customer(msgspec.Struct, array_like=True):
    """A customer: the standing and the profile that it was decided from.

    ``instant`` (ms): the latest moment at which this customer was decided. ``since`` and
    ``dues`` (ms, 0 = none) have one place per segment, in the definitions' order.
    """

    instant: int
    sequence: int
    since: list[int]
    dues: list[int]
    profile: Profile

    @property
    def due(self) -> int:
        """The next instant at which time alone may change a segment; 0 = none."""
        return min(filter(None, self.dues), default=0)


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

    @property
    def id(self) -> str:
        """The same decision has the same id, wherever and however often it is made."""
        cause = ("time", "") if self.event is None else ("event", self.event.id)
        occurred_at = format_instant(self.occurred_at)
        parts = (self.customer, self.segment, self.kind, occurred_at, *cause, self.definition)
        # The lengths keep ("ab", "c") and ("a", "bc") apart.
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return sha256(text.encode()).hexdigest()[:32]
