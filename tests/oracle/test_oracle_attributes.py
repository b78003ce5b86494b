"""What conditions over a customer say, and segments of each other, computed by hand: a few cases for each sentence.

Events, totals, sequences and carts: test_oracle_events.
"""

from datetime import date
from itertools import pairwise

import pytest

from tests.oracle import dates as oracle_dates
from tests.oracle.cases import Timeline
from tests.oracle.values import Json
from tests.strategies.histories import DAY, HOUR, MINUTE, Event

DAY_AND_HALF = 36 * HOUR

# --- traits and ages ---------------------------------------------------------------------------


def identified(*traits: Event) -> Timeline:
    """A history of one identify after the other, a minute apart."""
    timeline = Timeline()
    for index, values in enumerate(traits):
        timeline(index * MINUTE, "identify", traits=values)
    return timeline


def test_a_null_takes_a_trait_away() -> None:
    """A null removes the trait; an identify that does not name the trait leaves it."""
    timeline = identified({"plan": "pro"}, {"city": "قم"}, {"plan": None}, {"plan": ""}, {"plan": "pro"})
    assert timeline.gives({"trait": {"plan": "pro"}}) == [
        ("entered", 0),
        ("exited", 2 * MINUTE),
        ("entered", 4 * MINUTE),
    ]
    gone: Event = {"trait": {"plan": {"exists": False}}}
    assert timeline.gives(gone) == [("entered", 2 * MINUTE), ("exited", 4 * MINUTE)]


def test_traits_of_one_millisecond_go_by_message_id() -> None:
    timeline = Timeline()(0, "identify", message="b", traits={"plan": "pro"})(
        0, "identify", message="a", traits={"plan": "x"}
    )
    assert timeline.gives({"trait": {"plan": "pro"}}) == [("entered", 0)]


def test_the_whole_trait_is_replaced() -> None:
    """A dotted name reads inside the newest value of the trait before the dot."""
    timeline = identified({"address": {"city": "قم", "zip": 1}}, {"address": {"zip": 2}})
    assert timeline.gives({"trait": {"address.city": "قم"}}) == [("entered", 0), ("exited", MINUTE)]
    assert timeline.gives({"trait": {"address.zip": "2", "address": {"exists": True}}}) == [("entered", MINUTE)]


def test_traits_of_other_calls_are_no_traits() -> None:
    assert Timeline()(0, "page", traits={"plan": "pro"}).gives({"trait": {"plan": "pro"}}) == []


def aged(birth_date: object, **age: object) -> list[tuple[str, int]]:
    """The changes from START, the first of March 2026, to the end of the month."""
    return identified({"birth_date": birth_date}).gives({"trait": {"birth_date": {"age": age}}}, 30 * DAY)


def test_birthdays_begin_at_midnight_utc() -> None:
    """at_most 17 and below 18 hold until the 18th, at_least 18 and above 17 from it on."""
    for age in ({"at_most": 17}, {"below": 18}):
        assert aged("2008-03-03", **age) == [("entered", 0), ("exited", 2 * DAY)]
    for age in ({"at_least": 18}, {"above": 17}, {"at_least": 18, "below": 25}):
        assert aged("2008-03-03", **age) == [("entered", 2 * DAY)]
    assert aged("2001-03-03", at_least=18, below=25) == [("entered", 0), ("exited", 2 * DAY)]


def test_the_birthday_of_an_instant_is_that_of_its_utc_day() -> None:
    """One in the morning in Tehran is the day before in UTC."""
    assert aged("2008-03-03T01:00:00+03:30", at_least=18) == [("entered", DAY)]
    assert aged("2008-03-02T23:59:59.999Z", at_least=18) == [("entered", DAY)]


def test_29_february_counts_on_1_march() -> None:
    """In a year without 29 February, as 2026, the birthday is on 1 March."""
    timeline = Timeline()(-DAY, "identify", traits={"birth_date": "2008-02-29"})
    assert timeline.gives({"trait": {"birth_date": {"age": {"at_least": 18}}}}, DAY) == [("entered", 0)]


