"""How events are read, computed by hand: numbers and money, ids, times, names, and what stands in another place."""

from fractions import Fraction

import pytest

from tests.oracle import facts, oracle
from tests.oracle.amounts import MILLION, Number, money, read_number
from tests.oracle.cases import START_MS, Timeline
from tests.oracle.names import current_name
from tests.oracle.oracle import Json, changes
from tests.oracle.values import folded, identifier
from tests.strategies.histories import DAY, HOUR, MINUTE, Event

# --- numbers -----------------------------------------------------------------------------------

NUMBERS: list[tuple[object, str | None, str | None]] = [
    (49.9, "49.9", None),
    ("49.9", "49.9", None),
    (" +7 ", "7", None),
    ("-7", "-7", None),
    (".99", "0.99", None),
    ("007", "7", None),
    ("1e-6", "0.000001", None),
    ("۱۲۳", "123", None),
    ("٤٥٫٥", "45.5", None),
    ("۱٬۰۴۹٫۹۰", "1049.9", None),
    ("۱٬۰۴۹", "1049", None),
    ("1,049.90", "1049.9", None),
    ("1.049,90", "1049.9", None),
    ("1,049,900", "1049900", None),
    ("1.049.900", "1049900", None),
    ("1,60", "1.6", None),
    ("1,6", "1.6", None),
    ("1.049", "1.049", None),
    ("1,049", None, None),
    ("1,04,9", None, None),
    ("$50", "50", "$"),
    ("50 $", "50", "$"),
    ("€ 9.00", "9", "EUR"),
    ("£1", "1", "GBP"),
    ("¥1", "1", "JPY"),
    ("₹1", "1", "INR"),
    ("₺1", "1", "TRY"),
    ("۵۰ ﷼", "50", "IRR"),
    ("eur 5", "5", "EUR"),
    ("5,50 Chf", "5.5", "CHF"),
    ("-$5", "-5", "$"),
    ("€1.049,90", "1049.9", "EUR"),
    ("fifty", None, None),
    ("10 or 20", None, None),
    (True, None, None),
    ([5], None, None),
    ({"amount": 5}, None, None),
]


@pytest.mark.parametrize(("stated", "size", "currency"), NUMBERS, ids=[repr(row[0]) for row in NUMBERS])
def test_a_number_is_read_leniently(stated: object, size: str | None, currency: str | None) -> None:
    """The size is exact; None: it is stated, and unknown."""
    number = read_number(stated)
    assert number is not None
    if size is None:
        assert number.size is None
    else:
        assert number == Number(int(Fraction(size) * MILLION), currency)


def test_what_is_empty_is_no_number() -> None:
    assert [read_number(value) for value in (None, "", "  ")] == [None] * 3


@pytest.mark.parametrize(
    ("stated", "beside", "file", "currency"),
    [
        ("$5", None, "EUR", "USD"),
        ("$5", None, "CAD", "CAD"),
        ("$5", "AUD", "CAD", "AUD"),
        ("$5", "EUR", "EUR", "USD"),
        ("5", None, "EUR", "EUR"),
        ("5", "USD", "EUR", "USD"),
        ("5 GBP", "USD", "EUR", "GBP"),
    ],
)
def test_the_currency_of_money(stated: str, beside: str | None, file: str, currency: str) -> None:
    """A sign or code in the value comes first; a dollar is the event's or the file's, if that is one."""
    read = money(stated, beside, file)
    assert read is not None
    assert read == (5 * MILLION, currency)


def test_money_without_a_bound_or_below_zero_is_unknown() -> None:
    for value in (10**12, -1, "-0.01", "n/a"):
        read = money(value, None, "EUR")
        assert read is not None
        assert read.size is None


def ordered(**where: object) -> Event:
    return {"performed": {"event": "Order Completed", "where": where}}


def test_no_value_makes_an_event_unusable() -> None:
    """Whatever is told of the order it is one, whose total is told and meets no test of size."""
    for odd in ("n/a", True, -5, 10**12, {"a": 1}, "1,049"):
        timeline = Timeline()(0, "Order Completed", order_id="o", total=odd, discount="", tax=[])
        assert timeline.gives({"performed": {"event": "Order Completed"}}) == [("entered", 0)]
        assert timeline.gives(ordered(total={"at_least": 0})) == []
        assert timeline.gives(ordered(total={"at_most": 10**9})) == []
        assert timeline.gives(ordered(total={"exists": True})) == [("entered", 0)]


def test_a_sum_leaves_out_what_is_unknown() -> None:
    """100 and something: the sum is 100, which may meet either bound."""
    timeline = Timeline()(0, "Order Completed", total="n/a")(1, "Order Completed", total=100)
    spent: Event = {"agg": "sum", "of": "total", "event": "Order Completed"}
    assert timeline.gives({"total": spent | {"at_least": 100}}) == [("entered", 1)]
    assert timeline.gives({"total": spent | {"at_most": 100}}) == [("entered", 0)]


