"""A message counts once, also where its two records carry different times because the client's clock runs ahead.

Both records go through `decode` with their own Kafka times, in both orders of arrival.
"""

import json
from collections.abc import Sequence

import pytest

from rules.conditions.aggregates import Total
from rules.conditions.base import CustomerView
from rules.engine import Engine
from rules.events import Event, Origin
from rules.number_text import MICRO
from rules.profile.deduplication import AHEAD_MAX_MS, merged
from rules.profile.short_ids import short_id
from rules.times import format_instant
from streams.wire.event_decoder import decode
from tests.strategies.histories import HOUR, MINUTE, SECOND
from tests.support.profiles import ORDER, T, When, in_every_order, profile_of, wanting
from tests.support.profiles import merged as merged_profiles


def record(name: str, timestamp: int, kafka: int, ident: str = "m1", **properties: object) -> Event:
    """A record as it is read; both times in ms after T."""
    kind = {"type": "page"} if name == "page" else {"type": "track", "event": name}
    fields = {"messageId": ident, "userId": "u", "timestamp": format_instant(T + timestamp), "properties": properties}
    return decode(json.dumps(kind | fields).encode(), b"u", T + kafka, Origin("visits", 0, kafka % 1_000))


def twice(name: str, timestamp: int = 2 * HOUR, ident: str = "m1", **properties: object) -> list[Event]:
    """An event sent at once and, without an answer, again: a clock five minutes ahead, a second record 90 s later."""
    ahead = timestamp - AHEAD_MAX_MS
    return [record(name, timestamp, kafka, ident, **properties) for kafka in (ahead, ahead + 90 * SECOND)]


def once(name: str, at: int, ident: str, **properties: object) -> Event:
    return record(name, at, at, ident, **properties)


def holds(when: When, events: Sequence[Event], at: int = 3 * HOUR) -> bool:
    definitions = wanting(when)
    view = CustomerView("u", profile_of(definitions, events), {})
    return definitions.segments[0].when.decide(view, T + at)[0]


def same_as_the_first(when: When, copies: Sequence[Event], others: Sequence[Event] = ()) -> None:
    """Both records in any order, or in parts that merge, decide as the earlier record alone."""
    definitions = wanting(when)
    first = min(copies, key=lambda event: event.time)
    expected = profile_of(definitions, [first, *others])
    assert in_every_order([*copies, *others], lambda some: profile_of(definitions, some)) == expected
    assert in_every_order([*others, *copies], lambda some: profile_of(definitions, some)) == expected
    parts = [profile_of(definitions, [copy, *others]) for copy in copies]
    assert merged_profiles(definitions, *parts) == merged_profiles(definitions, *parts[::-1]) == expected


def test_the_two_records_have_two_times() -> None:
    """The two records have different times, as the other tests here assume; later ones have the timestamp."""
    first, second = twice("page")
    assert (first.time, second.time) == (T + 2 * HOUR - 5 * MINUTE, T + 2 * HOUR - 210 * SECOND)
    assert record("page", HOUR, HOUR).time == record("page", HOUR, 9 * HOUR).time == T + HOUR
    assert AHEAD_MAX_MS == 5 * MINUTE


PAGES: When = {"performed": {"event": "page", "count": {"at_least": 2}}}
NEARBY = [once("page", 2 * HOUR + minute * MINUTE, f"n{minute}") for minute in range(-9, 3, 2)]


@pytest.mark.parametrize("others", [[], NEARBY], ids=["alone", "among others"])
def test_performed(others: list[Event]) -> None:
    """One page view is not two, and is dated by the earlier record."""
    more: When = {"performed": {"event": "page", "count": {"at_least": 20}, "within": "1d"}}
    same_as_the_first(more, twice("page"), others)
    assert not holds(PAGES, twice("page"))
    assert not holds(PAGES, twice("page")[::-1])
    assert holds(PAGES, [*twice("page"), *twice("page", ident="m2")])


def test_the_last_and_the_first() -> None:
    """The first is the earlier record's; the last is it, too, as its id is known."""
    same_as_the_first({"first": {"event": "page"}}, twice("page"), NEARBY)
    same_as_the_first({"last": {"event": "page"}}, twice("page"))


def test_cart() -> None:
    """A product added once is in the cart once; one removed once is not taken out twice."""
    added: When = {"cart": {"items": 1}}
    for copies in (twice("Product Added", product_id="p"), twice("Product Added", product_id="p")[::-1]):
        assert holds(added, copies)
    three = once("Product Added", HOUR, "m0", product_id="p", quantity=3)
    for copies in (twice("Product Removed", product_id="p", quantity=2),
                   twice("Product Removed", product_id="p", quantity=2)[::-1]):  # fmt: skip
        assert holds(added, [three, *copies])


