"""Published ahead: customers of which more was published than the store knows.

    saved, published    change 7 "entered a" is on the topic
    Redis loses 1 s     the store knows the customer up to change 6
    recovery            the customer is published ahead by change 7
    events read again   change 7 is decided again: it is the published one, and the customer is ahead no more

That is so when a store lost its last writes after the changes that they held had been published.
The events are read again, and mostly the same changes are decided again, in the same order.

The one rule: while a customer is ahead, nothing of it is published. It keeps its standing and is
decided as usual; what that gives is compared with what was published:

- A change decided again, known by its id, is the published one. When all of them are, and the
  membership is what the last of them said, the customer is ahead no more, and the next change
  takes the next sequence number.
- Any other change is withheld. It is in the standing, which is all that is needed of it.
- Once the customer is decided at an instant past the newest published change, by an event, a due
  time or the wake, the difference between the membership and what was published last is closed:
  one change per segment that differs, marked late, 1 ms after the newest published change, caused by time.
  No change was published at that instant before, so the ids are new.

Of who is erased by then only the erasure itself is decided again, as it was the first time.

The wake is for a customer to whom nothing more happens. It is no earlier than the wall clock when
the customer was found ahead: until the clock has come there, an event that was read before may
still be unread now.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rules.engine import Engine
from rules.events import Event
from rules.reasons import ERASED
from rules.reconcile import reconcile
from rules.standing import Ahead, Change, Customer


class PublishedChange(msgspec.Struct, frozen=True, gc=False):
    """A published change, as far as it is needed here; ``occurred_at`` in ms; ``erased``: it tells of an erasure."""

    change_id: str
    occurred_at: int
    sequence: int
    segments: tuple[str, ...]
    erased: bool = False


def is_forgotten(customer: Customer, told: PublishedChange) -> bool:
    """Whether what a published change said of a customer was erased since, or by it."""
    return customer.is_gone or told.erased or told.occurred_at <= customer.erased


def record_published(customer: Customer, told: Sequence[PublishedChange], now: int) -> bool:
    """Note published changes, in the order of the topic; whether any was unknown.

    Known is what the customer's sequence has reached. So noting them again changes nothing.
    ``now`` (ms): the wall clock.
    """
    unknown = [one for one in told if one.sequence > customer.sequence]
    if not unknown:
        return False
    before = customer.ahead
    newest = max(one.occurred_at for one in unknown)
    waiting = {one.change_id for one in unknown if one.occurred_at > customer.erased}
    if before is not None:
        newest = max(newest, before.newest)
        waiting |= before.waiting
    # The topic may hold repeats, so the last one there need not be the last one made.
    last = max(reversed(unknown), key=lambda one: one.sequence)
    customer.sequence = last.sequence
    if last.occurred_at <= customer.erased and not last.segments:
        customer.ahead = None  # all of that is erased, and was said to be
        _set_due(customer)
        return True
    customer.ahead = Ahead(waiting, newest, max(newest, now) + 1, last.segments)
    _set_due(customer)
    return True


def apply(engine: Engine, customer_id: str, customer: Customer, event: Event) -> list[Change]:
    """As `Engine.apply`, for a customer that is ahead: what of it is to be published."""
    ahead = customer.ahead
    assert ahead is not None, "the engine alone decides who is not ahead"
    if event.time <= customer.erased:
        is_request = event.is_erasure and event.time == customer.erased
        return _leave(engine, customer_id, customer, ahead, event) if is_request else []
    changes = _decide_again(engine, customer_id, customer, min(event.time, ahead.newest))
    if customer.ahead is None:
        return changes + engine.apply(customer_id, customer, event)
    if event.time <= ahead.newest:
        sequence = customer.sequence
        changes += _compare(customer, sequence, engine.apply(customer_id, customer, event))
        _set_due(customer)
        return changes
    if not customer.is_blank:
        changes += _wait_no_more(engine, customer_id, customer, ahead)
        return changes + engine.apply(customer_id, customer, event)
    # Nothing of this customer was decided yet, so there is no membership to compare before the event.
    sequence = customer.sequence
    engine.apply(customer_id, customer, event)
    return _close(engine, customer_id, customer, ahead, event.time, sequence)


def fire(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """As `Engine.fire`, for a customer that is ahead: what of it is to be published."""
    ahead = customer.ahead
    assert ahead is not None, "the engine alone decides who is not ahead"
    changes = _decide_again(engine, customer_id, customer, min(until, ahead.newest))
    if customer.ahead is not None:
        if not (ahead.wake <= until or 0 < customer.due <= until):
            _set_due(customer)
            return changes
        changes += _wait_no_more(engine, customer_id, customer, ahead)
    return changes + engine.fire(customer_id, customer, until)


def adopted(customer: Customer, decided: Sequence[Change]) -> list[Change]:
    """What other definitions made of a customer that is ahead, which counts them already: what is to be published."""
    changes = _compare(customer, customer.sequence - len(decided), decided)
    _set_due(customer)
    return changes


def _decide_again(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """Fire due times one by one while the customer is ahead; its ``due`` is without the wake then."""
    changes: list[Change] = []
    customer.due = min(customer.dues.values(), default=0)
    while customer.ahead is not None and 0 < customer.due <= until:
        sequence = customer.sequence
        changes += _compare(customer, sequence, engine.fire(customer_id, customer, customer.due))
    return changes


def _compare(customer: Customer, sequence: int, decided: Sequence[Change]) -> list[Change]:
    """What one decision gives to publish, ``sequence`` being the last one published."""
    changes: list[Change] = []
    for change in decided:
        ahead = customer.ahead
        if ahead is None:
            sequence += 1
            changes.append(msgspec.structs.replace(change, sequence=sequence))
            continue
        customer.late += change.id not in ahead.waiting
        ahead.waiting.discard(change.id)
        if not ahead.waiting and change.segments == ahead.segments:
            customer.ahead = None
    customer.sequence = sequence
    return changes


def _wait_no_more(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead) -> list[Change]:
    """Go on to just after the newest published change, and close the difference there."""
    at, sequence = max(customer.instant, ahead.newest) + 1, customer.sequence
    engine.fire(customer_id, customer, at)
    if not customer.is_blank:  # else the first event still decides everything
        customer.instant = at
    return _close(engine, customer_id, customer, ahead, at, sequence)


def _leave(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, event: Event) -> list[Change]:
    """What this erasure made of the customer before, if that was not published."""
    if not customer.is_blank or ahead.newest > event.time:
        return []
    closing = _close(engine, customer_id, customer, ahead, event.time, customer.sequence)
    customer.late -= 1
    _set_due(customer)
    return [msgspec.structs.replace(change, event=event, reason=ERASED, late=False) for change in closing]


def _close(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, at: int, sequence: int) -> list[Change]:
    """Ahead no more: one late change for each segment in which the membership and the topic differ."""
    customer.ahead = None
    customer.late += 1
    customer.sequence = sequence
    return reconcile(engine, customer_id, customer, ahead.segments, at, late=True)


def _set_due(customer: Customer) -> None:
    """The next due time, the wake among them if there is still something to wait for."""
    dues = list(customer.dues.values())
    if customer.ahead is not None:
        dues.append(customer.ahead.wake)
    customer.due = min(dues, default=0)