def test_where_total_reads_the_revenue() -> None:
    timeline = Timeline()(0, "Order Completed", revenue="100")
    assert timeline.gives(ordered(total=100)) == [("entered", 0)]
    assert timeline.gives(ordered(total={"exists": False})) == []


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"price": 5, "currency": "eur "}, True),
        ({"price": 5, "currency": "USD"}, False),
        ({"price": "$5"}, False),
        ({"price": "5 EUR", "currency": "USD"}, True),
        ({"price": 5, "currency": ""}, True),
        ({"price": 5, "currency": 840}, False),
    ],
)
def test_where_reads_money_in_the_files_currency(stated: Event, expected: bool) -> None:
    timeline = Timeline()(0, "E", **stated)
    assert bool(timeline.gives({"performed": {"event": "E", "where": {"price": {"at_least": 5}}}})) == expected
    assert bool(timeline.gives({"performed": {"event": "E", "where": {"price": {"not_in": [6]}}}})) == expected
    assert timeline.gives({"performed": {"event": "E", "where": {"price": {"exists": True}}}}) == [("entered", 0)]


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("order completed", "Order Completed"),
        (" ORDER_COMPLETED ", "Order Completed"),
        ("order-completed", "Order Completed"),
        ("orderCompleted", "Order Completed"),
        ("completed order", "Order Completed"),
        ("Order Canceled", "Order Cancelled"),
        ("Canceled Order", "Order Cancelled"),
        ("Viewed Product Category", "Product List Viewed"),
        ("viewed_checkout_step", "Checkout Step Viewed"),
        ("Filtered Product List", "Product List Filtered"),
        ("Updated Order", "Order Updated"),
        ("Denied Coupon", "Coupon Denied"),
        ("Order Complete", "Order Complete"),
        (" Signed Up", " Signed Up"),
    ],
)
def test_a_reserved_name_is_recognised(written: str, name: str) -> None:
    assert current_name(written) == name
    assert Timeline()(0, name).gives({"performed": {"event": written, "count": {"at_least": 1}}}) == [("entered", 0)]


def test_the_fields_of_the_first_version() -> None:
    """Rules find them under their newer names."""
    timeline = Timeline()(0, "Added Product", id=7)(1, "Product Added", product_id="7", cartId="c")
    assert timeline.gives({"performed": {"event": "Product Added", "where": {"product_id": "7"}, "count": 2}}) == [
        ("entered", 1)
    ]
    assert timeline.gives({"cart": {"items": 2}}) == [("entered", 1)]
    orders = Timeline()(0, "Completed Order", orderId="o")(1, "Order Completed", order_id="o")
    assert orders.gives({"performed": {"event": "Order Completed", "count": {"at_least": 2}}}) == []


# --- ids ---------------------------------------------------------------------------------------


def test_ids_are_digits() -> None:
    ids = (7, 7.0, "7", "7.0", 7.5, True, "", None, [7], 1e21)
    assert [identifier(value) for value in ids] == ["7", "7", "7", "7.0", None, None, None, None, None, "1" + "0" * 21]


@pytest.mark.parametrize(
    ("ids", "customer"),
    [
        ({"userId": "u", "anonymousId": "a"}, "u"),
        ({"userId": 1001.0}, "1001"),
        ({"userId": "undefined", "anonymousId": "a"}, "a"),
        ({"userId": " N/A ", "anonymousId": "a"}, "a"),
        ({"userId": "[object Object]", "anonymousId": 5}, "5"),
        ({"userId": 0, "anonymousId": "a"}, "a"),
        ({"userId": "u", "anonymousId": True}, "u"),
        ({"userId": "Guest", "anonymousId": "-1"}, ""),
        ({"anonymousId": "visitor"}, "visitor"),
    ],
)
def test_who_an_event_is_of(ids: Event, customer: str) -> None:
    assert facts.customer(ids) == customer


def test_the_file_may_add_placeholders() -> None:
    event = {
        "type": "page",
        "messageId": "1",
        "userId": "Visitor",
        "anonymousId": "a",
        "timestamp": "2026-03-01T00:00:00Z",
    }
    definitions: Json = {"segments": {"s": {"when": {"performed": {"event": "page"}}}}}
    assert [change.customer_id for change in changes([event], definitions)] == ["Visitor"]
    with_more = {**definitions, "placeholders": ["visitor"]}
    assert [change.customer_id for change in changes([event], with_more)] == ["a"]


# --- times -------------------------------------------------------------------------------------

