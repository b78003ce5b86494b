"""The load generator: the arguments decide every byte, and the bytes are what analytics.js would send."""

import hashlib
import io
import json
from collections import Counter
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

import pytest

from load import generate
from load.generate import PROFILES, START_MS, WEEK_MS, Record, records
from tests.oracle.oracle import BUILT_IN, changes, milliseconds

RANK = {"profiles": 0, "visits": 1, "carts": 2, "purchases": 3}
TOPIC = {
    "page": "visits",
    "Product Viewed": "visits",
    "Product List Viewed": "visits",
    "Products Searched": "visits",
    "NPS Submitted": "visits",
    "Product Added": "carts",
    "Cart Viewed": "carts",
    "Product Removed": "carts",
    "Checkout Started": "carts",
    "Order Completed": "purchases",
    "identify": "profiles",
}
GAP_MS = 30 * 60_000


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def load_records(profile: str) -> list[Record]:
    return list(records(20_000, 4_000, seed=7, profile=profile))


@pytest.fixture(scope="module")
def events(load_records: list[Record]) -> list[dict[str, Any]]:
    return [json.loads(value, parse_float=Decimal) for _, _, value, _ in load_records]


def name(event: dict[str, Any]) -> str:
    return str(event.get("event", event["type"]))


def digest(load_records: list[Record]) -> str:
    return hashlib.sha256(repr(load_records).encode()).hexdigest()[:16]


def test_what_a_seed_means_is_fixed() -> None:
    """A change here is another load: numbers measured before it no longer compare."""
    assert {profile: digest(list(records(10_000, 2_000, seed=1, profile=profile))) for profile in PROFILES} == {
        "change-heavy": "165aa0882d95163e",
        "session-like": "902cda3fd0441e74",
    }


def test_the_arguments_decide(profile: str, load_records: list[Record]) -> None:
    """Equal arguments give equal loads; another seed gives another."""
    assert list(records(20_000, 4_000, seed=7, profile=profile)) == load_records
    assert digest(list(records(20_000, 4_000, seed=8, profile=profile))) != digest(load_records)


def test_a_slice_of_encoding_is_invisible(
    profile: str, load_records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "SLICE", 999)
    assert list(records(20_000, 4_000, seed=7, profile=profile)) == load_records


def test_counts_and_times(load_records: list[Record]) -> None:
    """The load has the given number of records; times ascend within the span, equal ones in topic order."""
    assert len(load_records) == 20_000
    assert START_MS <= load_records[0][3] <= load_records[-1][3] < START_MS + WEEK_MS
    order = [(time_ms, RANK[topic]) for topic, _, _, time_ms in load_records]
    assert order == sorted(order)


def test_start_and_span(profile: str) -> None:
    """All events of a minute at another time fit, in order, equal times in topic order."""
    some = list(records(3_000, 50, 3, profile, start_ms=1_700_000_000_000, span_ms=60_000))
    times = [time_ms for *_, time_ms in some]
    assert 1_700_000_000_000 <= times[0] <= 1_700_000_010_000
    assert 1_700_000_050_000 <= times[-1] < 1_700_000_060_000
    order = [(time_ms, RANK[topic]) for topic, _, _, time_ms in some]
    assert order == sorted(order)
    assert any(a < b for a, b in pairwise(order) if a[0] == b[0])


def test_every_record_is_an_event(load_records: list[Record], events: list[dict[str, Any]]) -> None:
    """Each record has the topic of its name, its customer as key, its time, and the context of a browser."""
    for (topic, key, _, time_ms), event in zip(load_records, events, strict=True):
        assert topic == TOPIC[name(event)]
        assert key.decode() == event["userId"]
        assert milliseconds(event["timestamp"]) == time_ms
        assert event["timestamp"].endswith("Z")
        assert event["anonymousId"]
        assert event["context"].keys() - {"campaign"} == {"page", "userAgent", "locale", "library"}
        assert ("traits" if event["type"] == "identify" else "properties") in event
    assert {name(event) for event in events} >= TOPIC.keys() - {"Cart Viewed"}
    assert any("campaign" in event["context"] for event in events)


def test_ids(load_records: list[Record], events: list[dict[str, Any]]) -> None:
    """messageIds are unique UUIDs; one anonymousId and one set of traits per customer."""
    ids = [event["messageId"] for event in events]
    assert len(set(ids)) == len(ids)
    assert {(len(text), text[14], text[19]) for text in ids} == {(36, "4", "a")}
    anonymous = {(event["userId"], event["anonymousId"]) for event in events}
    assert len({user for user, _ in anonymous}) == len({cookie for _, cookie in anonymous}) == len(anonymous)
    traits = {(event["userId"], json.dumps(event["traits"])) for event in events if "traits" in event}
    assert len({user for user, _ in traits}) == len(traits)
    assert len({key for _, key, _, _ in load_records}) <= 4_000


