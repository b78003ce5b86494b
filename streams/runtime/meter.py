"""The interface by which a partition reports its steps to the metrics.

A step reports once and in bulk. No decision, checkpoint or record depends on the reports.

See also `streams.runtime.metrics` (what is counted), `streams.runtime.scraped_metrics` (lag and clocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from rules.changes import Change
from rules.identity.resolution import Refusal
from streams.runtime.input_merge import Reading
from streams.wire.dead_letters import Undecodable


class DecidedChanges(msgspec.Struct, frozen=True, gc=False):
    """Changes that were decided together; for an event's changes, also when (ms) that was appended to its topic."""

    changes: Sequence[Change]
    appended_ms: int


class MeteredStep(msgspec.Struct, frozen=True, gc=False):
    """A step that is saved.

    ``letters``: the topic of each dead letter, and why it is one. ``without_effect``: the topics of records without
    effect. ``refused``: why links of ids were refused.
    """

    readings: Sequence[Reading]
    letters: Sequence[tuple[str, Undecodable]]
    without_effect: Sequence[str]
    took_s: float
    refused: Sequence[Refusal] = ()


class Meter(Protocol):
    """Receives the reports of one partition while it is claimed, on the worker's loop."""

    def stepped(self, step: MeteredStep) -> None:
        """A step is saved."""

    def decided(self, changes: Sequence[DecidedChanges]) -> None:
        """An entry of the outbox with these changes is saved; called for each entry, also for one without changes."""

    def published(self, entries: int) -> None:
        """The ``entries`` oldest entries of the outbox are acknowledged by Kafka."""


class NullMeter:
    """A meter that counts nothing."""

    def stepped(self, step: MeteredStep) -> None: ...
    def decided(self, changes: Sequence[DecidedChanges]) -> None: ...
    def published(self, entries: int) -> None: ...


NULL_METER = NullMeter()
