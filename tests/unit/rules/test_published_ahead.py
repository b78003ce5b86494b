"""A published-ahead customer: changes of it are published that its standing does not know.

The same engine published the changes in a former life; here they are decided again from an older standing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from rules import published_ahead
from rules.changes import Change
from rules.customer import Ahead, Customer
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.events import Event
from rules.published_ahead import PublishedChange, record_published
from rules.reasons import REMOVED
from rules.times import format_instant
from streams.wire import customer_codec
from streams.wire.event_decoder import decode_line
from tests.oracle.oracle import milliseconds

SECOND, MINUTE = 1_000, 60_000
START = milliseconds("2026-03-01T00:00:00Z")
NOW = START + 1_000 * MINUTE
DEFINITIONS = {
    "version": 1,
    "segments": {
        "buyer": {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}},
        "busy": {"title": "Busy", "when": {"performed": {"event": "page", "within": "10m"}}},
        "shy": {"title": "Shy", "when": {"not": {"performed": {"event": "Signed Up"}}}},
    },
}
ENGINE = Engine(build(DEFINITIONS, "ahead.yaml"))
Line = tuple[str, str, int, int, bool]


def event(name: str, at_ms: int) -> Event:
    """An event so many ms after the start."""
    when = format_instant(START + at_ms)
    kind = {"type": "page"} if name == "page" else {"type": "track", "event": name, "properties": {"order_id": "o1"}}
    return decode_line(json.dumps({**kind, "messageId": f"{name} {at_ms}", "userId": "u1", "timestamp": when}).encode())


PAGE, ORDER, SIGN_UP = event("page", 0), event("Order Completed", MINUTE), event("Signed Up", 2 * MINUTE)
LATER = event("Order Completed", 30 * MINUTE)


def decided(events: Sequence[Event], until_ms: int = 0) -> tuple[list[Change], Customer]:
    """An ordinary life: its changes, and the customer at its end."""
    customer = ENGINE.new()
    changes = [change for event in events for change in ENGINE.apply("u1", customer, event)]
    return changes + ENGINE.fire("u1", customer, START + until_ms), customer


def published(changes: Sequence[Change]) -> list[PublishedChange]:
    return [PublishedChange(change.id, change.occurred_at, change.sequence, change.segments) for change in changes]


def again(customer: Customer, *events: Event) -> list[Change]:
    """The changes of the same customer, which goes on as in a segmenter, stored and loaded in between."""
    made: list[Change] = []
    for event in events:
        customer = reloaded(customer)
        made += (ENGINE.apply if customer.published_ahead is None else lambda *so: published_ahead.apply(ENGINE, *so))(
            "u1", customer, event
        )
    return made


def reloaded(customer: Customer) -> Customer:
    """The customer, stored and loaded."""
    read = customer_codec.decode(customer_codec.encode(customer))
    for name in customer.__struct_fields__:
        setattr(customer, name, getattr(read, name))
    return customer


def lines_of(changes: Sequence[Change]) -> list[Line]:
    """The segment, kind, ms after the start, sequence and lateness of each change."""
    return [
        (change.segment, change.kind, change.occurred_at - START, change.sequence, change.late) for change in changes
    ]


def is_ahead(customer: Customer) -> bool:
    return customer.published_ahead is not None


def behind(changes: Sequence[Change], *events: Event) -> Customer:
    """A customer with these published changes, of which only these events are known."""
    _, customer = decided(events)
    assert record_published(customer, published(changes), NOW)
    assert is_ahead(customer)
    return customer


FORMER, _ = decided([PAGE, ORDER, SIGN_UP], 11 * MINUTE)


def test_the_life_that_was_lost() -> None:
    """The tests below stand on these changes."""
    assert lines_of(FORMER) == [
        ("busy", "entered", 0, 1, False), ("shy", "entered", 0, 2, False), ("buyer", "entered", MINUTE, 3, False),
        ("shy", "exited", 2 * MINUTE, 4, False), ("busy", "exited", 10 * MINUTE, 5, False),
    ]  # fmt: skip


# --- decided again as it was -------------------------------------------------------------------


@pytest.mark.parametrize("applied", [0, 1, 2, 3])
def test_decided_again_nothing_is_published_twice(applied: int) -> None:
    """No change is published until all were decided again; then the next takes the next number."""
    events = [PAGE, ORDER, SIGN_UP]
    customer = behind(FORMER, *events[:applied])
    assert again(customer, *events[applied:]) == []
    assert is_ahead(customer)
    assert published_ahead.fire(ENGINE, "u1", customer, START + 10 * MINUTE) == []
    assert not is_ahead(customer)
    assert lines_of(again(customer, event("page", 20 * MINUTE))) == [("busy", "entered", 20 * MINUTE, 6, False)]


def test_decided_again_by_an_event_that_fires_the_due_times_before_it() -> None:
    """The due times give the published changes; what the event itself changes is new."""
    customer = behind(FORMER, PAGE, ORDER)
    later = event("page", 20 * MINUTE)
    assert lines_of(again(customer, SIGN_UP, later)) == [("busy", "entered", 20 * MINUTE, 6, False)]
    assert not is_ahead(customer)


def test_changes_of_one_decision_of_which_some_are_published() -> None:
    """One half is published, as may be in a batch: the other half is an ordinary change."""
    customer = behind(FORMER[:1])
    made = again(customer, PAGE)
    assert lines_of(made) == [("shy", "entered", 0, 2, False)]
    assert made[0].id == FORMER[1].id
    assert not is_ahead(customer)


def test_what_was_published_comes_in_pieces_and_repeatedly() -> None:
    """Noted in parts, with repeats, the result is that of all at once; noting them again changes nothing."""
    whole, parts = behind(FORMER, PAGE), behind(FORMER[:3], PAGE)
    line = published(FORMER)
    assert record_published(parts, [line[3], line[1], line[4], line[3], line[0]], NOW)
    assert parts == whole
    assert not record_published(parts, line, NOW + MINUTE)
    assert parts == whole


def test_what_the_standing_knows_is_nothing_new() -> None:
    """Each change that the standing has reached, by its number, is known."""
    _, customer = decided([PAGE, ORDER])
    assert not record_published(customer, published(FORMER[:3]), NOW)
    assert not is_ahead(customer)


def test_a_segment_that_the_definitions_no_longer_have() -> None:
    """A segment without a definition loses its published members once no published change is awaited."""
    last = published(FORMER)[2]
    _, customer = decided([PAGE])
    gone = PublishedChange(last.change_id, last.occurred_at, 3, ("busy", "buyer", "gone", "shy"))
    assert record_published(customer, [gone], NOW)
    assert again(customer, ORDER) == []
    (change,) = again(customer, LATER)[:1]
    assert (change.segment, change.kind, change.reason, change.late) == ("gone", "exited", REMOVED, True)
    assert change.segments == ("busy", "buyer", "shy")
    assert not is_ahead(customer)


# --- decided otherwise -------------------------------------------------------------------------


def test_another_change_is_withheld_until_the_customer_has_gone_on() -> None:
    """Only the sign-up comes again: closed right after the newest published change, then as usual."""
    customer = behind(FORMER[:4], PAGE)
    assert again(customer, SIGN_UP) == []
    assert is_ahead(customer)
    made = again(customer, event("page", 5 * MINUTE))
    assert lines_of(made) == [("buyer", "exited", 2 * MINUTE + 1, 5, True)]
    assert made[0].segments == ("busy",)
    assert (made[0].event, made[0].reason.holds) == (None, False)
    assert lines_of(again(customer, LATER)) == [
        ("busy", "exited", 15 * MINUTE, 6, False), ("buyer", "entered", 30 * MINUTE, 7, False),
    ]  # fmt: skip


def test_what_was_withheld_is_said_in_the_end_if_it_still_holds() -> None:
    """After all published changes it is published late, under a new id."""
    customer = behind(FORMER[:3])  # the sign-up was read after what is published
    early = event("Signed Up", 30 * SECOND)
    assert again(customer, PAGE, early, ORDER) == []
    assert customer.published_ahead is not None
    assert customer.published_ahead.waiting == set()
    made = published_ahead.fire(ENGINE, "u1", customer, NOW + 1)
    assert lines_of(made) == [("shy", "exited", MINUTE + 1, 4, True), ("busy", "exited", 10 * MINUTE, 5, False)]


def test_a_closing_change_is_new_even_where_nothing_else_happens() -> None:
    """A closing change has an id that is new for this customer, so consumers do not drop it as known."""
    back = [*FORMER[:3], *decided([PAGE, ORDER, event("page", 3 * MINUTE)], 15 * MINUTE)[0][3:]]
    customer = behind(back[:4], PAGE, ORDER)  # busy is out, by time, at its due time
    assert lines_of(back[3:4]) == [("busy", "exited", 13 * MINUTE, 4, False)]
    assert published_ahead.fire(ENGINE, "u1", customer, START + 12 * MINUTE) == []  # out earlier, withheld
    assert again(customer, event("page", 12 * MINUTE)) == []  # and in again
    made = published_ahead.fire(ENGINE, "u1", customer, NOW + 1)
    assert lines_of(made)[0] == ("busy", "entered", 13 * MINUTE + 1, 5, True)
    assert {change.id for change in made}.isdisjoint(change.id for change in back)


def test_all_decided_again_but_with_another_membership() -> None:
    """That each id came is not enough: a withheld change may have made another membership."""
    customer = behind(FORMER[2:3])
    customer.published_ahead = Ahead({FORMER[2].id}, START + MINUTE, NOW + 1, ("buyer",))
    assert again(customer, PAGE, ORDER) == []
    assert is_ahead(customer)
    made = again(customer, event("page", 2 * MINUTE))
    assert lines_of(made) == [("busy", "entered", MINUTE + 1, 4, True), ("shy", "entered", MINUTE + 1, 5, True)]


# --- the wake ----------------------------------------------------------------------------------


def test_nothing_more_happens_to_the_customer() -> None:
    """A customer without further events is due once, at the wake, not before the clock of the finding."""
    signed_up = event("Signed Up", 0)
    bought, _ = decided([signed_up, ORDER])
    customer = behind(bought, signed_up)  # the order never comes
    assert published_ahead.fire(ENGINE, "u1", customer, NOW) == []
    assert customer.due == NOW + 1
    assert lines_of(published_ahead.fire(ENGINE, "u1", customer, NOW + 1)) == [("buyer", "exited", MINUTE + 1, 2, True)]
    assert (customer.published_ahead, customer.due) == (None, 0)


def test_a_wake_is_never_before_the_newest_published_change() -> None:
    """A wake is not before the newest published change, also where the clock is behind that change."""
    _, customer = decided([PAGE])
    record_published(customer, published(FORMER[:3]), START)
    assert customer.published_ahead is not None
    assert customer.published_ahead.wake == START + MINUTE + 1
    assert customer.due == customer.published_ahead.wake


def test_an_own_due_time_comes_before_the_wake() -> None:
    """A due time past the newest published change ends the wait like any other decision."""
    customer = behind(FORMER[:3], PAGE)
    assert customer.due == START + 10 * MINUTE
    made = published_ahead.fire(ENGINE, "u1", customer, START + 10 * MINUTE)
    assert lines_of(made) == [
        ("buyer", "exited", MINUTE + 1, 4, True), ("busy", "exited", 10 * MINUTE, 5, False),
    ]  # fmt: skip


# --- nothing decided yet -----------------------------------------------------------------------


def test_of_a_lost_customer_the_first_event_decides_everything() -> None:
    """A lost customer's first event decides also segments that hold without events; no change is repeated."""
    customer = behind(FORMER[:2])
    assert lines_of(again(customer, event("Signed Up", 20 * MINUTE))) == [
        ("busy", "exited", 20 * MINUTE, 3, True), ("shy", "exited", 20 * MINUTE, 4, True),
    ]  # fmt: skip
    other = behind(FORMER[:2])
    assert lines_of(again(other, event("Order Completed", 20 * MINUTE))) == [
        ("busy", "exited", 20 * MINUTE, 3, True), ("buyer", "entered", 20 * MINUTE, 4, True),
    ]  # fmt: skip


def test_a_lost_customer_of_whom_nothing_is_read_again() -> None:
    """At the wake it is in nothing; an event that comes after all decides everything."""
    customer = behind(FORMER[:2])
    assert lines_of(published_ahead.fire(ENGINE, "u1", customer, NOW + 1)) == [
        ("busy", "exited", 1, 3, True),
        ("shy", "exited", 1, 4, True),
    ]
    assert lines_of(again(customer, ORDER)) == [
        ("buyer", "entered", MINUTE, 5, False),
        ("shy", "entered", MINUTE, 6, False),
    ]