@pytest.mark.parametrize(
    "wrong", [None, "", "soon", "2008-02-30", "2008-3-3", "2008-03-03T10:00:00", 2008, ["2008-03-03"], True]
)
def test_what_is_no_date_has_no_age(wrong: object) -> None:
    assert aged(wrong, at_least=0) == []
    assert aged(wrong, below="400d") == []


def test_a_date_to_come_has_no_age() -> None:
    """Ages as numbers begin with the midnight of the date in UTC, ages as durations with its instant."""
    assert aged("2026-03-02T12:00:00Z", below=1) == [("entered", DAY)]
    assert aged("2026-03-02T12:00:00Z", below="1h") == [("entered", DAY_AND_HALF), ("exited", DAY_AND_HALF + HOUR)]
    assert aged("2026-03-02", at_least="1d", at_most="3d") == [("entered", 2 * DAY), ("exited", 4 * DAY)]


def test_an_age_beside_other_tests() -> None:
    """All tests of a trait must be met, and those of other traits too."""
    timeline = identified({"birth_date": "2008-03-03", "plan": "pro"})
    test: Event = {"age": {"at_least": 18}, "matches": "^2008"}
    assert timeline.gives({"trait": {"birth_date": test, "plan": "pro"}}, 3 * DAY) == [("entered", 2 * DAY)]
    assert timeline.gives({"trait": {"birth_date": test, "plan": "free"}}, 3 * DAY) == []


# --- context -----------------------------------------------------------------------------------


def visited(*contexts: Json, name: str = "page") -> Timeline:
    timeline = Timeline()
    for index, context in enumerate(contexts):
        timeline(index, name, context=context)
    return timeline


def test_each_attribute_is_that_of_the_events_that_carry_it() -> None:
    """The medium is still that of the first visit when the second names another source alone."""
    timeline = visited({"campaign": {"source": "a", "medium": "m"}}, {"campaign": {"source": "b", "medium": ""}}, {})
    assert timeline.gives({"context": {"source": "b", "medium": "m"}}) == [("entered", 1)]
    assert timeline.gives({"context": {"source": "a", "touch": "first"}}) == [("entered", 0)]
    assert timeline.gives({"context": {"source": {"not_in": ["a"]}}}) == [("entered", 1)]


def test_where_attributes_stand() -> None:
    """Each attribute has its place in the context; a value that is no text is not carried."""
    timeline = visited({
        "device": {"type": "mobile"}, "campaign": {"name": "spring"}, "location": {"country": "IR", "city": "قم"},
        "locale": "fa-IR", "page": {"referrer": "https://b.example/"},
    })  # fmt: skip
    attributes = {"device": "mobile", "campaign": "spring", "country": "IR", "city": "قم", "locale": "fa-IR"}
    assert timeline.gives({"context": {**attributes, "referrer": "https://b.example/", "channel": "campaign"}}) == [
        ("entered", 0)
    ]
    assert visited({"device": {"type": 7}}).gives({"context": {"device": {"exists": False}}}) == [("entered", 0)]


def test_any_event_carries_context_but_alias_and_group() -> None:
    """An identify carries context as a page does."""
    for name, expected in (("identify", [("entered", 0)]), ("E", [("entered", 0)]), ("group", []), ("alias", [])):
        assert visited({"locale": "fa"}, name=name).gives({"context": {"locale": "fa"}}) == expected


def test_the_referrer_of_the_page_stands_in() -> None:
    """The page's referrer counts only where context.referrer has no url."""
    when: Event = {"context": {"referrer": {"contains": "one"}}}
    of_referrer, of_page = {"referrer": {"url": "https://one.example"}}, {"page": {"referrer": "https://two.example"}}
    assert visited(of_referrer | of_page).gives(when) == [("entered", 0)]
    assert visited({"referrer": {"url": ""}} | of_page).gives(when) == []
    assert visited({"referrer": {"url": ""}} | of_page).gives({"context": {"referrer": {"exists": True}}}) == [
        ("entered", 0)
    ]