def test_orders_add_up(events: list[dict[str, Any]]) -> None:
    """total = the exact sum of its products; each order has an id of its own."""
    orders = [event["properties"] for event in events if name(event) == "Order Completed"]
    for order in orders:
        assert order["total"] == sum(line["price"] * line["quantity"] for line in order["products"])
        assert order["currency"] == "USD"
    assert len({order["order_id"] for order in orders}) == len(orders)
    assert {len(order["products"]) for order in orders} == {1, 2, 3}


def test_the_mix(load_records: list[Record]) -> None:
    """60-70 % are visits, about 20 % carts, 8-10 % purchases, a few profiles."""
    share = {topic: count / len(load_records) for topic, count in Counter(topic for topic, *_ in load_records).items()}
    assert 0.60 <= share["visits"] <= 0.70
    assert 0.18 <= share["carts"] <= 0.25
    assert 0.08 <= share["purchases"] <= 0.10
    assert 0.02 <= share["profiles"] <= 0.05


def test_size(load_records: list[Record]) -> None:
    """Records have about 590 bytes, none far from it."""
    sizes = [len(value) for _, _, value, _ in load_records]
    assert 570 <= sum(sizes) / len(sizes) <= 615
    assert min(sizes) >= 450
    assert max(sizes) <= 900


@pytest.mark.parametrize(("profile", "least", "most"), [("change-heavy", 0.37, 0.45), ("session-like", 0.145, 0.185)])
def test_changes_per_event(profile: str, least: float, most: float) -> None:
    """At 5 events per customer in a week, the built-in segments change as often as the profile says."""
    events = [json.loads(value) for _, _, value, _ in records(5_000, 1_000, seed=3, profile=profile)]
    assert least <= len(changes(events, BUILT_IN)) / len(events) <= most


def test_visits_of_several_pages() -> None:
    """session-like: a customer's events come in bunches, and some customers come far more often."""
    some = list(records(20_000, 4_000, seed=7, profile="session-like"))
    last: dict[bytes, int] = {}
    visits: Counter[bytes] = Counter()
    for _, key, _, time_ms in some:
        visits[key] += time_ms - last.get(key, 0) >= GAP_MS
        last[key] = time_ms
    assert 5 <= len(some) / visits.total() <= 9
    often = sum(count for _, count in visits.most_common(len(visits) // 10))
    assert often > 0.2 * visits.total()


def test_what_is_ordered_was_checked_out() -> None:
    """session-like: an order has the products of the checkout before it."""
    cart: dict[str, Any] = {}
    orders = 0
    for _, _, value, _ in records(20_000, 100_000, seed=7, profile="session-like"):
        event = json.loads(value)
        if name(event) == "Checkout Started":
            cart[event["userId"]] = event["properties"]["products"]
        elif name(event) == "Order Completed":
            orders += 1
            assert event["properties"]["products"] == cart[event["userId"]]
    assert orders > 1_000


def test_customers_are_uniform_when_change_heavy() -> None:
    """Of 20,000 events over 10 customers each has 2,000, give or take a tenth."""
    count = Counter(key for _, key, _, _ in records(20_000, 10, seed=5))
    assert set(count) == {b"u%06d" % customer for customer in range(10)}
    assert all(1_800 <= number <= 2_200 for number in count.values())


@pytest.mark.parametrize("events", [0, 1, 2, 8_193])
def test_any_number_of_events(profile: str, events: int) -> None:
    assert len(list(records(events, 1, profile=profile, span_ms=1))) == events


@pytest.mark.parametrize(
    "wrong", [{"events": -1}, {"customers": 0}, {"span_ms": 0}, {"seed": -1}, {"profile": "other"}]
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """Wrong arguments are refused at the call, not at the first record."""
    with pytest.raises(ValueError, match=r"must be|no profile"):
        records(**wrong)


def test_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the values of the records, one a line."""
    stream = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(stream, write_through=True))
    arguments = "--events 300 --customers 20 --seed 4 --profile session-like --span 12h"
    assert generate.main([*arguments.split(), "--start", "2026-02-01T01:00:00+01:00"]) == 0
    start_ms = milliseconds("2026-02-01T00:00:00Z")
    expected = records(300, 20, 4, "session-like", start_ms, 12 * 3_600_000)
    assert stream.getvalue().splitlines() == [value for _, _, value, _ in expected]


@pytest.mark.parametrize(
    "wrong",
    [
        "--span 7",
        "--span x",
        "--start 2026-01-01",
        "--start now",
        "--events -1",
        "--span 0s",
        "--profile other",
    ],
)
def test_command_refuses(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        generate.main(wrong.split())
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_records_come_one_by_one() -> None:
    """The first records are there before all are encoded, so a preload can start at once."""
    assert [topic for topic, *_ in islice(records(100_000, 10), 3)]
