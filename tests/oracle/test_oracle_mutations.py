"""No rule of the contract is idle in the drawn worlds: with any one of them broken, some world comes out differently.

Long because it is a table: a line for each rule that a reader may take otherwise.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import pytest

from tests.oracle import conditions as oracle_conditions
from tests.oracle import dates as oracle_dates
from tests.oracle import oracle
from tests.oracle import shop as oracle_shop
from tests.oracle import values as oracle_values
from tests.oracle.conditions import AGGREGATES, CONDITIONS, History
from tests.oracle.oracle import OracleChange, changes, latest
from tests.oracle.shop import Fact, Order
from tests.oracle.values import COMPARE, TESTS, Json
from tests.strategies import histories
from tests.strategies.histories import DAY, DURATIONS, Event, without_hold
from tests.strategies.language import FORMS

MODULES = (oracle, oracle_conditions, oracle_dates, oracle_shop, oracle_values)


class World(NamedTuple):
    history: list[Event]
    definitions: Event
    until: int
    right: list[OracleChange]


def world(drawn: tuple[list[Event], Event], rng: random.Random) -> World:
    until = latest(drawn[0]) + rng.choice((0, *DURATIONS.values()))
    return World(*drawn, until, changes(*drawn, until))


def late(drawn: tuple[list[Event], Event], rng: random.Random) -> tuple[list[Event], Event]:
    return histories.shuffled(rng, drawn[0]), without_hold(drawn[1])


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Worlds of all kinds together, and of each kind; some with late events."""
    drawn = [world(histories.world(rng), rng) for rng in map(random.Random, range(300))]
    for kind in FORMS:
        drawn += [world(histories.world_of(kind, rng.choice), rng) for rng in map(random.Random, range(1000, 1080))]
        drawn += [world(late(histories.world_of(kind, rng.choice), rng), rng) for rng in map(random.Random, range(20))]
    return drawn


# --- rules, broken -----------------------------------------------------------------------------

FULL, STARTS, AGO, REACH = (
    oracle_shop.fully_refunded,
    oracle_shop.session_starts,
    oracle_conditions.is_ago,
    oracle_values.reach,
)


def window_closed(time: int, within: object, now: int) -> bool:
    return within is None or now - time <= oracle_values.duration_ms(within)


def ago_closed(since: int, ago: Json, now: int) -> bool:
    return AGO(since, ago, now) or AGO(since, ago, now - 1)


def compare_with(name: str, rule: Callable[[Fraction, Fraction], bool]) -> Mapping[str, object]:
    return {**COMPARE, name: rule}


def no_lists(value: object, path: list[str]) -> object:
    return None if path and isinstance(value, list) else REACH(value, path)


def text_alone(value: object) -> str:
    return value if isinstance(value, str) else ""


def matches_at_the_beginning(value: object, pattern: object) -> bool:
    characters = oracle_values.text(value)
    return characters is not None and re.match(str(pattern), characters) is not None


def least_of_nothing(facts: list[Fact], form: Json, history: History) -> Fraction:
    return oracle_conditions.smallest(facts, form, history) or Fraction(0)


ORDER_OF = oracle_shop.order_of


def refunds_lower_nothing(messages: list[Fact]) -> Order | None:
    order = ORDER_OF(messages)
    return None if order is None else order._replace(value=oracle_shop.amount(order.completion))


def newest_completion(messages: list[Fact]) -> Order | None:
    order = ORDER_OF(messages)
    return (
        None if order is None else order._replace(completion=[m for m in messages if m.name == "Order Completed"][-1])
    )


def any_order_of_steps(facts_by_step: list[list[Fact]]) -> bool:
    return all(facts_by_step)


def one_event_for_all_steps(facts_by_step: list[list[Fact]]) -> bool:
    before: tuple[int, str] = (-(10**18), "")
    for step in facts_by_step:
        later = [oracle_shop.moment_of(what) for what in step if oracle_shop.moment_of(what) >= before]
        if not later:
            return False
        before = min(later)
    return True


def first_values_decide(step: list[Fact], same: str) -> set[object]:
    return set(oracle_values.scalars(oracle_values.lookup(step[0].properties, same))) if step else set()


TOUCHED, CHANNEL, ATTRIBUTE = oracle_conditions.touched, oracle_shop.channel, oracle_shop.attribute


def of_one_event(history: History, name: str, touch: str) -> str | None:
    facts = [what for what in history.facts if what.context]
    return ATTRIBUTE(facts[0 if touch == "first" else -1], name) if facts else None


def direct_everywhere(what: Fact) -> str | None:
    return CHANNEL(what._replace(name="page"))


def own_pages_refer(what: Fact) -> str | None:
    channel = CHANNEL(what)
    return channel or ("referral" if ATTRIBUTE(what, "referrer") else None)


def nulls_are_ignored(history: History, name: str) -> object:
    key, *path = name.split(".")
    facts = [what for what in history.facts if what.name == "identify" and what.traits.get(key) is not None]
    return REACH(facts[-1].traits[key], path) if facts else None


