"""Compares three views of a customer: recomputed from the events, stored in Redis, and folded from published changes.

The one rule: where the views may differ for a good reason, nothing is compared.

| compared | between | for |
|---|---|---|
| membership | all three | every customer |
| since when in a segment | all three | customers of which nothing came out of order |
| the number of changes | Redis and topic | every customer |
| the number of changes | all three | customers of which nothing came out of order and which were never erased |

Membership follows from the events alone, whatever their order. Two things are excepted:

- A segment with a minimum stay depends on the order of events, so after a late event nothing is compared of it, nor of
  the segments that ask about it.
- An erasure deletes all that was read before it, however new. Where the worker read newer events before an erasure, it
  is compared with the events after the last of them. An id that was erased with a person, over `merges`, is compared in
  Redis and on the topic only.

See also: `streams.cli.verify`, which runs it; `streams.offline.recompute`, which recomputes all customers; and
`streams.offline.persons`, which compares persons of several ids without `merges`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from rules.customer import Customer
from rules.definitions.segments_file import Segment
from rules.engine import Engine
from rules.times import format_instant
from streams.offline.changelog_fold import FoldedCustomer
from streams.wire import customer_codec

NOTHING = FoldedCustomer()
UNKNOWN = "unknown"
NOT_COMPARED = "not compared"


class Difference(msgspec.Struct, frozen=True):
    """One thing of a customer on which the three views differ; ``subject``: a segment's key, or in words."""

    customer: str
    subject: str
    recomputed: str
    stored: str
    folded: str


class StoredValue(msgspec.Struct, frozen=True):
    """A customer in Redis: its value, and its due time in the partition's index (0: none)."""

    value: bytes
    due: int


class _Views(msgspec.Struct, frozen=True):
    """One customer in each compared view; ``current`` is ``stored``, brought forward to the clock."""

    name: str
    recomputed: Customer
    stored: Customer
    current: Customer
    folded: FoldedCustomer


class Comparison:
    """Compares customers, one at a time, and counts.

    ``short``: keys of the segments that lack history (are short of it), as a former definition did not store all facts
    that they need. They are compared between Redis and the topic only.
    """

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self.uncompared = 0
        self.overdue = 0
        self.ahead = 0
        self._engine = engine
        self._segments = engine.definitions.segments
        self._keys = frozenset(segment.key for segment in self._segments)
        self._ordered = order_counts(self._segments)
        self.short: frozenset[str] = frozenset()

    def compare(
        self,
        name: str,
        recomputed: Customer | None,
        value: StoredValue,
        folded: FoldedCustomer,
        clock: int,
        *,
        at_one_instant: bool,
        erased_along: bool,
        erased_until: Callable[[int], Customer],
    ) -> Iterator[Difference]:
        """Compare one customer; due times up to ``clock`` (ms) are fired on both sides before.

        ``at_one_instant`` and ``erased_along``: whether the customer is in these sets of
        `streams.offline.recompute.RecomputedPartition`. ``erased_until``: its function of this name, for this customer.
        """
        self.count += 1
        stored = customer_codec.decode(value.value)
        if stored.due != value.due:
            listed = f"{_due_text(stored.due)}, but it is listed for {_due_text(value.due)}"
            yield Difference(name, "due time", "", listed, "")
        if recomputed is None:
            yield Difference(name, "customer", UNKNOWN, "known", count_text(folded))
            return
        is_erased_later = _is_erased_later(recomputed, stored)
        if is_erased_later:
            recomputed = erased_until(stored.erased)
        views = _Views(name, recomputed, stored, customer_codec.decode(value.value), folded)
        self._bring_forward(views, clock)
        is_unsure = erased_along or _depends_on_reading(recomputed, stored)
        is_ordered = not (is_unsure or is_erased_later or at_one_instant or _is_out_of_order(views))
        self.uncompared += not is_ordered
        uncompared = self._keys if is_unsure else self._uncompared_segments(is_ordered=is_ordered)
        yield from self._segment_differences(views, in_since if is_ordered else is_in, uncompared)
        yield from _sequence_difference(views, is_ordered=is_ordered)

    def _bring_forward(self, views: _Views, clock: int) -> None:
        """Fire the due times up to ``clock`` (ms); the comparison does not wait for the worker to do so."""
        current = views.current
        self.overdue += 0 < current.due <= clock
        self.ahead += current.published_ahead is not None
        # Once the customer is not published-ahead any more, all due times count.
        current.published_ahead, current.due = None, min(current.dues.values(), default=0)
        for customer in (current, views.recomputed):
            self._engine.fire(views.name, customer, clock)

    def _uncompared_segments(self, *, is_ordered: bool) -> frozenset[str]:
        """The segments that are not compared with the events, by key."""
        return self.short if is_ordered else self.short | self._ordered

    def _segment_differences(
        self, views: _Views, text: Callable[[int | None], str], uncompared: frozenset[str]
    ) -> Iterator[Difference]:
        """Compare each segment: the events with Redis at the clock, and Redis as stored with the topic.

        ``text`` formats a membership; without the entry time where entry times are not compared.
        """
        folded = views.folded
        for index, segment in enumerate(self._segments):
            segment_text = _not_compared_text if segment.key in uncompared else text
            by_events = segment_text(views.recomputed.since.get(index))
            in_redis_now = segment_text(views.current.since.get(index))
            in_redis = text(views.stored.since.get(index))
            on_topic = text(folded.since.get(segment.key))
            # Redis agrees with the topic on a published-ahead customer only once time has reached those changes.
            is_published_otherwise = in_redis != on_topic and views.stored.published_ahead is None
            if by_events != in_redis_now or is_published_otherwise:
                yield Difference(views.name, segment.key, by_events, in_redis, on_topic)
        for key in folded.since.keys() - self._keys:
            yield Difference(views.name, key, "no such segment", "no such segment", in_since(folded.since[key]))