OWN = "https://www.shop.example/tea"
CHANNELS: list[tuple[str, Event, str, str | None]] = [
    (
        "a campaign before all",
        {"campaign": {"medium": "email"}, "page": {"referrer": "https://google.com"}},
        "E",
        "campaign",
    ),
    ("a search engine", {"page": {"url": OWN, "referrer": "https://www.google.com/"}}, "page", "search"),
    ("of a country", {"page": {"url": OWN, "referrer": "https://www.google.co.uk/"}}, "page", "search"),
    ("in a language", {"page": {"referrer": "https://FR.search.YAHOO.com/x"}}, "E", "search"),
    ("on a phone", {"page": {"referrer": "https://m.baidu.com:443/"}}, "E", "search"),
    ("but not its mail", {"page": {"referrer": "https://mail.google.com/"}}, "page", "referral"),
    ("nor its likes", {"page": {"referrer": "https://googleplex.com/"}}, "page", "referral"),
    (
        "the engine's own page",
        {"page": {"url": "https://google.com/x", "referrer": "https://www.google.com"}},
        "page",
        None,
    ),
    ("another site", {"page": {"url": OWN, "referrer": "https://blog.example/"}}, "E", "referral"),
    ("another host of ours", {"page": {"url": OWN, "referrer": "https://help.shop.example/"}}, "E", "referral"),
    ("the same site", {"page": {"url": OWN, "referrer": "http://Shop.example/x"}}, "page", None),
    ("a site, on no page", {"page": {"referrer": "https://blog.example/"}}, "E", "referral"),
    ("what has no host", {"page": {"url": OWN, "referrer": "about:blank"}}, "page", None),
    ("nothing, on a page", {"page": {"url": OWN}}, "page", "direct"),
    ("nothing, on a screen", {}, "screen", "direct"),
    ("nothing, elsewhere", {"page": {"url": OWN}}, "Product Viewed", None),
]


@pytest.mark.parametrize(
    ("context", "name", "channel"), [row[1:] for row in CHANNELS], ids=[row[0] for row in CHANNELS]
)
def test_the_channel_of_a_visit(context: Event, name: str, channel: str | None) -> None:
    """The channel is derived of each event; `None`: not carried."""
    test: object = {"exists": False} if channel is None else channel
    assert visited(context, name=name).gives({"context": {"channel": test}}) == [("entered", 0)]


def test_what_is_not_carried_leaves_the_channel() -> None:
    """Going on within the shop does not make a visitor direct."""
    timeline = visited({"page": {"referrer": "https://bing.com"}}, {"page": {"url": OWN, "referrer": OWN}}, {})
    assert timeline.gives({"context": {"channel": "search"}}) == [("entered", 0), ("exited", 2)]


# --- calendars ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jalali", "gregorian"),
    [
        ((1399, 12, 30), date(2021, 3, 20)),
        ((1400, 1, 1), date(2021, 3, 21)),
        ((1402, 12, 29), date(2024, 3, 19)),
        ((1403, 1, 1), date(2024, 3, 20)),
        ((1403, 12, 30), date(2025, 3, 20)),
        ((1404, 1, 1), date(2025, 3, 21)),
        ((1404, 12, 10), date(2026, 3, 1)),
        ((1404, 12, 29), date(2026, 3, 20)),
        ((1405, 1, 1), date(2026, 3, 21)),
        ((1405, 6, 31), date(2026, 9, 22)),
        ((1405, 7, 1), date(2026, 9, 23)),
        ((1405, 10, 11), date(2027, 1, 1)),
        ((1408, 1, 1), date(2029, 3, 20)),
        ((1408, 12, 30), date(2030, 3, 20)),
    ],
)
def test_jalali_days(jalali: tuple[int, int, int], gregorian: date) -> None:
    """Known days around Nowruz, of years of 365 and 366 days."""
    assert oracle_dates.jalali(gregorian) == jalali


def test_jalali_days_follow_each_other() -> None:
    """Over 130 years each day is the next of its month, or the first of the next."""
    days = [oracle_dates.jalali(date.fromordinal(number)) for number in range(712_000, 760_000)]
    for (year, month, day), after in pairwise(days):
        assert after in ((year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1))
        assert 1 <= day <= (31 if month <= 6 else 30)


