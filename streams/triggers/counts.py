"""The counters of a triggers process, for its metrics and its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from streams.triggers.membership_lookup import Waiting

Labels = tuple[str, ...]


class Counts(msgspec.Struct, frozen=True):
    """Counters by labels, since the start of the process.

    ``decisions``: by trigger and kind. ``given_back``: attempts that a last look stopped, by trigger. ``waits``: looks
    at messages that were due and had to wait, by reason.
    """

    decisions: Counter[Labels] = msgspec.field(default_factory=Counter)
    given_back: Counter[Labels] = msgspec.field(default_factory=Counter)
    waits: Counter[Labels] = msgspec.field(default_factory=Counter)

    def wait(self, reason: Waiting) -> None:
        """Count one more look that ended in waiting."""
        self.waits[reason.label,] += 1

    @property
    def metrics(self) -> Mapping[str, Mapping[Labels, int]]:
        """The counters by the name of their metric."""
        return {
            "segmenter_trigger_decisions_total": self.decisions,
            "segmenter_trigger_given_back_total": self.given_back,
            "segmenter_trigger_waits_total": self.waits,
        }

    @property
    def log_fields(self) -> Mapping[str, Mapping[str, int]]:
        """Fields for a log line; empty while nothing was counted."""
        counters = {"decisions": self.decisions, "given_back": self.given_back, "waits": self.waits}
        return {
            name: {" ".join(labels): count for labels, count in sorted(counted.items())}
            for name, counter in counters.items()
            if (counted := +counter)
        }
