"""Published ahead: customers of which more was published than the store knows.

    saved, published    change 7 "entered a" is on the topic
    Redis loses 1 s     the store knows the customer up to change 6
    recovery            the customer is published ahead by change 7
    events read again   change 7 is decided again: it is the published one, and the customer is ahead no more

That is so when a store lost its last writes after the changes in them had been published. The events are read again,
and mostly the same changes are decided again, in the same order.

The one rule: while a customer is ahead, nothing of it is published. It keeps its standing and is decided as usual; what
that gives is compared with what was published:

- A change decided again, known by its id, is the published one. When all of them are, and the membership is what the
  last of them said, the customer is ahead no more, and the next change takes the next sequence number.
- Any other change is withheld. It is in the standing, which is all that is needed of it.
- Once the customer is decided at an instant past the newest published change, by an event, a due time or the wake, the
  difference between the membership and what was published last is closed: one change per segment that differs, marked
  late, 1 ms after the newest published change, caused by time. No change was published at that instant before, so the
  ids are new.

Of a customer that is erased by then only the erasure itself is decided again, as it was the first time.

The wake is for a customer to which nothing more happens. It is no earlier than the wall clock when the customer was
found to be ahead: until the clock has come there, an event that was read before may still be unread now.

The engine's decisions have no numbers. `publishable` gives them: it is the one place where changes of such a customer
are counted or withheld.

See also: `streams.worker.recovery`, which finds such customers; `rules.reconcile`, which closes the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rules.changes import Change, numbered
from rules.customer import Ahead, Customer
from rules.engine import Engine
from rules.events import Event
from rules.reasons import ERASED
from rules.reconcile import reconcile


class PublishedChange(msgspec.Struct, frozen=True, gc=False):
    """A published change, as far as it is needed here; ``occurred_at`` in ms; ``erased``: it tells of an erasure."""

    change_id: str
    occurred_at: int
    sequence: int
    segments: tuple[str, ...]
    erased: bool = False


def is_forgotten(customer: Customer, change: PublishedChange) -> bool:
    """Whether what a published change said of a customer was erased since, or by it."""
    return customer.is_gone or change.erased or change.occurred_at <= customer.erased


def record_published(customer: Customer, published: Sequence[PublishedChange], now: int) -> bool:
    """Note published changes, in the order of the topic; whether any was unknown.

    A change is known when the customer's sequence has reached it, so noting it again changes nothing.
    ``now`` (ms): the wall clock.
    """
    unknown = [change for change in published if change.sequence > customer.sequence]
    if not unknown:
        return False
    before = customer.published_ahead
    newest = max(change.occurred_at for change in unknown)
    waiting = {change.change_id for change in unknown if change.occurred_at > customer.erased}
    if before is not None:
        newest = max(newest, before.newest)
        waiting |= before.waiting
    # The topic may have repeats, so the last record there need not be of the last change that was made.
    last = max(reversed(unknown), key=lambda change: change.sequence)
    customer.sequence = last.sequence
    if last.occurred_at <= customer.erased and not last.segments:
        customer.published_ahead = None  # all of that is erased, and its end was published
        _set_due(customer)
        return True
    customer.published_ahead = Ahead(waiting, newest, max(newest, now) + 1, last.segments)
    _set_due(customer)
    return True


def publishable(customer: Customer, decided: Sequence[Change]) -> list[Change]:
    """What of decided changes is to be published, numbered: nothing while the customer is ahead, then all."""
    for index, change in enumerate(decided):
        if customer.published_ahead is None:
            return numbered(customer, decided[index:])
        _withhold(customer, customer.published_ahead, change)
    return []


def _withhold(customer: Customer, ahead: Ahead, change: Change) -> None:
    """Compare a change with the published ones, one of which it may be."""
    if change.id not in ahead.waiting:
        customer.out_of_order += 1
    ahead.waiting.discard(change.id)
    if not ahead.waiting and change.segments == ahead.segments:
        customer.published_ahead = None


def apply(engine: Engine, customer_id: str, customer: Customer, event: Event) -> list[Change]:
    """Apply one event to a customer that is ahead; the changes that are to be published of it."""
    ahead = customer.published_ahead
    assert ahead is not None, "the engine alone decides a customer that is not ahead"
    if event.time <= customer.erased:
        is_request = event.is_erasure and event.time == customer.erased
        return _leave(engine, customer_id, customer, ahead, event) if is_request else []
    changes = _decide_again(engine, customer_id, customer, min(event.time, ahead.newest))
    if customer.published_ahead is None:
        return changes + engine.apply(customer_id, customer, event)
    if event.time <= ahead.newest:
        changes += publishable(customer, engine.decide_event(customer_id, customer, event))
        _set_due(customer)
        return changes
    if not customer.is_blank:
        changes += _wait_no_more(engine, customer_id, customer, ahead)
        return changes + engine.apply(customer_id, customer, event)
    # Nothing of this customer was decided yet, so there is no membership to compare before the event.
    engine.decide_event(customer_id, customer, event)
    return _close(engine, customer_id, customer, ahead, event.time)


def fire(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """Fire the due times of a customer that is ahead; the changes that are to be published of it."""
    ahead = customer.published_ahead
    assert ahead is not None, "the engine alone decides a customer that is not ahead"
    changes = _decide_again(engine, customer_id, customer, min(until, ahead.newest))
    if customer.published_ahead is not None:
        if not (ahead.wake <= until or 0 < customer.due <= until):
            _set_due(customer)
            return changes
        changes += _wait_no_more(engine, customer_id, customer, ahead)
    return changes + engine.fire(customer_id, customer, until)


def after_migration(customer: Customer, decided: Sequence[Change]) -> list[Change]:
    """What is to be published of changes that other definitions made of a customer that is ahead."""
    changes = publishable(customer, decided)
    _set_due(customer)
    return changes


def _decide_again(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """Fire due times up to the newest published change; the customer's ``due`` is without the wake then."""
    customer.due = min(customer.dues.values(), default=0)
    return publishable(customer, engine.decide_due(customer_id, customer, until))


def _wait_no_more(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead) -> list[Change]:
    """Go on to just after the newest published change, and close the difference there."""
    instant = max(customer.instant, ahead.newest) + 1
    engine.decide_due(customer_id, customer, instant)
    if not customer.is_blank:  # else the first event still decides everything
        customer.instant = instant
    return _close(engine, customer_id, customer, ahead, instant)


def _leave(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, event: Event) -> list[Change]:
    """What this erasure made of the customer before, if that was not published."""
    if not customer.is_blank or ahead.newest > event.time:
        return []
    closing = _close(engine, customer_id, customer, ahead, event.time)
    customer.out_of_order -= 1
    _set_due(customer)
    return [msgspec.structs.replace(change, event=event, reason=ERASED, late=False) for change in closing]


def _close(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, instant: int) -> list[Change]:
    """Be ahead no more: one late change for each segment in which the membership and the topic differ."""
    customer.published_ahead = None
    customer.out_of_order += 1
    return numbered(customer, reconcile(engine, customer_id, customer, ahead.segments, instant, late=True))


def _set_due(customer: Customer) -> None:
    """The next due time, the wake among them if there is still something to wait for."""
    dues = list(customer.dues.values())
    if customer.published_ahead is not None:
        dues.append(customer.published_ahead.wake)
    customer.due = min(dues, default=0)