def calendar(until: int = 8 * DAY, **form: object) -> list[tuple[str, int]]:
    """The changes of a calendar condition from START, a Sunday."""
    return Timeline()(0, "page").gives({"calendar": form}, until)


def test_both_ends_of_a_range_belong_to_it() -> None:
    """The first and last day count; a range that ends before it begins goes over the new year."""
    assert calendar(between=["03-02", "03-03"]) == [("entered", DAY), ("exited", 3 * DAY)]
    assert calendar(between=["03-03", "03-01"]) == [("entered", 0), ("exited", DAY), ("entered", 2 * DAY)]
    assert calendar(400 * DAY, between=["02-29", "02-29"]) == []


def test_a_weekday_and_a_range_hold_both() -> None:
    """The first two Tuesdays lie on the third and the tenth."""
    assert calendar(weekday="tue") == [("entered", 2 * DAY), ("exited", 3 * DAY)]
    assert calendar(20 * DAY, weekday=["tue"], between=["03-04", "03-12"]) == [
        ("entered", 9 * DAY),
        ("exited", 10 * DAY),
    ]
    assert calendar(weekday=["sun", "mon"]) == [("entered", 0), ("exited", 2 * DAY), ("entered", 7 * DAY)]


def test_days_are_local() -> None:
    """Monday begins at half past eight in the evening in Tehran, and at one in the night in Berlin's winter."""
    assert calendar(2 * DAY, weekday="mon", timezone="Asia/Tehran") == [
        ("entered", DAY - 3 * HOUR - HOUR // 2),
        ("exited", 2 * DAY - 3 * HOUR - HOUR // 2),
    ]
    assert calendar(DAY, weekday="mon", timezone="Europe/Berlin") == [("entered", DAY - HOUR)]


def test_a_day_without_its_first_hour() -> None:
    """In Santiago the clocks of 6 September 2026 go from midnight to one."""
    changes = calendar(200 * DAY, between=["09-06", "09-06"], timezone="America/Santiago")
    assert changes == [("entered", 189 * DAY + 4 * HOUR), ("exited", 190 * DAY + 3 * HOUR)]


def test_a_calendar_begins_with_the_customer() -> None:
    """A customer that is not there yet is in no segment."""
    assert Timeline()(DAY, "page").gives({"calendar": {"weekday": ["sun", "mon"]}}, 3 * DAY) == [
        ("entered", DAY),
        ("exited", 2 * DAY),
    ]


# --- samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("salt", "below", "above"), [({}, 59.75, 59.74), ({"salt": "a"}, 97.46, 97.45)])
def test_a_sample_is_the_customers_share(salt: Event, below: float, above: float) -> None:
    """printf 'SALT\\0u1' | sha256sum begins with 98efbbab without a salt, with f97b3a75 for "a"."""
    assert Timeline()(0, "page").gives({"sample": {"percent": below} | salt}) == [("entered", 0)]
    assert Timeline()(0, "page").gives({"sample": {"percent": above} | salt}) == []


# --- segments of one file ----------------------------------------------------------------------


def test_what_is_named_comes_first_however_deep() -> None:
    """Segments are decided by depth of in_segment, then key, entering and leaving."""
    segments: dict[str, Event] = {
        "a": {"when": {"in_segment": "b"}},
        "b": {"when": {"all": [{"not": {"not": {"in_segment": "d"}}}]}},
        "c": {"when": {"performed": {"event": "E", "within": "1d"}}},
        "d": {"when": {"performed": {"event": "E", "within": "1d"}}},
        "e": {"when": {"not": {"in_segment": "d"}}},
    }
    assert Timeline()(0, "page")(1, "E").all(segments, 2 * DAY) == [
        ("e", "entered", 0),
        ("c", "entered", 1),
        ("d", "entered", 1),
        ("b", "entered", 1),
        ("e", "exited", 1),
        ("a", "entered", 1),
        ("c", "exited", DAY + 1),
        ("d", "exited", DAY + 1),
        ("b", "exited", DAY + 1),
        ("e", "entered", DAY + 1),
        ("a", "exited", DAY + 1),
    ]


PERFORMED: Event = {"performed": {"event": "E", "within": "1m"}}


def test_a_held_segment_stays_until_its_time() -> None:
    """A customer that enters at 0 and fails after a minute stays an hour; then time decides again."""
    assert Timeline()(0, "E").gives(PERFORMED, DAY, hold="1h") == [("entered", 0), ("exited", HOUR)]
    assert Timeline()(0, "E").gives(PERFORMED, HOUR - 1, hold="1h") == [("entered", 0)]


def test_a_condition_that_holds_again_in_time_goes_on() -> None:
    """The hold is over by then: the customer leaves when the condition fails."""
    timeline = Timeline()(0, "E")(HOUR - 1, "E")
    assert timeline.gives(PERFORMED, DAY, hold="1h") == [("entered", 0), ("exited", HOUR - 1 + MINUTE)]


def test_a_segment_entered_anew_is_held_anew() -> None:
    timeline = Timeline()(0, "E")(2 * HOUR, "E")
    assert timeline.gives(PERFORMED, DAY, hold="1h") == [
        ("entered", 0), ("exited", HOUR), ("entered", 2 * HOUR), ("exited", 3 * HOUR),
    ]  # fmt: skip


def test_at_an_order_nothing_is_held_back() -> None:
    """What was waiting leaves, what still holds stays; no other purchase message does that."""
    timeline = Timeline()(0, "E")(2 * MINUTE, "Order Completed")
    assert timeline.gives(PERFORMED, DAY, hold="1h") == [("entered", 0), ("exited", 2 * MINUTE)]
    timeline = Timeline()(0, "E")(MINUTE - 1, "Completed Order")
    assert timeline.gives(PERFORMED, DAY, hold="1h") == [("entered", 0), ("exited", HOUR)]
    timeline = Timeline()(0, "E")(2 * MINUTE, "Order Refunded")
    assert timeline.gives(PERFORMED, DAY, hold="1h") == [("entered", 0), ("exited", HOUR)]


def test_a_purchase_ends_a_held_abandoned_cart() -> None:
    """An order ends the segment at once, also before the hold is over."""
    timeline = Timeline()(0, "Product Added")(HOUR + 1, "Order Completed")
    assert timeline.gives({"cart": {"idle_for": "1h"}}, DAY, hold="1d") == [("entered", HOUR), ("exited", HOUR + 1)]


def test_others_see_the_held_membership() -> None:
    """A segment that names the held one is left with it."""
    segments: dict[str, Event] = {"a": {"when": {"in_segment": "b"}}, "b": {"when": PERFORMED, "hold": "1h"}}
    assert Timeline()(0, "E").all(segments, DAY) == [
        ("b", "entered", 0), ("a", "entered", 0), ("b", "exited", HOUR), ("a", "exited", HOUR),
    ]  # fmt: skip


def test_bands_are_segments_of_their_own() -> None:
    """A band begins at its own number and ends below the next; each has its hold, which an order ends."""
    bands: Event = {
        "total": {"agg": "sum", "of": "total", "event": "Order Completed", "within": "1d"},
        "from": {"high": 100, "low": 0, "medium": 50},
    }
    timeline = Timeline()(0, "page")(1, "Order Completed", total=49.999999)(2, "Order Completed", total="0.000001")
    timeline(3, "Order Completed", total=50)
    changes = timeline.all({"spent": {"bands": bands}}, DAY)
    assert changes == [
        ("spent_low", "entered", 0),
        ("spent_low", "exited", 2),
        ("spent_medium", "entered", 2),
        ("spent_high", "entered", 3),
        ("spent_medium", "exited", 3),
    ]
    assert timeline.all({"spent": {"bands": bands}}, 2 * DAY)[5:] == [
        ("spent_high", "exited", DAY + 1),
        ("spent_medium", "entered", DAY + 1),
        ("spent_low", "entered", DAY + 3),
        ("spent_medium", "exited", DAY + 3),
    ]
    with_hold = Timeline()(0, "page")(1, "Order Completed", total=50).all(
        {"spent": {"bands": bands, "hold": "1h"}}, 2 * HOUR
    )
    assert with_hold == [("spent_low", "entered", 0), ("spent_low", "exited", 1), ("spent_medium", "entered", 1)]