def traits_are_merged(history: History, name: str) -> object:
    values = [oracle_values.lookup(what.traits, name) for what in history.facts if what.name == "identify"]
    return next((value for value in reversed(values) if value is not None), None)


def hosts_with_www(url: str) -> str | None:
    match = re.match(r"https?://([^/:]+)", url.lower())
    return match[1] if match else None


IN_RANGE, IS_OF_AGE = oracle_dates.in_range, oracle_conditions.is_of_age


def unborn_are_young(since: int | None, age: Json, now: int) -> bool:
    return IS_OF_AGE(since, age, now if since is None else max(now, since))


def years_of_365_days(born: date, today: date) -> int:
    return (today - born).days // 365


def birthdays_a_day_late(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) <= (born.month, born.day))


def without_its_end(day: tuple[int, int], between: list[object]) -> bool:
    return IN_RANGE(day, between) and "{:02}-{:02}".format(*day) != between[1]


def without_wrapping(day: tuple[int, int], between: list[object]) -> bool:
    return str(between[0]) <= "{:02}-{:02}".format(*day) <= str(between[1])


def without_a_hold(*_: object) -> dict[str, int]:
    return {}


class Patient(oracle.Run):
    """An order does not end what is held."""

    def decide(self, late: bool = False, ordered: int | None = None) -> None:
        super().decide(late)


def no_last_band(key: str, segment: Json) -> dict[str, Json]:
    """The last band, which has no customer."""
    bands = BANDS(key, segment)
    return {**bands, list(bands)[-1]: {"when": {"any": []}}}


def closed_bands(key: str, segment: Json) -> dict[str, Json]:
    bands: dict[str, Json] = json.loads(json.dumps(BANDS(key, segment)).replace('"below"', '"at_most"'))
    return bands


BANDS = oracle.band_segments
PRICES = oracle_shop.prices

