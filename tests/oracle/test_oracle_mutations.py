"""No rule of the contract is idle in the drawn worlds: with any one of them broken, some world comes out differently.

Long because it is a table: a line for each rule that a reader may take otherwise.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import pytest

from tests.oracle import amounts as oracle_amounts
from tests.oracle import carts as oracle_carts
from tests.oracle import conditions as oracle_conditions
from tests.oracle import dates as oracle_dates
from tests.oracle import facts as oracle_reading
from tests.oracle import names as oracle_names
from tests.oracle import oracle
from tests.oracle import orders as oracle_orders
from tests.oracle import shop as oracle_shop
from tests.oracle import values as oracle_values
from tests.oracle.amounts import Money, Number
from tests.oracle.carts import Fold, Item, Line
from tests.oracle.conditions import AGGREGATES, CONDITIONS, History
from tests.oracle.facts import Fact
from tests.oracle.oracle import OracleChange, changes, latest
from tests.oracle.orders import Order
from tests.oracle.values import COMPARE, TESTS, Hits, Json, Stated
from tests.strategies import histories
from tests.strategies.histories import DAY, DURATIONS, Event, without_hold
from tests.strategies.language import FORMS

MODULES = (
    oracle, oracle_amounts, oracle_carts, oracle_conditions, oracle_dates, oracle_names, oracle_orders, oracle_reading,
    oracle_shop, oracle_values,
)  # fmt: skip


# The most further worlds of a kind that are drawn for a rule that matters rarely.
MORE_MAX = 2_000


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

STARTS, AGO = oracle_shop.session_starts, oracle_conditions.is_ago


def window_closed(time: int, within: object, now: int) -> bool:
    return within is None or now - time <= oracle_values.duration_ms(within)


def ago_closed(since: int, ago: Json, now: int) -> bool:
    return AGO(since, ago, now) or AGO(since, ago, now - 1)


def compare_with(name: str, rule: Callable[[Fraction, Fraction], bool]) -> Mapping[str, object]:
    return {**COMPARE, name: rule}


def only_hit(rule: Callable[[list[Hits]], list[Hits]]) -> Callable[..., list[Hits]]:
    """Of what a name finds only some."""
    return lambda properties, name: rule(FIND(properties, name))


def whole_lists(stated: list[Stated], test: object) -> bool:
    """A list meets what all its members meet."""
    return bool(stated) and all(MEETS([case], test) for case in stated) if len(stated) > 1 else MEETS(stated, test)


def matches_at_the_beginning(stated: Stated, pattern: object) -> bool:
    characters = oracle_values.text(stated.value)
    return characters is not None and re.match(str(pattern), characters) is not None


def least_of_nothing(facts: list[Fact], form: Json, history: History) -> Fraction:
    return oracle_conditions.smallest(facts, form, history) or Fraction(0)


FIND, MEETS, EQUAL = oracle_values.find, oracle_values.meets_test, oracle_values.equal


def equal_as_it_stands(stated: Stated, wanted: object) -> bool:
    is_text = isinstance(wanted, str)
    return oracle_values.text(stated.value) == wanted if is_text else EQUAL(stated, wanted)


def only_true_is_true(value: object, *, wanted: bool) -> bool:
    return value is wanted


def any_order_of_steps(facts_by_step: list[list[Fact]]) -> bool:
    return all(facts_by_step)


def one_event_for_all_steps(facts_by_step: list[list[Fact]]) -> bool:
    before: tuple[int, str] = (-(10**18), "")
    for step in facts_by_step:
        later = [oracle_reading.moment_of(what) for what in step if oracle_reading.moment_of(what) >= before]
        if not later:
            return False
        before = min(later)
    return True


def first_values_decide(step: list[Fact], same: str) -> set[object]:
    return set(oracle_conditions.own_values(step[0], same)) if step else set()


TOUCHED, CHANNEL, ATTRIBUTE = oracle_conditions.touched, oracle_shop.channel, oracle_shop.attribute


def of_one_event(history: History, name: str, touch: str) -> str | None:
    facts = [what for what in history.facts if what.context]
    return ATTRIBUTE(facts[0 if touch == "first" else -1], name, history.hosts) if facts else None


def direct_everywhere(what: Fact, hosts: frozenset[str]) -> str | None:
    return CHANNEL(what._replace(name="page"), hosts)


def own_pages_refer(what: Fact, hosts: frozenset[str]) -> str | None:
    channel = CHANNEL(what, hosts)
    return channel or ("referral" if ATTRIBUTE(what, "referrer", hosts) else None)


def nulls_are_ignored(history: History, name: str) -> list[Hits]:
    key, *path = name.split(".")
    facts = [what for what in history.facts if what.name == "identify" and what.traits.get(key) is not None]
    return list(oracle_values.reach(facts[-1].traits[key], path)) if facts else []


def traits_are_merged(history: History, name: str) -> list[Hits]:
    hit = [oracle_values.find(what.traits, name) for what in history.facts if what.name == "identify"]
    return next((case for case in reversed(hit) if case), [])


def hosts_with_www(url: str) -> str | None:
    match = re.match(r"https?://([^/:]+)", url.lower())
    return match[1] if match else None


IN_RANGE, IS_OF_AGE, DATE_OF = oracle_dates.in_range, oracle_conditions.is_of_age, oracle_dates.stated_date


def unborn_are_young(since: int, age: Json, now: int) -> bool:
    return IS_OF_AGE(since, age, max(now, since))


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


# --- orders and carts --------------------------------------------------------------------------

VALUE, STOOD, ENDING, LINE = (
    oracle_orders.value_of_order,
    oracle_orders.standing_since,
    oracle_carts.ending_completions,
    oracle_carts.line_of,
)


def earliest_value(messages: list[Fact], currency: str | None) -> Money | None:
    return VALUE(oracle_orders.tellers(messages)[:1], currency)


def a_cancel_is_for_ever(messages: list[Fact]) -> Fact | None:
    return None if any(message.name == "Order Cancelled" for message in messages) else STOOD(messages)


def stands_since_the_first(messages: list[Fact]) -> Fact | None:
    completions = [message for message in messages if message.name == "Order Completed"]
    return STOOD(messages) and completions[0]


def every_completion(messages: list[Fact]) -> list[Fact]:
    return [message for message in messages if message.name == "Order Completed"]


def only_the_first(messages: list[Fact]) -> list[Fact]:
    return ENDING(messages)[:1]


def standing_again_ends(messages: list[Fact]) -> list[Fact]:
    return ENDING([message for message in messages if message.name == "Order Completed"])


def refunded_now(messages: list[Fact], currency: str | None) -> bool:
    return oracle_orders.fully_refunded(messages, currency)


def one_variant(cart: str | None, properties: Json) -> Line:
    return LINE(cart, properties)._replace(sku=None, variant=None)


class OldestFirst(Fold):
    """A removal takes from the oldest line first."""

    def newest_first(self, lines: list[Line]) -> list[Line]:
        return super().newest_first(lines)[::-1]


class LastStatedPrice(Fold):
    """An unknown price takes the place of the known one."""

    def tell_price(self, line: Line, item: Item) -> None:
        super().tell_price(line, item)
        if item.price is not None:
            self.prices[line] = item.known_price


class FirstPrice(Fold):
    """The first price of a line stays."""

    def tell_price(self, line: Line, item: Item) -> None:
        if self.prices.get(line) is None:
            super().tell_price(line, item)


class SilentRemovals(Fold):
    """What a removal says of the price is not read."""

    def remove(self, removal: Line, item: Item) -> None:
        super().remove(removal, item._replace(price=None, known_price=None))


class Parted(Fold):
    """What is listed takes the place of nothing but the same cart's items."""

    def touch(self, what: Fact, cart: str | None, items: list[Item] | None, *, is_void: bool) -> None:
        rest = {line: amounts for line, amounts in self.quantities.items() if line.cart is None and cart is not None}
        super().touch(what, cart, items, is_void=is_void)
        self.quantities = {**rest, **self.quantities}