def _is_out_of_order(views: _Views) -> bool:
    """Whether an event came late, or more was published than Redis knows of: then membership alone is compared."""
    is_unordered = views.current.out_of_order or views.recomputed.out_of_order or views.folded.late
    return bool(views.stored.published_ahead or is_unordered)


def _sequence_difference(views: _Views, *, is_ordered: bool) -> Iterator[Difference]:
    stored, folded = views.stored.sequence, views.folded
    # A worker without any state looks for erasures first, and never decides the events that they erase.
    counted = is_ordered and not views.recomputed.erased
    on_topic = f"{folded.sequence} ({folded.fault})" if folded.fault else str(folded.sequence)
    is_counted_otherwise = counted and views.recomputed.sequence != views.current.sequence
    if on_topic != str(stored) or is_counted_otherwise:
        by_events = str(views.recomputed.sequence) if counted else NOT_COMPARED
        yield Difference(views.name, "sequence", by_events, str(stored), on_topic)


def _is_erased_later(recomputed: Customer, stored: Customer) -> bool:
    """Whether the worker read newer events before an erasure, which it deleted with it.

    A customer is erased up to its instant, so then the stored time is the later one.
    """
    return 0 < recomputed.erased < stored.erased


def _depends_on_reading(recomputed: Customer, stored: Customer) -> bool:
    """Whether an id was linked or unlinked in an order of reading that may not be the order of event times."""
    linkages = recomputed.linkage, stored.linkage
    if any(linkage is not None and linkage.left for linkage in linkages):
        return True
    return _taken_over(recomputed) != _taken_over(stored)


def _taken_over(customer: Customer) -> set[int]:
    """The moves of profiles that a customer has taken over."""
    return set() if customer.linkage is None else set(customer.linkage.taken)


def missing(name: str, folded: FoldedCustomer, *, recomputed: bool) -> Difference:
    """The difference of a customer that Redis does not store."""
    return Difference(name, "customer", "known" if recomputed else UNKNOWN, UNKNOWN, count_text(folded))


def order_counts(segments: Sequence[Segment]) -> frozenset[str]:
    """The segments which depend on the order of events: those with a minimum stay, and those that ask about them."""
    keys: set[str] = set()
    for segment in segments:  # in the order of decision: a segment comes after those that it asks about
        if segment.hold or segment.named & keys:
            keys.add(segment.key)
    return frozenset(keys)


def counts_by_subject(differences: Iterable[Difference]) -> str:
    """The number of differences of each kind, in descending order."""
    counts = Counter(difference.subject for difference in differences)
    descending = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{subject} {count:,}" for subject, count in descending)


def count_text(folded: FoldedCustomer) -> str:
    """The number of changes of a customer on the topic, in words."""
    return f"{folded.sequence} changes" if folded.sequence else UNKNOWN


def in_since(since: int | None) -> str:
    """Membership with its beginning (ms), in words."""
    return "not in" if since is None else f"in since {format_instant(since)}"


def is_in(since: int | None) -> str:
    """Membership alone, in words."""
    return "not in" if since is None else "in"


def _not_compared_text(_since: int | None) -> str:
    return NOT_COMPARED


def _due_text(due: int) -> str:
    return format_instant(due) if due else "none"
