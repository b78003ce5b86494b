"""What three say of a customer: the events recomputed, Redis, and the topic of changes.

The one rule: only what is claimed is compared. Membership follows from the events alone, whatever
their order, so it is compared for everybody; since when and how many changes only where nothing
came out of its order, and how many only where nothing was erased. Redis and the topic must agree
for everybody on membership and on how many changes there were.

An erasure that comes with the person's, over `merges`, takes along what was read before it, however
new that is. So of an id that was erased so only Redis and the topic are compared.

A segment with a minimum stay depends on the order of events, so where one came late nothing is
claimed of it, nor of those that ask about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from rules.definitions.segments_file import Segment
from rules.engine import Engine
from rules.standing import Customer
from rules.times import format_instant
from streams.offline.changelog_fold import Folded
from streams.wire import customers

NOTHING = Folded()
UNKNOWN = "unknown"
UNCLAIMED = "not claimed"


class Difference(msgspec.Struct, frozen=True):
    """One thing of one customer on which the three do not agree; ``what``: a segment's key, or in words."""

    customer: str
    what: str
    recomputed: str
    stored: str
    folded: str


class StoredValue(msgspec.Struct, frozen=True):
    """A customer as Redis holds it: the value, and the due time in the partition's index (0: none)."""

    value: bytes
    due: int


class Comparison:
    """Compares customers, one at a time, and counts.

    ``short``: segments of which not all was kept when the definitions were changed: the events say more.
    """

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self.unclaimed = 0
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
        right: Customer | None,
        stored: StoredValue,
        folded: Folded,
        clock: int,
        *,
        tied: bool,
        erased_along: bool = False,
    ) -> Iterator[Difference]:
        """What differs. ``right``: as recomputed; whoever is overdue at ``clock`` is brought forward to it first.

        ``erased_along``: as of `Recomputed.erased_along`; of such an id nothing is claimed.
        """
        self.count += 1
        told, now = customers.decode(stored.value), customers.decode(stored.value)
        if told.due != stored.due:
            yield Difference(name, "due time", "", f"{_at(told.due)}, but it is listed for {_at(stored.due)}", "")
        if right is None:
            yield Difference(name, "customer", UNKNOWN, "known", known(folded))
            return
        self.overdue += 0 < now.due <= clock
        self.ahead += now.ahead is not None
        now.ahead, now.due = None, min(now.dues.values(), default=0)
        for one in (now, right):
            self._engine.fire(name, one, clock)
        is_unsure = erased_along or _depends_on_reading(right, told)
        claimed = not (told.ahead or now.late or right.late or folded.late or tied or is_unsure)
        self.unclaimed += not claimed
        unclaimed = self._keys if is_unsure else self.short | (frozenset() if claimed else self._ordered)
        tell: Callable[[int | None], str] = in_since if claimed else is_in
        yield from self._segment_differences(name, right, told, now, folded, tell, unclaimed)
        said = str(folded.sequence) + (f" ({folded.fault})" if folded.fault else "")
        # A worker that had read nothing yet looked for erasures first, and decided nothing of what they erase.
        counted = claimed and not right.erased
        asked = str(right.sequence) if counted else UNCLAIMED
        if said != str(told.sequence) or (counted and right.sequence != now.sequence):
            yield Difference(name, "sequence", asked, str(told.sequence), said)

    def _segment_differences(
        self,
        name: str,
        right: Customer,
        told: Customer,
        now: Customer,
        folded: Folded,
        tell: Callable[[int | None], str],
        unclaimed: frozenset[str],
    ) -> Iterator[Difference]:
        for at, segment in enumerate(self._segments):
            stored, said = tell(told.since.get(at)), tell(folded.since.get(segment.key))
            tell_right = _unclaimed if segment.key in unclaimed else tell
            asked, found = tell_right(right.since.get(at)), tell_right(now.since.get(at))
            # Who is ahead is brought to what the topic says, or it to them, once time has come so far.
            if asked != found or (stored != said and told.ahead is None):
                yield Difference(name, segment.key, asked, stored, said)
        for key in folded.since.keys() - self._keys:
            yield Difference(name, key, "no such segment", "no such segment", in_since(folded.since[key]))


def _depends_on_reading(right: Customer, told: Customer) -> bool:
    """Whether links of an id were carried out or ended in an order of reading that need not be that of the times."""
    linkages = right.linkage, told.linkage
    if any(linkage is not None and linkage.left for linkage in linkages):
        return True
    mine, other = (set(linkage.taken) if linkage is not None else set() for linkage in linkages)
    return mine != other


def missing(name: str, folded: Folded, *, recomputed: bool) -> Difference:
    """A customer of whom Redis knows nothing."""
    return Difference(name, "customer", "known" if recomputed else UNKNOWN, UNKNOWN, known(folded))


def order_counts(segments: Sequence[Segment]) -> frozenset[str]:
    """The segments for which the order of events counts: those with a minimum stay, and those that ask about them."""
    found: set[str] = set()
    for segment in segments:  # in the order in which they are decided: what is asked about comes before
        if segment.hold or segment.named & found:
            found.add(segment.key)
    return frozenset(found)


def by_what(differences: Iterable[Difference]) -> str:
    """How many there are of each kind, the most first."""
    counts = Counter(one.what for one in differences)
    return ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def known(folded: Folded) -> str:
    """What the topic knows of a customer at all."""
    return f"{folded.sequence} changes" if folded.sequence else UNKNOWN


def in_since(since: int | None) -> str:
    """Membership with its beginning (ms)."""
    return "not in" if since is None else f"in since {format_instant(since)}"


def is_in(since: int | None) -> str:
    """Membership alone."""
    return "not in" if since is None else "in"


def _unclaimed(_since: int | None) -> str:
    return UNCLAIMED


def _at(due: int) -> str:
    return format_instant(due) if due else "none"