# What is replaced in the oracle, and by what.
BROKEN: list[tuple[str, str, object]] = [
    # values
    ("true is 1", "equal", lambda wanted, value: wanted == value),
    ("equal as printed", "equal", lambda wanted, value: str(wanted) == str(value)),
    ("no text is a number", "JSON_NUMBER", re.compile("(?!)")),
    ("any text of digits is a number", "JSON_NUMBER", re.compile(r"[+ ]?-?[0-9.]+")),
    ("no number is too large", "NUMBERS_END", 10**30),
    ("an integer has no digits", "text", lambda value: value if isinstance(value, str) else None),
    ("an empty text is a value", "present", lambda value: value),
    ("lists end a path", "reach", no_lists),
    ("at_least is above", "COMPARE", compare_with("at_least", lambda size, limit: size > limit)),
    ("at_most is below", "COMPARE", compare_with("at_most", lambda size, limit: size < limit)),
    ("above is at_least", "COMPARE", compare_with("above", lambda size, limit: size >= limit)),
    ("below is at_most", "COMPARE", compare_with("below", lambda size, limit: size <= limit)),
    ("exactly is at_least", "COMPARE", compare_with("exactly", lambda size, limit: size >= limit)),
    ("not_in is met by nothing", "TESTS", TESTS | {"not_in": lambda value, wanted: not TESTS["in"](value, wanted)}),
    ("a list contains parts", "TESTS", TESTS | {"contains": lambda value, wanted: str(wanted) in str(value)}),
    ("no list contains", "TESTS", TESTS | {"contains": lambda value, wanted: str(wanted) in text_alone(value)}),
    ("matches at the beginning", "TESTS", TESTS | {"matches": matches_at_the_beginning}),
    ("exists is never false", "TESTS", TESTS | {"exists": lambda value, _: value is not None}),
    ("where is not read", "meets_all_tests", lambda *_: True),
    ("cents, not millionths", "millionths", lambda value: value and int(float(str(value)) * 100)),
    # events, windows, sessions
    ("one millisecond in file order", "topic_rank", lambda *_: 0),
    ("ties in reading order", "moment_of", lambda fact: fact.time),
    ("old names are other names", "OLD_NAMES", {}),
    ("names as they are written", "name_of", lambda event: str(event.get("event", event["type"]))),
    ("windows are closed", "in_window", window_closed),
    ("a gap is more than the gap", "session_starts", lambda facts, gap: STARTS(facts, gap + 1)),
    ("purchases are activity", "ACTIVITY", oracle_shop.ACTIVITY | oracle_shop.PURCHASES),
    ("no due times", "due_times", lambda *_, **__: []),
    # orders
    ("order messages count for ever", "order_retention_ms", lambda *_: None),
    ("order messages count a millisecond less", "ORDER_RETENTION_MS", 90 * DAY - 1),
    ("every message is an order", "order_key", lambda fact: ("message", fact.message_id)),
    ("refunds do nothing", "fully_refunded", lambda *_: False),
    ("refunds do not add up", "fully_refunded", lambda first, rest: any(FULL(first, [refund]) for refund in rest)),
    ("revenue is no amount", "amount", lambda fact: oracle_values.millionths(fact.properties.get("total"))),
    ("refunds lower nothing", "order_of", refunds_lower_nothing),
    ("an order is that of its newest completion", "order_of", newest_completion),
    # total
    ("any currency counts", "is_in_currency", lambda *_: True),
    ("the least of nothing is 0", "AGGREGATES", AGGREGATES | {"min": least_of_nothing}),
    ("an average is a sum", "AGGREGATES", AGGREGATES | {"avg": AGGREGATES["sum"]}),
    ("distinct are all", "AGGREGATES", AGGREGATES | {"distinct": lambda facts, *_: Fraction(len(facts))}),
    ("a list is no value", "scalars", lambda value: {oracle_values.scalar(value)} - {None}),
    ("the orders' total as it is told", "value_of", lambda what, form, _: oracle_values.number(
        oracle_values.lookup(what.properties, str(form["of"])))),
    # last, first, sequence
    ("ago is closed", "is_ago", ago_closed),
    ("last is first", "CONDITIONS", CONDITIONS | {"last": oracle_conditions.first}),
    ("first is last", "CONDITIONS", CONDITIONS | {"first": oracle_conditions.last}),
    ("steps in any order", "are_in_order", any_order_of_steps),
    ("one event for all steps", "are_in_order", one_event_for_all_steps),
    ("no value need be shared", "shared_values", lambda *_: set()),
    ("only the first values are shared", "shared_values", first_values_decide),
    ("an orders' step at any completion", "standing_orders", lambda facts, _: [
        Order(fact, None) for fact in facts if fact.name == "Order Completed"]),
    # the cart
    ("items count for ever", "ITEM_RETENTION_MS", 10**15),
    ("items count a millisecond less", "ITEM_RETENTION_MS", 90 * DAY - 1),
    ("carts survive a purchase", "since_purchase", lambda facts: [f for f in facts if f.name in oracle_shop.CARTS]),
    ("one product for all", "product", lambda *_: None),
    ("no quantities", "quantity", lambda *_: 1_000_000),
    ("cart lists are not read", "REPLACING", set()),
    ("wishlists add nothing", "ADDING", {"Product Added"}),
    ("no checkout but its start", "CHECKOUT", {"Checkout Started"}),
    ("coupons are checkout", "CHECKOUT", {*oracle_shop.CHECKOUT, "Coupon Entered", "Coupon Applied"}),
    ("the first price counts", "prices", lambda touches: PRICES(touches[::-1])),
    ("removals tell no price", "prices", lambda touches: PRICES([t for t in touches if "Removed" not in t.name])),
    # traits
    ("a null takes nothing away", "trait_value", nulls_are_ignored),
    ("traits are merged", "trait_value", traits_are_merged),
    ("the unborn have an age", "is_of_age", unborn_are_young),
    ("years have 365 days", "completed_years", years_of_365_days),
    ("a birthday counts from the next day on", "completed_years", birthdays_a_day_late),
    ("birthdays are not due", "birthdays", lambda *_: []),
    ("dates have no time", "INSTANT", re.compile("(?!)")),
    # context
    ("one event carries all", "touched", of_one_event),
    ("the first touch is the last", "touched", lambda history, name, _: TOUCHED(history, name, "last")),
    ("everything is direct", "channel", direct_everywhere),
    ("the shop refers to itself", "channel", own_pages_refer),
    ("www is another host", "host_of", hosts_with_www),
    ("search engines have one label before", "BEFORE_THE_ENGINE", {"www"}),
    ("nobody searches", "is_search_engine", lambda _: False),
    ("all referrers are searched", "is_search_engine", lambda host: "google" in host or "yahoo" in host),
    # calendars and samples
    ("days are those of UTC", "timezone_of", lambda _: "UTC"),
    ("a range has no end", "in_range", without_its_end),
    ("a range does not wrap", "in_range", without_wrapping),
    ("jalali is gregorian", "jalali", lambda day: (day.year, day.month, day.day)),
    ("midnights are not due", "turns", lambda *_: []),
    ("Sunday begins the week", "WEEKDAYS", ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
    ("everybody is a sample", "CONDITIONS", CONDITIONS | {"sample": lambda *_: True}),
    # segments of one file
    ("no segment comes before", "depth", lambda *_: 0),
    ("changes by key alone", "in_dependency_order", lambda conditions: dict(sorted(conditions.items()))),
    ("nothing is held", "holds_of", without_a_hold),
    ("an order holds as well", "Run", Patient),
    ("no end of a hold is due", "Run", type("Deaf", (oracle.Run,), {"end_holds": lambda *_: None})),
    ("the highest band is missing", "band_segments", no_last_band),
    ("bands are closed", "band_segments", closed_bands),
]  # fmt: skip


def break_rule(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """Replace a rule wherever the oracle knows it by this name."""
    having = [module for module in MODULES if hasattr(module, name)]
    assert having
    for module in having:
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize(("name", "value"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_worlds_tell_a_broken_rule(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """With one rule broken, some of the worlds come out differently: none of them is idle."""
    break_rule(monkeypatch, name, value)
    assert any(changes(world.history, world.definitions, world.until) != world.right for world in worlds)
