"""The engine: events and time in, segment changes out.

The one rule: an event first fires its customer's due times up to the event's time, each at its own instant. Then the
event is applied, and decided at max(customer's instant, event's time). An event runs only the facts that its name can
change, and decides only the segments that depend on a changed fact: the due times before
it have fired, so nothing else can have turned.

A due time is when a window ends or a timer would fire. Order makes no difference to a profile
(`rules.profile.profile`), so a late event is applied like any other and decided at the customer's own instant.

See also: `rules.due_times` (when a condition may turn by time), `streams.runtime.timers` (fires due times on a
partition's clock), and `rules.published_ahead` (withholds decided changes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from rules.changes import UNNUMBERED, Change, numbered
from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.definitions.change_data import Data
from rules.definitions.segments_file import Definitions
from rules.due_times import NEVER
from rules.event_names import ORDER_COMPLETED, UNNAMED, WITHOUT_EFFECT
from rules.events import Event
from rules.identity.events import ProfileMerge
from rules.profile.profile import Profile
from rules.profile.short_ids import short_id
from rules.reasons import ERASED, MERGED, Reason

_profiles = msgspec.msgpack.Decoder(Profile)

# The facts that an event's name can change, each with the segments (bit i: segment i) that depend on it.
_Plan = tuple[tuple[Callable[[Profile, Event], bool], int], ...]


class Engine:
    """Decides customers by one set of definitions. Holds no state of any customer."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._segments = definitions.segments
        self._keys = [segment.key for segment in definitions.segments]
        self._decides = [segment.when.decide for segment in definitions.segments]
        self._facts = definitions.facts.with_segments()
        self._any = self._plan(None)
        names = frozenset[str]().union(*(fact.names or () for fact, _ in self._facts))
        self._plans = {name: self._plan(name) for name in names}
        self._at_first = self._decided_at_first_event()
        self._blank = msgspec.msgpack.encode(definitions.facts.empty())
        self._with_hold = _mask(index for index, segment in enumerate(self._segments) if segment.hold)
        # By index of a segment: the segments whose conditions name it, all of which come after it.
        self._asking = [
            _mask(index for index, other in enumerate(self._segments) if segment.key in other.named)
            for segment in self._segments
        ]

    def _plan(self, name: str | None) -> _Plan:
        return tuple(
            (fact.apply, segments) for fact, segments in self._facts if fact.names is None or name in fact.names
        )

    def _decided_at_first_event(self) -> int:
        """The segments whose condition can hold without facts, hence decided at a customer's first event."""
        blank = CustomerView("", self.definitions.facts.empty(), {})
        true_without_facts = _mask(
            index for index, segment in enumerate(self._segments) if segment.when.decide(blank, 0) != (False, NEVER)
        )
        return true_without_facts | self.definitions.facts.baseless

    def new(self) -> Customer:
        """A new customer, without events."""
        return Customer(0, 0, {}, {}, _profiles.decode(self._blank))

    def apply(self, customer_id: str, customer: Customer, event: Event) -> list[Change]:
        """Apply one event. Returns its changes and those of due times before it, in order and numbered."""
        decided = self.decide_event(customer_id, customer, event)
        return numbered(customer, decided) if decided else decided

    def fire(self, customer_id: str, customer: Customer, until: int) -> list[Change]:
        """Fire all due times up to and including ``until``. Returns their changes, in order and numbered."""
        return numbered(customer, self.decide_due(customer_id, customer, until))

    # --- decisions without numbers, of which `rules.published_ahead` may withhold some

    def decide_event(self, customer_id: str, customer: Customer, event: Event) -> list[Change]:
        """Apply one event. Returns its changes and those of due times before it, in order, without numbers."""
        if event.name in WITHOUT_EFFECT or event.time <= customer.erased:
            return []
        changes: list[Change] = []
        if 0 < customer.due <= event.time:
            self._fire(customer_id, customer, event.time, changes)
        before = customer.instant
        late = event.time < before
        # The first event, or the first after an erasure, makes a customer: segments that hold without facts begin now.
        touched = 0 if customer.instant > customer.erased else self._at_first
        # Before the facts are applied: afterwards this order would be among the known ones.
        ordered_ms = self._ordered_ms(customer.profile, event) if event.name == ORDER_COMPLETED else -1
        if late:
            customer.out_of_order += 1
        else:
            customer.instant = event.time
        if customer.linkage is not None:
            touched |= self._restarted(customer, before)
        if event.name == UNNAMED:
            self._merge_or_leave(customer_id, customer, event, late, changes)
            return changes
        profile = customer.profile
        for apply, segments in self._plans.get(event.name, self._any):
            if apply(profile, event):
                touched |= segments
        if ordered_ms >= 0:
            touched |= self._with_hold
        if touched:
            self._decide(customer_id, customer, touched, event, late, changes, ordered_ms=ordered_ms)
        return changes

    def _restarted(self, customer: Customer, before: int) -> int:
        """The segments that the first event of any kind after the end of a redirect decides.

        ``before`` (ms): the customer's instant before that event. The event is decided at a later instant than all
        former decisions, as the id of a change must never come a second time.
        """
        assert customer.linkage is not None
        if before > customer.linkage.left:
            return 0
        customer.instant = max(customer.instant, customer.linkage.left + 1)
        return self._at_first

    def _ordered_ms(self, profile: Profile, event: Event) -> int:
        """When (ms) the event completed an order, which ends minimum stays; -1: the order was completed before.

        Shops repeat confirmations, and a record may be delivered twice.
        """
        if not self._with_hold:
            return -1
        orders, order = profile.orders, None if event.order is None else short_id(event.order)
        is_known = orders is not None and orders.has_completion(order, short_id(event.id))
        return -1 if is_known else event.time

    def _merge_or_leave(
        self, customer_id: str, customer: Customer, event: Event, late: bool, changes: list[Change]
    ) -> None:
        if isinstance(event, ProfileMerge):
            self._merge_profile(customer_id, customer, event, late, changes)
        else:
            self._leave(customer_id, customer, event, late, changes)

    def _leave(self, customer_id: str, customer: Customer, event: Event, late: bool, changes: list[Change]) -> None:
        """Make the customer leave every segment. Only the end and the count of its changes stay stored."""
        reason = ERASED if event.is_erasure else MERGED
        for index in sorted(customer.since):
            entered = customer.since.pop(index)
            changes.append(self._change(customer_id, customer, index, entered, event, late, reason, data=None))
        customer.dues.clear()
        customer.due = 0
        customer.profile = _profiles.decode(self._blank)
        if event.is_erasure:
            customer.erased, customer.merged_into, customer.links = customer.instant, None, None
            customer.linkage = None

    def _merge_profile(
        self, customer_id: str, customer: Customer, event: ProfileMerge, late: bool, changes: list[Change]
    ) -> None:
        """Merge the profile that the same person had under another id."""
        other = _profiles.decode(event.profile)
        for fact, _ in self._facts:
            fact.merge(customer.profile, other)
        everything = (1 << len(self._segments)) - 1
        self._decide(customer_id, customer, everything, event, late, changes)

    def decide_all(self, customer_id: str, customer: Customer) -> list[Change]:
        """Decide every segment at the customer's instant, under new definitions. Returns the changes, in order."""
        changes: list[Change] = []
        everything = (1 << len(self._segments)) - 1
        self._decide(customer_id, customer, everything, None, False, changes, backfill=True)
        return changes

    def decide_due(self, customer_id: str, customer: Customer, until: int) -> list[Change]:
        """Fire all due times up to and including ``until``, oldest first, each at its own instant."""
        changes: list[Change] = []
        self._fire(customer_id, customer, until, changes)
        return changes

    def _fire(self, customer_id: str, customer: Customer, until: int, changes: list[Change]) -> None:
        while 0 < (due := customer.due) <= until:
            assert due > customer.instant, "a due time lies after the instant at which it was decided"
            customer.instant = due
            turning = _mask(index for index, next_due in customer.dues.items() if next_due == due)
            self._decide(customer_id, customer, turning, None, False, changes)

    def _decide(
        self,
        customer_id: str,
        customer: Customer,
        touched: int,
        event: Event | None,
        late: bool,
        changes: list[Change],
        *,
        backfill: bool = False,
        ordered_ms: int = -1,
    ) -> None:
        """Decide these segments (bit i: segment i) at the customer's instant, and append their changes to ``changes``.

        The list is the caller's, as one event may decide several times: at each due time before it, then by itself.
        ``ordered_ms``: when an order was completed that ends minimum stays; -1: none was.
        """
        now, since, dues = customer.instant, customer.since, customer.dues
        view = CustomerView(customer_id, customer.profile, since)
        while touched:
            lowest = touched & -touched
            touched ^= lowest
            index = lowest.bit_length() - 1
            holds, due = self._decides[index](view, now)
            entered = since.get(index)
            # Within a minimum stay the customer stays, unless an order ended the stay.
            if self._with_hold & lowest and not holds and entered is not None and ordered_ms < entered:
                stays_until = entered + self._segments[index].hold
                if now < stays_until:
                    holds, due = True, stays_until
            if due:
                dues[index] = due
            else:
                dues.pop(index, None)
            if holds == (entered is not None):
                continue
            if holds:
                since[index] = now
            else:
                del since[index]
            touched |= self._asking[index]  # these come later in the order, so that one walk decides them all
            reason = self._segments[index].when.reason(view, now)
            include = self._segments[index].include
            data = None if include is None else include.data(view, now)
            change = self._change(customer_id, customer, index, entered, event, late, reason, data=data)
            changes.append(msgspec.structs.replace(change, backfill=True) if backfill else change)

        customer.due = min(dues.values(), default=0)

    def _change(
        self,
        customer_id: str,
        customer: Customer,
        index: int,
        entered: int | None,
        event: Event | None,
        late: bool,
        reason: Reason,
        *,
        data: Data | None,
    ) -> Change:
        """The change of a customer that has just entered or left the segment of this index."""
        segment = self._segments[index]
        return Change(
            customer=customer_id,
            segment=segment.key,
            kind="entered" if entered is None else "exited",
            occurred_at=customer.instant,
            sequence=UNNUMBERED,
            segments=self.membership(customer),
            event=event,
            reason=reason,
            definition=segment.fingerprint,
            late=late,
            stayed_ms=0 if entered is None else customer.instant - entered,
            data=data,
        )

    def membership(self, customer: Customer) -> tuple[str, ...]:
        """The keys of the segments that the customer is in, sorted."""
        return tuple(sorted([self._keys[index] for index in customer.since]))


def _mask(indices: Iterator[int]) -> int:
    mask = 0
    for index in indices:
        mask |= 1 << index
    return mask