AT = "2026-03-01T00:00:00Z"
TIMES: list[tuple[str, Event, int | None]] = [
    ("a timestamp", {"timestamp": AT}, 0),
    ("an offset without a colon", {"timestamp": "2026-03-01T01:00:00+0100"}, 0),
    ("an offset of hours", {"timestamp": "2026-03-01T01:00:00+01"}, 0),
    ("the original one", {"originalTimestamp": AT}, 0),
    ("an empty one beside it", {"timestamp": "", "originalTimestamp": AT}, 0),
    ("an hour behind", {"originalTimestamp": AT, "sentAt": AT, "receivedAt": "2026-03-01T01:00:00Z"}, HOUR),
    ("a clock that is a day ahead", {"timestamp": AT, "sentAt": AT, "receivedAt": "2026-02-28T00:00:00Z"}, -DAY),
    ("a minute is no error", {"timestamp": AT, "sentAt": AT, "receivedAt": "2026-03-01T00:01:00Z"}, 0),
    ("a millisecond more is", {"timestamp": AT, "sentAt": AT, "receivedAt": "2026-03-01T00:01:00.001Z"}, MINUTE + 1),
    ("both stand: it is corrected", {
        "timestamp": AT, "originalTimestamp": "2026-01-01T00:00:00Z",
        "sentAt": AT, "receivedAt": "2026-03-02T00:00:00Z",
    }, 0),
    ("only one of the clock's times", {"timestamp": AT, "sentAt": "2026-02-01T00:00:00Z"}, 0),
    ("no time", {}, None),
    ("no offset", {"timestamp": "2026-03-01T00:00:00"}, None),
    ("before 2000", {"timestamp": "1999-12-31T23:59:59Z"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("times", "expected"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES])
def test_when_an_event_happened(times: Event, expected: int | None) -> None:
    assert facts.time_of(times) == (None if expected is None else START_MS + expected)


def test_what_has_no_time_has_no_effect() -> None:
    event: Event = {"type": "page", "messageId": "1", "userId": "u"}
    assert changes([event], oracle.BUILT_IN) == []


# --- what stands in another place --------------------------------------------------------------


def test_an_empty_list_stands_for_an_object() -> None:
    """Properties, traits and context; and a property that is an empty list is absent."""
    event = {"type": "identify", "messageId": "1", "userId": "u", "timestamp": AT, "traits": [], "properties": []}
    assert oracle.fact(event | {"context": []}) == (START_MS, "1", "identify", {}, {}, {})
    assert Timeline()(0, "E", color=[]).gives({"performed": {"event": "E", "where": {"color": {"exists": False}}}}) == [
        ("entered", 0)
    ]


def test_traits_of_the_context_lie_below() -> None:
    timeline = Timeline()(0, "identify", traits={"a": "top"}, context={"traits": {"a": "below", "b": "below"}})
    assert timeline.gives({"trait": {"a": "top", "b": "below"}}) == [("entered", 0)]
    assert Timeline()(0, "page", context={"traits": {"a": "x"}}).gives({"trait": {"a": "x"}}) == []


def channel_of(context: Event, hosts: list[str]) -> list[str]:
    """The channels that the first event of such a context carries."""
    event = {"type": "page", "messageId": "1", "userId": "u", "timestamp": AT, "context": context}
    channels = ("direct", "search", "referral")
    segments = {name: {"when": {"context": {"channel": name}}} for name in channels}
    return [change.segment for change in changes([event], {"segments": segments, "hosts": hosts})]


def test_direct_and_the_shops_own_hosts_are_no_referrers() -> None:
    """A visit from the shop itself is neither referred nor direct."""
    assert channel_of({"referrer": {"url": "$direct"}}, []) == ["direct"]
    assert channel_of({"page": {"referrer": "$direct"}}, []) == ["direct"]
    assert channel_of({"referrer": {"url": "$direct"}, "page": {"referrer": "https://bing.com"}}, []) == ["search"]
    help_pages: Event = {"page": {"referrer": "https://www.Help.example/x"}}
    assert channel_of(help_pages, []) == ["referral"]
    assert channel_of(help_pages, ["help.example"]) == []


# --- texts and lists ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "other"),
    [
        ("Tea", " tea "),
        ("cafe\u0301", "CAFÉ"),
        ("علي", "علی"),
        ("على", "علی"),
        ("كتاب", "کتاب"),
        ("کـتاب", "کتاب"),
        ("می\u200cخواهم", "میخواهم"),
        ("۱۲۳", "123"),
        ("١٢٣", "۱۲۳"),
    ],
)
def test_texts_that_are_one(case: str, other: str) -> None:
    assert folded(case) == folded(other)
    assert meets({"color": case}, {"color": other})
    assert not meets({"color": case}, {"color": {"exact": other}})


def meets(stated: Event, where: Event) -> bool:
    return bool(Timeline()(0, "E", **stated).gives({"performed": {"event": "E", "where": where}}))


TESTS: list[tuple[str, Event, Event, bool]] = [
    ("in is folded", {"color": "RED"}, {"color": {"in": ["red"]}}, True),
    ("not_in is folded", {"color": "RED"}, {"color": {"not_in": ["red"]}}, False),
    ("contains is folded", {"color": "DarkRed"}, {"color": {"contains": "RED"}}, True),
    ("matches is not", {"color": "RED"}, {"color": {"matches": "red"}}, False),
    ("exact has its case", {"color": "Red"}, {"color": {"exact": "Red"}}, True),
    ("true in words", {"new": "TRUE "}, {"new": True}, True),
    ("yes is true", {"new": "yes"}, {"new": True}, True),
    ("a text 1 is true", {"new": "1"}, {"new": True}, True),
    ("2 is not true", {"new": 2}, {"new": True}, False),
    ("no is not true", {"new": "no"}, {"new": True}, False),
    ("a member of a list", {"tags": ["a", "VIP"]}, {"tags": "vip"}, True),
    ("a part is no member", {"tags": ["vips"]}, {"tags": "vip"}, False),
    ("in of any member", {"tags": ["a", "b"]}, {"tags": {"in": ["b", "c"]}}, True),
    ("not_contains of a member", {"tags": ["vips"]}, {"tags": {"not_contains": "vip"}}, False),
    ("not_contains of no member", {"tags": ["a"]}, {"tags": {"not_contains": "vip"}}, True),
    ("not_contains of what is absent", {}, {"tags": {"not_contains": "vip"}}, False),
    ("a text that starts so", {"path": "/Sale/Tea"}, {"path": {"starts_with": "/sale"}}, True),
    ("a text that holds it elsewhere", {"path": "/a/sale"}, {"path": {"starts_with": "/sale"}}, False),
    ("a text that ends so", {"email": "kim@Example.com"}, {"email": {"ends_with": "@example.com"}}, True),
    ("a text that goes on", {"email": "kim@example.com.au"}, {"email": {"ends_with": "@example.com"}}, False),
    ("a text that is shorter", {"email": "com"}, {"email": {"ends_with": "@example.com"}}, False),
    ("a number is no text", {"sku": 4711}, {"sku": {"starts_with": "47"}}, False),
    ("both of one member", {"tags": ["ab", "cd"]}, {"tags": {"starts_with": "a", "ends_with": "d"}}, False),
    ("starts_with of what is absent", {}, {"path": {"starts_with": "/"}}, False),
    ("not_in of an empty list", {"tags": []}, {"tags": {"not_in": ["vip"]}}, False),
    ("matches of a member", {"tags": ["a", "vip"]}, {"tags": {"matches": "^v"}}, True),
    ("one member in a range", {"n": [1, 10]}, {"n": {"at_least": 5, "at_most": 12}}, True),
    ("no member in a range", {"n": [1, 10]}, {"n": {"at_least": 5, "at_most": 8}}, False),
    ("one item meets both", {"products": [{"c": "tea", "price": 10}, {"c": "cup", "price": 60}]},
     {"item": {"c": "tea", "price": {"above": 50}}}, False),
    ("and here it does", {"products": [{"c": "tea", "price": 60}, {"c": "cup", "price": 10}]},
     {"item": {"c": "tea", "price": {"above": 50}}}, True),
    ("a single product is an item", {"c": "tea", "price": 60}, {"item": {"c": "tea", "price": {"above": 50}}}, True),
    ("an item's money has the event's currency", {"products": [{"price": 60}], "currency": "USD"},
     {"item": {"price": {"above": 50}}}, False),
    ("or its own", {"products": [{"price": 60, "currency": "eur"}], "currency": "USD"},
     {"item": {"price": {"above": 50}}}, True),
]  # fmt: skip


@pytest.mark.parametrize(("stated", "where", "expected"), [row[1:] for row in TESTS], ids=[row[0] for row in TESTS])
def test_of_texts_and_lists(stated: Event, where: Event, expected: bool) -> None:
    assert meets(stated, where) == expected


def test_keys_of_distinct_and_same_are_not_folded() -> None:
    """Red and red are two values, and no shared one."""
    timeline = Timeline()(0, "A", color="Red")(1, "B", color="red")
    both: Event = {"agg": "distinct", "of": "color", "event": ["A", "B"], "at_least": 2}
    assert timeline.gives({"total": both}) == [("entered", 1)]
    assert timeline.gives({"sequence": {"steps": [{"event": "A"}, {"event": "B"}], "same": "color"}}) == []