def test_refunds() -> None:
    """Half of an order given back once leaves the other half; a total is lowered once."""
    bought = once(ORDER, HOUR, "m0", order_id="o", total=100)
    half = twice("Order Refunded", order_id="o", total=50)
    stands: When = {"performed": {"event": ORDER}}
    same_as_the_first(stands, half, [bought])
    for copies in (half, half[::-1]):
        assert holds(stands, [bought, *copies])
        assert spent([bought, *copies]) == 50
    assert not holds(stands, [bought, *half, *twice("Order Refunded", ident="m2", order_id="o", total=50)])


def spent(events: Sequence[Event]) -> int:
    definitions = wanting({"total": {"agg": "sum", "of": "total", "event": ORDER, "at_least": 1}})
    when = definitions.segments[0].when
    assert isinstance(when, Total)
    value = when.value(CustomerView("u", profile_of(definitions, events), {}), T + 3 * HOUR)
    assert value is not None
    return value // MICRO


def test_orders_without_an_order_id() -> None:
    """Orders without an order id are told apart by message."""
    copies = twice(ORDER, total=100)
    same_as_the_first({"performed": {"event": ORDER, "count": {"at_least": 2}}}, copies)
    assert spent(copies) == spent(copies[::-1]) == 100


def test_sums() -> None:
    """A score of 9 is 9, and so is its average over one."""
    scored: When = {"total": {"agg": "sum", "of": "score", "event": "NPS Submitted", "at_least": 10, "within": "1d"}}
    others = [once("NPS Submitted", 2 * HOUR + minute * MINUTE, f"n{minute}", score=0.25) for minute in range(-7, 2, 2)]
    same_as_the_first(scored, twice("NPS Submitted", score=9), others)
    assert not holds(scored, twice("NPS Submitted", score=9))
    assert holds(scored, [*twice("NPS Submitted", score=9), once("NPS Submitted", HOUR, "m2", score=1)])


@pytest.mark.parametrize("more", [{}, {"same": "color"}, {"within": "1d"}], ids=str)
def test_sequence(more: dict[str, str]) -> None:
    """One message is one step, whatever the times of its records."""
    both: When = {"sequence": {"steps": [{"event": "page"}, {"event": "page"}], **more}}
    copies = twice("page", color=["red", "blue"])
    same_as_the_first(both, copies)
    assert not holds(both, copies)
    assert not holds(both, copies[::-1])
    assert holds(both, [*copies, once("page", HOUR, "m2", color="red")])


def test_the_order_of_steps_is_that_of_the_earlier_records() -> None:
    """What came between the two records followed the first of them."""
    then: When = {"sequence": {"steps": [{"event": "page"}, {"event": "Signed Up"}]}}
    between = once("Signed Up", 2 * HOUR - 4 * MINUTE, "m0")
    for copies in (twice("page"), twice("page")[::-1]):
        assert holds(then, [*copies, between])
        assert holds(then, [between, *copies])


def test_long_ids() -> None:
    """Long ids are known by their hash."""
    same_as_the_first(PAGES, twice("page", ident="m" * 5_000))
    assert len(short_id("m" * 5_000)) <= 64


def test_the_engine_decides_nothing_anew() -> None:
    """The second record makes no change, and is not late against the first."""
    engine = Engine(wanting(PAGES, {"cart": {"items": {"at_least": 2}}}))
    customer = engine.new()
    for event in (*twice("page"), *twice("Product Added", ident="m2", product_id="p")):
        assert engine.apply("u", customer, event) == []


def test_one_id_far_apart_is_two_messages() -> None:
    """More than five minutes apart no clock explains it, so the records are told apart."""
    for gap, count in ((AHEAD_MAX_MS, 1), (AHEAD_MAX_MS + 1, 2)):
        apart = [once("page", HOUR, "m"), once("page", HOUR + gap, "m")]
        assert holds(PAGES, apart) == (count == 2)
        assert holds(PAGES, apart[::-1]) == (count == 2)


def test_what_was_merged_counts_once_at_its_earliest() -> None:
    """The earliest of several entries with one id stays."""
    entries = [(5, "b"), (3, "a"), (4, "b"), (9, "a"), (3, "c")]
    assert merged(entries, lambda entry: entry) == [(3, "a"), (3, "c"), (4, "b")]