def point_decides(digits: str) -> str | None:
    return PLAIN_DIGITS(digits.replace(",", ""))


PLAIN_DIGITS, READ_NUMBER = oracle_amounts.plain_digits, oracle_amounts.read_number


def unreadable_is_0(value: object) -> Number | None:
    stated = READ_NUMBER(value)
    return Number(0) if stated == oracle_amounts.UNREADABLE else stated


def unreadable_is_absent(value: object) -> Number | None:
    stated = READ_NUMBER(value)
    return None if stated == oracle_amounts.UNREADABLE else stated


# What is replaced in the oracle, and by what.
BROKEN: list[tuple[str, str, object]] = [
    # values
    ("true is true alone", "is_boolean", only_true_is_true),
    ("texts have their case", "folded", lambda characters: characters),
    ("letters are not one", "ONE_LETTER", {}),
    ("equal as it stands", "TESTS", TESTS | {"is": equal_as_it_stands}),
    ("exact is not", "TESTS", TESTS | {"exact": TESTS["is"]}),
    ("no text is a number", "WRITTEN", re.compile("(?!)")),
    ("no number has groups", "GROUPED", ()),
    ("a comma only groups", "plain_digits", point_decides),
    ("other digits are none", "DIGITS", {}),
    ("what is unreadable is 0", "read_number", unreadable_is_0),
    ("what is unreadable is absent", "read_number", unreadable_is_absent),
    ("no number is too large", "NUMBERS_END", 10**30),
    ("money may be negative", "limited", lambda size: size),
    ("an integer has no digits", "text", lambda value: value if isinstance(value, str) else None),
    ("lists have no members", "find", only_hit(lambda hit: [case for case in hit if not case.is_member])),
    ("lists have one member", "find", only_hit(lambda hit: hit[:1])),
    ("all members of a list must do", "meets_test", whole_lists),
    ("old fields are other fields", "OLD_FIELDS", {}),
    ("a float is no id", "identifier", lambda value: str(value) if isinstance(value, int | str) and value else None),
    ("at_least is above", "COMPARE", compare_with("at_least", lambda size, limit: size > limit)),
    ("at_most is below", "COMPARE", compare_with("at_most", lambda size, limit: size < limit)),
    ("above is at_least", "COMPARE", compare_with("above", lambda size, limit: size >= limit)),
    ("below is at_most", "COMPARE", compare_with("below", lambda size, limit: size <= limit)),
    ("exactly is at_least", "COMPARE", compare_with("exactly", lambda size, limit: size >= limit)),
    ("a value is never excluded", "EXCLUDING", {"not_in": "exact", "not_contains": "exact"}),
    ("contains is equal", "TESTS", TESTS | {"contains": EQUAL}),
    ("a member is not contained", "TESTS", TESTS | {
        "contains": lambda stated, wanted: str(wanted) in str(stated.value) and not stated.is_member}),
    ("matches at the beginning", "TESTS", TESTS | {"matches": matches_at_the_beginning}),
    ("where is not read", "meets_all_tests", lambda *_: True),
    ("an item is any of them", "is_item", lambda *_: True),
    ("cents, not millionths", "millionths", lambda digits: int(float(digits) * 100)),
    # events, windows, sessions
    ("one millisecond in file order", "topic_rank", lambda *_: 0),
    ("ties in reading order", "moment_of", lambda fact: fact.time),
    ("names as they are written", "current_name", str),
    ("names have their case", "key_of", lambda name: name.replace("_", " ").replace("-", " ")),
    ("screens are no pages", "NAME_OF_TYPE", {**oracle_reading.NAME_OF_TYPE, "screen": "screen"}),
    ("placeholders are customers", "PLACEHOLDERS", set()),
    ("windows are closed", "in_window", window_closed),
    ("a gap is more than the gap", "session_starts", lambda facts, gap: STARTS(facts, gap + 1)),
    ("purchases are activity", "ACTIVITY", oracle_names.ACTIVITY | oracle_names.PURCHASES),
    ("no due times", "due_times", lambda *_, **__: []),
    # orders
    ("order messages count for ever", "order_retention_ms", lambda *_: None),
    ("order messages count a millisecond less", "ORDER_RETENTION_MS", 90 * DAY - 1),
    ("every message is an order", "order_key", lambda fact: ("message", fact.message_id)),
    ("refunds do nothing", "fully_refunded", lambda *_: False),
    ("refunds lower nothing", "refunds_known", lambda *_: []),
    ("a refund of products is full", "is_whole", lambda refund: oracle_orders.amount_as_stated(refund) is None),
    ("no refund is whole", "is_whole", lambda _: False),
    ("the order tells no prices", "price_in_order", lambda _, refund, *__: (refund, None)),
    ("a full refund is undone", "was_fully_refunded", refunded_now),
    ("revenue is no amount", "AMOUNTS", ("total",)),
    ("the value is that of the earliest completion", "value_of_order", earliest_value),
    ("updates tell nothing", "UPDATED", "(none)"),
    ("the properties are those of the first message", "stated_properties", lambda messages: next(
        message.properties for message in messages if message.name == "Order Completed")),
    ("a cancelled order stays cancelled", "standing_since", a_cancel_is_for_ever),
    ("an order stands since its first completion", "standing_since", stands_since_the_first),
    # total
    ("any currency counts", "is_same_currency", lambda *_: True),
    ("the least of nothing is 0", "AGGREGATES", AGGREGATES | {"min": least_of_nothing}),
    ("an average is a sum", "AGGREGATES", AGGREGATES | {"avg": AGGREGATES["sum"]}),
    ("distinct are all", "AGGREGATES", AGGREGATES | {"distinct": lambda facts, *_: Fraction(len(facts))}),
    ("the orders' total as it is told", "value_of", lambda what, form, history: next(
        (oracle_values.size_of(case, form["of"], history.currency)
         for case in oracle_values.find(what.properties, form["of"])), None)),
    # last, first, sequence
    ("ago is closed", "is_ago", ago_closed),
    ("last is first", "CONDITIONS", CONDITIONS | {"last": oracle_conditions.first}),
    ("first is last", "CONDITIONS", CONDITIONS | {"first": oracle_conditions.last}),
    ("steps in any order", "are_in_order", any_order_of_steps),
    ("one event for all steps", "are_in_order", one_event_for_all_steps),
    ("no value need be shared", "shared_values", lambda *_: set()),
    ("only the first values are shared", "shared_values", first_values_decide),
    ("an orders' step at any completion", "standing_orders", lambda facts, *_: [
        Order(fact, None) for fact in facts if fact.name == "Order Completed"]),
    # the cart
    ("items count for ever", "ITEM_RETENTION_MS", 10**15),
    ("items count a millisecond less", "ITEM_RETENTION_MS", 90 * DAY - 1),
    ("carts survive a purchase", "endings_of", lambda *_: []),
    ("every completion ends carts", "ending_completions", every_completion),
    ("repeats end no cart", "ending_completions", only_the_first),
    ("standing again ends carts", "ending_completions", standing_again_ends),
    ("every order ends all carts", "ended_cart", lambda *_: None),
    ("items without a cart are of another", "is_ended", lambda cart, ending: ending.cart in (None, cart)),
    ("all is one cart", "carts_stated_apart", lambda touches: {what.message_id: None for what in touches}),
    ("one product for all", "product_of", lambda _: None),
    ("variants are not told apart", "line_of", one_variant),
    ("no quantities", "quantity_of", lambda _: 1_000_000),
    ("cart lists are not read", "REPLACING", set()),
    ("lists are not added", "stated_products", lambda properties: [properties]),
    ("wishlists add nothing", "ADDING", {"Product Added"}),
    ("no checkout but its start", "CHECKOUT", {"Checkout Started"}),
    ("coupons are checkout", "CHECKOUT", {*oracle_names.CHECKOUT, "Coupon Entered", "Coupon Applied"}),
    ("the oldest line goes first", "Fold", OldestFirst),
    ("the first price counts", "Fold", FirstPrice),
    ("an unknown price is the last", "Fold", LastStatedPrice),
    ("removals tell no price", "Fold", SilentRemovals),
    ("a list leaves what has no cart", "Fold", Parted),
    ("what is unknown meets all bounds", "meets_at_least", oracle_values.meets),
    # traits
    ("a null takes nothing away", "trait_values", nulls_are_ignored),
    ("traits are merged", "trait_values", traits_are_merged),
    ("the unborn have an age", "is_of_age", unborn_are_young),
    ("years have 365 days", "completed_years", years_of_365_days),
    ("a birthday counts from the next day on", "completed_years", birthdays_a_day_late),
    ("birthdays are not due", "birthdays", lambda *_: []),
    ("dates have no time", "stated_date", lambda value: DATE_OF(str(value)[:10])),
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


def tells(world: World) -> bool:
    """Whether a world comes out differently now."""
    return bool(changes(world.history, world.definitions, world.until) != world.right)


def more_worlds(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Further worlds of each kind, as some rules matter rarely. What is right of them is decided by the whole rules."""
    broken = [(module, dict(vars(module))) for module in MODULES]
    monkeypatch.undo()
    forget_answers()
    drawn = [
        world(histories.world_of(kind, rng.choice), rng)
        for kind in ("cart", "trait", "performed")
        for rng in map(random.Random, range(2_000, 2_000 + MORE_MAX))
    ]
    for module, members in broken:
        for name, member in members.items():
            if vars(module)[name] is not member:
                monkeypatch.setattr(module, name, member)
    forget_answers()
    yield from drawn


def forget_answers() -> None:
    """Forget what the oracle's functions answered under other rules: some of them store their answers."""
    for module in MODULES:
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "value"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_worlds_tell_a_broken_rule(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """With one rule broken, some of the worlds come out differently: none of them is idle."""
    break_rule(monkeypatch, name, value)
    forget_answers()
    try:
        assert any(tells(world) for world in worlds) or any(tells(world) for world in more_worlds(monkeypatch))
    finally:
        forget_answers()
