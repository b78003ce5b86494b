"""What lies at the edge of what is accepted: nothing that a shop may send or write makes the rules fail.

Each case is accepted on its own; together with others, or stored, it went wrong once.
"""

import json
from typing import Any

import pytest

from rules.customer import Customer
from rules.definitions.segments_file import Definitions, build, built_in
from rules.engine import Engine
from rules.times import DAY_MS, format_instant
from streams.wire import customer_codec
from streams.wire.event_decoder import decode_line

T = 1_800_000_000_000


def asking(currency: Any = None, **whens: Any) -> Definitions:
    segments = {key: {"title": key, "when": when} for key, when in whens.items()}
    return build({"version": 1, "segments": segments} | ({"currency": currency} if currency else {}), "edges.yaml")


def line(day: float, name: str, **more: Any) -> bytes:
    kind = {"type": name} if name in ("page", "identify") else {"type": "track", "event": name}
    stamp = {"messageId": f"m{day}", "userId": "u", "timestamp": format_instant(T + round(day * DAY_MS))}
    return json.dumps(kind | stamp | more).encode()


def stored(definitions: Definitions, *lines: bytes) -> tuple[Engine, Customer]:
    """The customer after these events, stored and read after each."""
    engine = Engine(definitions)
    customer = engine.new()
    for value in lines:
        event = decode_line(value)
        engine.apply("u", customer, event)
        customer = customer_codec.decode(customer_codec.encode(customer))
    return engine, customer


def test_more_answers_than_one_number_holds() -> None:
    """A segment for each of 130 cities, by context and by trait: the last of them is entered."""
    of_context = {f"c{n}": {"context": {"city": f"city{n}"}} for n in range(130)}
    of_trait = {f"t{n}": {"trait": {"city": f"city{n}"}} for n in range(130)}
    definitions = asking(**of_context, **of_trait)
    here = {"context": {"location": {"city": "city129"}}, "traits": {"city": "city129"}}
    engine, customer = stored(definitions, line(0, "identify", **here))
    assert engine.membership(customer) == ("c129", "t129")


def test_sums_beyond_sixty_four_bits() -> None:
    """The sum of 300 of the greatest numbers, or orders, in one day is stored and exact."""
    definitions = asking(
        "EUR",
        numbers={"total": {"agg": "sum", "of": "n", "event": "Rated", "at_least": 1}},
        orders={"total": {"agg": "sum", "of": "total", "event": "Order Completed", "at_least": 1}},
    )
    many = [line(index / 1_000, "Rated", properties={"n": 8e12}) for index in range(300)]
    many += [
        line(index / 1_000, "Order Completed", properties={"order_id": index, "total": 999_999_999_999})
        for index in range(300)
    ]
    engine, customer = stored(definitions, *sorted(many, key=lambda value: json.loads(value)["timestamp"]))
    assert engine.membership(customer) == ("numbers", "orders")


@pytest.mark.parametrize("born", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "9999-12-31", "0001-01-01"])
def test_a_birthday_at_the_edge_of_the_calendar(born: str) -> None:
    """A birthday at the edge of the calendar is a date or none, but no failure."""
    engine, customer = stored(built_in(), line(0, "identify", traits={"birthday": born}))
    engine.fire("u", customer, T + 400 * DAY_MS)


@pytest.mark.parametrize("after", [100, 250, 255, 493])
def test_steps_on_both_sides_of_an_order_are_no_neighbours(after: int) -> None:
    """The sequence holds however many views surround the order, while at most 256 are newer."""
    sequence = {"steps": [{"event": "Product Viewed"}, {"event": "Order Completed"}], "within": "30d"}
    views = [line(index / 1_000, "Product Viewed") for index in range(after + 200)]
    order = line((after - 0.5) / 1_000, "Order Completed", properties={"order_id": "o"})
    engine, customer = stored(asking(s={"sequence": sequence}), *views[:after], order, *views[after:])
    assert engine.membership(customer) == ("s",)


def test_the_greatest_ever_is_never_forgotten() -> None:
    """The greatest value ever stays, however long the values only fall."""
    ever = {"total": {"agg": "max", "of": "n", "event": "Rated", "at_least": 1_000}}
    fallen = [line(index / 1_000, "Rated", properties={"n": 1_000 - index}) for index in range(400)]
    engine, customer = stored(asking(s=ever), *fallen)
    assert engine.membership(customer) == ("s",)


def test_clocks_that_go_back_over_midnight() -> None:
    """In St. John's, on 2009-11-01, a quarter past midnight is Saturday again for a while."""
    saturday = {
        "all": [{"performed": {"event": "page"}}, {"calendar": {"weekday": "sat", "timezone": "America/St_Johns"}}]
    }
    engine = Engine(asking(s=saturday))
    customer = engine.new()
    event = {"type": "page", "messageId": "m", "userId": "u", "timestamp": "2009-11-01T02:45:00Z"}
    engine.apply("u", customer, decode_line(json.dumps(event).encode()))
    engine.fire("u", customer, customer.instant + 3 * DAY_MS)
    assert engine.membership(customer) == ()


def test_the_last_year_of_the_calendar() -> None:
    """An event may be as late as a timestamp can say."""
    engine = Engine(built_in())
    customer = engine.new()
    event = {"type": "page", "messageId": "m", "userId": "u", "timestamp": "9999-12-31T23:59:59Z"}
    engine.apply("u", customer, decode_line(json.dumps(event).encode()))
    assert "direct_visitor" in engine.membership(customer)


def test_own_bands_stand_in_place_of_the_librarys() -> None:
    """None of the library's bands is left, and the total is the file's own."""
    bands = {"total": {"agg": "sum", "of": "total", "event": "Order Completed", "within": "7d"}, "from": {"small": 1}}
    own = {"customer_value": {"title": "Value", "bands": bands}}
    definitions = build({"version": 1, "library": {"without": ["vip"]}, "segments": own}, "own.yaml")
    assert [segment.key for segment in definitions.segments if segment.key.startswith("customer_value")] == [
        "customer_value_small"
    ]
    assert definitions.families["customer_value"] == ("customer_value_small",)
    without = build({"version": 1, "library": {"without": ["vip", "customer_value"]}}, "own.yaml")
    assert not [segment.key for segment in without.segments if segment.key.startswith("customer_value")]
