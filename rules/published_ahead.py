"""Published ahead: customers with published changes that the store has lost.

    saved, published    change 7 "entered a" is on the topic
    Redis loses 1 s     the store knows the customer up to change 6
    recovery            the customer is published ahead by change 7
    events read again   change 7 is decided again: it is the published one, and the customer is ahead no more

This happens when a store lost its last writes after their changes had been published. The events are read again, and
mostly the same changes are decided again, in the same order.

The one rule: while a customer is ahead, no change of it is published. It keeps its standing and is decided as usual;
each decided change is compared with the published ones:

- A change with the id of a published one is that change, decided again. When all published changes are, and the
  membership is that of the last of them, the customer is no longer ahead, and the next change takes the next sequence
  number.
- Any other change is withheld: it counts in the standing, and is not published.
- Once the customer is decided at an instant past the newest published change, by an event, a due time or the wake, the
  difference between the membership and the last published one is closed: one change per segment that differs, marked
  late, 1 ms after the newest published change, caused by time. No change was published at that instant before, so the
  ids are new.

If the customer is erased by then, only the erasure itself is decided again, as it was the first time.

The wake is a due time for a customer without further events. It is no earlier than the wall clock at the moment when
the customer was found to be ahead: until the partition's clock has come there, an event that was read before the loss
may still be unread now.

The engine's decisions have no numbers. Only `publishable` numbers or withholds the changes of such a customer.

See also: `streams.worker.output_recovery`, which finds such customers; `rules.reconcile`, which closes the difference.
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
    """The needed fields of a published change; ``occurred_at`` in ms; ``erased``: an erasure caused it."""

    change_id: str
    occurred_at: int
    sequence: int
    segments: tuple[str, ...]
    erased: bool = False


def is_forgotten(customer: Customer, change: PublishedChange) -> bool:
    """Whether an erasure has removed the membership of a published change, or was the cause of the change."""
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
    # The topic may have repeats, so its last record need not be the newest change.
    last = max(reversed(unknown), key=lambda change: change.sequence)
    customer.sequence = last.sequence
    if last.occurred_at <= customer.erased and not last.segments:
        customer.published_ahead = None  # an erasure has removed the membership, and its changes are published
        _set_due(customer)
        return True
    customer.published_ahead = Ahead(waiting, newest, max(newest, now) + 1, last.segments)
    _set_due(customer)
    return True


def publishable(customer: Customer, decided: Sequence[Change]) -> list[Change]:
    """The decided changes to publish, numbered: none while the customer is ahead, then all."""
    for index, change in enumerate(decided):
        if customer.published_ahead is None:
            return numbered(customer, decided[index:])
        _withhold(customer, customer.published_ahead, change)
    return []


def _withhold(customer: Customer, ahead: Ahead, change: Change) -> None:
    """Compare a decided change with the published ones, and withhold it."""
    if change.id not in ahead.waiting:
        customer.out_of_order += 1
    ahead.waiting.discard(change.id)
    if not ahead.waiting and change.segments == ahead.segments:
        customer.published_ahead = None


def apply(engine: Engine, customer_id: str, customer: Customer, event: Event) -> list[Change]:
    """Apply one event to a customer that is ahead. Returns its changes to publish."""
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
    # This customer was not decided yet, so there is no membership to compare before the event.
    engine.decide_event(customer_id, customer, event)
    return _close(engine, customer_id, customer, ahead, event.time)


def fire(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """Fire the due times of a customer that is ahead. Returns its changes to publish."""
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
    """The changes to publish of a migration to other definitions, for a customer that is ahead."""
    changes = publishable(customer, decided)
    _set_due(customer)
    return changes


def _decide_again(engine: Engine, customer_id: str, customer: Customer, until: int) -> list[Change]:
    """Re-decide due times up to the newest published change; leaves `due` without the wake (call `_set_due`)."""
    customer.due = min(customer.dues.values(), default=0)
    return publishable(customer, engine.decide_due(customer_id, customer, until))


def _wait_no_more(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead) -> list[Change]:
    """Go on to just after the newest published change, and close the difference there."""
    instant = max(customer.instant, ahead.newest) + 1
    engine.decide_due(customer_id, customer, instant)
    if not customer.is_blank:  # the first event of a blank customer decides every segment
        customer.instant = instant
    return _close(engine, customer_id, customer, ahead, instant)


def _leave(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, event: Event) -> list[Change]:
    """The changes by which an erasure ends the published membership, if they were not published."""
    if not customer.is_blank or ahead.newest > event.time:
        return []
    customer.published_ahead = None
    exits = numbered(customer, reconcile(engine, customer_id, customer, ahead.segments, event.time))
    _set_due(customer)
    return [msgspec.structs.replace(change, event=event, reason=ERASED) for change in exits]


def _close(engine: Engine, customer_id: str, customer: Customer, ahead: Ahead, instant: int) -> list[Change]:
    """Stop being published-ahead: publish one late change per segment that differs from the topic."""
    customer.published_ahead = None
    customer.out_of_order += 1
    return numbered(customer, reconcile(engine, customer_id, customer, ahead.segments, instant, late=True))


def _set_due(customer: Customer) -> None:
    """Set the next due time, with the wake among the candidates while the customer is ahead."""
    dues = list(customer.dues.values())
    if customer.published_ahead is not None:
        dues.append(customer.published_ahead.wake)
    customer.due = min(dues, default=0)
