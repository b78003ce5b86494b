"""The conditions as the contract has them, each decided from all that is known of a customer at a moment.

Its one rule: a condition reads the history and nothing else; `in_segment` reads what this decision has so far.

Long because the language stands here as a whole, side by side.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from math import floor
from typing import NamedTuple

from tests.oracle.amounts import MILLION, MONEY, in_currency, is_same_currency
from tests.oracle.anniversaries import DATE_KEYS, meets_dates, turns_of_date
from tests.oracle.carts import open_carts
from tests.oracle.dates import (
    birthday,
    completed_years,
    day_end,
    is_matching_day,
    is_timely,
    local_day,
    midnight,
    stated_date,
    timezone_of,
    utc_day,
)
from tests.oracle.facts import Fact, moment_of
from tests.oracle.names import COMPLETED, REFUNDED, current_name
from tests.oracle.orders import AMOUNTS, Order, amount, stated_products
from tests.oracle.shop import KINDED, attribute, kind_of, session_starts
from tests.oracle.values import (
    Hits,
    Json,
    Stated,
    duration_ms,
    find,
    inline_test,
    listed,
    lookup,
    mapping,
    meets,
    meets_at_least,
    meets_test,
    number,
    reach,
    scalars,
    size_of,
    stated_values,
)

GROUPS = ("all", "any", "not")
SUMS_MAX = 256  # the newest contributions, which leave a window at their own time


class History(NamedTuple):
    """All that is known of one customer at `now`, each message once, in (time, messageId) order."""

    customer_id: str
    facts: Sequence[Fact]
    orders: Sequence[Order]
    currency: str | None  # the file's
    now: int = 0
    members: frozenset[str] = frozenset()  # the segments that this decision has so far
    hosts: frozenset[str] = frozenset()  # the shop's own
    order_retention_ms: int | None = None


def holds(condition: Json, history: History) -> bool:
    ((kind, form),) = condition.items()
    return CONDITIONS[kind](form, history)


# --- groups ------------------------------------------------------------------------------------


def members(form: object) -> list[Json]:
    """A list of conditions, or one."""
    return [mapping(member) for member in listed(form)]


def leaves(condition: Json) -> Iterator[tuple[str, object]]:
    """The conditions under all, any and not, as (kind, form)."""
    ((kind, form),) = condition.items()
    if kind not in GROUPS:
        yield kind, form
        return
    for member in members(form):
        yield from leaves(member)


def all_hold(form: object, history: History) -> bool:
    return all(holds(member, history) for member in members(form))


def any_holds(form: object, history: History) -> bool:
    return any(holds(member, history) for member in members(form))


def none_holds(form: object, history: History) -> bool:
    return not any_holds(form, history)


# --- what happened -----------------------------------------------------------------------------


def event_names(form: Json) -> set[str]:
    return {current_name(name) for name in listed(form["event"])}


def happened(form: Json, history: History) -> list[Fact]:
    """The events that a form speaks of, in order; for Order Completed the orders, at their completion."""
    names = event_names(form)
    facts = [what for what in history.facts if what.name in names - {COMPLETED}]
    facts += [order.completion for order in history.orders if COMPLETED in names]
    where = mapping(form.get("where"))
    timely = [what for what in facts if is_timely(what.time, form)]
    return sorted((what for what in timely if meets_all_tests(what, where, history.currency)), key=moment_of)


def meets_all_tests(what: Fact, where: Json, currency: str | None) -> bool:
    return all(meets_where(what, name, test, currency) for name, test in where.items())


def meets_where(what: Fact, name: str, test: object, currency: str | None) -> bool:
    """Whether a property meets a test; `item` asks several of one and the same product."""
    if name == "item":
        return any(is_item(product, what, mapping(test), currency) for product in stated_products(what.properties))
    hit = values_in(what, name)
    stated = stated_values(hit, name, currency)
    if what.name == REFUNDED and name in AMOUNTS and hit:
        readable = amount(what._replace(properties={**what.properties, "total": hit[0].value}), currency)
        stated = [case._replace(size=in_currency(readable, currency)) for case in stated]
    return meets_test(stated, test)


def values_in(what: Fact, name: str) -> list[Hits]:
    """What a name finds in an event, or in its context; the revenue stands in for the total."""
    if name.split(".", maxsplit=1)[0] == "context":
        return find({"context": what.context}, name)
    hit = find(what.properties, name)
    return find(what.properties, "revenue") if name == "total" and not hit else hit


def is_item(product: Json, what: Fact, tests: Json, currency: str | None) -> bool:
    """Whether a product meets all tests; its money is in its own currency, else in that of the event."""
    whole = product if product.get("currency") else {**product, "currency": what.properties.get("currency")}
    return all(meets_test(stated_values(find(whole, name), name, currency), test) for name, test in tests.items())


def in_window(time: int, within: object, now: int) -> bool:
    """Whether an instant lies in (now - within, now]; without a window every one does."""
    return within is None or now - duration_ms(within) < time <= now


def performed(form: object, history: History) -> bool:
    """Whether the event happened as often in the window as is asked."""
    within, between = mapping(form).get("within"), mapping(form).get("between")
    times = [what.time for what in happened(mapping(form), history)]
    if isinstance(between, list):
        first, last = map(duration_ms, between)
        times = [time for time in times if time + last <= history.now < time + first]
    count = sum(in_window(time, within, history.now) for time in times)
    return meets(count, mapping(form).get("count", {"at_least": 1}))


def last(form: object, history: History) -> bool:
    facts = happened(mapping(form), history)
    return bool(facts) and is_ago(facts[-1].time, mapping(mapping(form).get("ago")), history.now)


def first(form: object, history: History) -> bool:
    facts = happened(mapping(form), history)
    return bool(facts) and is_ago(facts[0].time, mapping(mapping(form).get("ago")), history.now)


def newest(form: object, history: History) -> bool:
    """Whether the newest is as asked; of several at its instant, one."""
    facts = happened(mapping(form), history)
    has = mapping(mapping(form)["has"])
    return any(meets_all_tests(what, has, history.currency) for what in facts if what.time == facts[-1].time)


RHYTHM_MAX, RHYTHM = 64, "1096d"  # the newest events of a rhythm


def overdue(form: object, history: History) -> bool:
    """Whether the newest is longer ago than so many mean gaps."""
    since = overdue_since(form, history)
    return since is not None and history.now >= since


def overdue_since(form: object, history: History) -> Fraction | None:
    """From when on; `None`: there is no rhythm."""
    fields = mapping(form)
    times = [what.time for what in happened(fields, history)][-RHYTHM_MAX:]
    times = [time for time in times if time > times[-1] - duration_ms(RHYTHM)]
    least = mapping(fields.get("count", {"at_least": 3}))["at_least"]
    if not meets(len(times), {"at_least": least}) or times[0] == times[-1]:
        return None
    gap = Fraction(times[-1] - times[0], len(times) - 1)
    return times[-1] + gap * Fraction(str(fields["times"]))


HALF_LIVES = 30  # after which points are worth nothing
MINUTE_MS = 60_000


def score(form: object, history: History) -> bool:
    """Whether the points of all events, each faded by its age, come to a sum as asked."""
    fields = mapping(form)
    scored, newest = scored_events(fields, history)
    minutes = (history.now - newest) // MINUTE_MS
    return meets(Fraction(points_after(minutes, scored, newest, fields), MILLION), inline_test(fields))


def scored_events(form: Json, history: History) -> tuple[list[tuple[Fraction, int]], int]:
    """The points and time of each event that counts, and when the newest was: of an event 256, of orders 64."""
    scored: list[tuple[Fraction, int]] = []
    for name, points in mapping(form["events"]).items():
        most = 64 if COMPLETED in event_names({"event": name}) else 256
        scored += [(Fraction(str(points)), what.time) for what in happened({"event": name}, history)[-most:]]
    return scored, max((time for _, time in scored), default=history.now)


def points_after(minutes: int, scored: list[tuple[Fraction, int]], newest: int, form: Json) -> int:
    """The sum in millionths, so many minutes after the newest event."""
    half_life = duration_ms(form["half_life"])
    return sum(
        faded(int(points * MILLION), half_life, (newest - time) // MINUTE_MS + minutes) for points, time in scored
    )


@lru_cache(maxsize=100_000)
def faded(millionths: int, half_life: int, minutes: int) -> int:
    """What points are worth after so many minutes, to 28 digits, without a fraction of a millionth."""
    with localcontext(prec=28):
        return floor(millionths * Decimal(2) ** -(Decimal(minutes * MINUTE_MS) / half_life))


def score_turns(form: Json, history: History) -> list[int]:
    """When the sum comes down to each bound that is asked, and when below it."""
    scored, newest = scored_events(form, history)

    def lost(minutes: int) -> Fraction:
        return Fraction(-points_after(minutes, scored, newest, form))

    minutes = range(HALF_LIVES * duration_ms(form["half_life"]) // MINUTE_MS + 2)
    bounds = [Fraction(str(bound)) * -MILLION for bound in mapping(inline_test(form)).values()]
    turns = [find_place(minutes, bound, key=lost) for bound in bounds for find_place in (bisect_left, bisect_right)]
    return [newest + minute * MINUTE_MS for minute in turns]


def is_ago(since: int, ago: Json, now: int) -> bool:
    """Whether now is from since + at_least on, and before since + at_most or below."""
    ends = [since + duration_ms(ago[name]) for name in ("at_most", "below") if name in ago]
    begins = since + duration_ms(ago["at_least"]) if "at_least" in ago else since
    return begins <= now and all(now < end for end in ends)


def sessions(form: object, history: History) -> bool:
    starts = session_starts(history.facts, duration_ms(mapping(form).get("gap", "30m")))
    within = mapping(form).get("within")
    return meets(sum(in_window(start, within, history.now) for start in starts), mapping(form)["count"])


# --- sums of what happened ---------------------------------------------------------------------


def total(form: object, history: History) -> bool:
    """What the values in the window come to; of nothing, an average and the extremes are nothing."""
    fields = mapping(form)
    facts = happened(fields, history)
    result = AGGREGATES[str(fields["agg"])](facts, fields, history)
    return result is not None and meets(result, inline_test(fields))


def ratio(form: object, history: History) -> bool:
    """Whether what two totals come to has this ratio; nothing has one to nothing, nor to less."""
    parts = [mapping(mapping(form)[name]) for name in ("of", "to")]
    of, to = (AGGREGATES[str(part["agg"])](happened(part, history), part, history) for part in parts)
    return of is not None and to is not None and to > 0 and meets(of / to, inline_test(mapping(form)))


def value_of(what: Fact, form: Json, history: History) -> Fraction | int | None:
    """The value of an event in millionths; the total of an order is its value less its refunds."""
    name = str(form["of"])
    if name == "total" and what.name == COMPLETED:
        order = next(order for order in history.orders if order.completion.message_id == what.message_id)
        return order.value if is_same_currency(order.currency, history.currency) else None
    if name == "total" and what.name == REFUNDED and find(what.properties, name):
        return in_currency(amount(what, history.currency), history.currency)
    hit = find(what.properties, name)
    return size_of(hit[0], name, history.currency) if len(hit) == 1 and not hit[0].is_member else None


def in_the_window(facts: list[Fact], form: Json, now: int) -> list[Fact]:
    return [what for what in facts if in_window(what.time, form.get("within"), now)]


def values(facts: list[Fact], form: Json, history: History) -> list[Fraction | int]:
    amounts = [value_of(what, form, history) for what in facts]
    return [value for value in amounts if value is not None]


def summed_values(facts: list[Fact], form: Json, history: History) -> list[Fraction | int]:
    """The values in the window of the newest 256; the older ones leave it at the end of their UTC day."""
    contributing = [what for what in facts if value_of(what, form, history) is not None]
    older, newest = contributing[:-SUMS_MAX], contributing[-SUMS_MAX:]
    older = [what for what in older if stays_with_its_day(what.time, form.get("within"), history.now)]
    return values(older + in_the_window(newest, form, history.now), form, history)


def stays_with_its_day(time: int, within: object, now: int) -> bool:
    return within is None or now < day_end(time) + duration_ms(within)


def summed(facts: list[Fact], form: Json, history: History) -> Fraction | None:
    return Fraction(sum(summed_values(facts, form, history)), MILLION)


def average(facts: list[Fact], form: Json, history: History) -> Fraction | None:
    numbers = summed_values(facts, form, history)
    return Fraction(sum(numbers), MILLION * len(numbers)) if numbers else None


def smallest(facts: list[Fact], form: Json, history: History) -> Fraction | None:
    numbers = values(in_the_window(facts, form, history.now), form, history)
    return Fraction(min(numbers), MILLION) if numbers else None


def greatest(facts: list[Fact], form: Json, history: History) -> Fraction | None:
    numbers = values(in_the_window(facts, form, history.now), form, history)
    return Fraction(max(numbers), MILLION) if numbers else None


def distinct(facts: list[Fact], form: Json, history: History) -> Fraction | None:
    """How many values; each member of a list is one."""
    members: set[Hashable] = set()
    for what in in_the_window(facts, form, history.now):
        members |= distinct_values(what, form, history)
    return Fraction(len(members))


def distinct_values(what: Fact, form: Json, history: History) -> set[Hashable]:
    """What an event adds to them; of an order's total, its value."""
    if form["of"] == "total" and what.name == COMPLETED:
        value = value_of(what, form, history)
        return set() if value is None else {value}
    name = str(form["of"])
    hit = find(what.properties, name)
    is_money = name.rpartition(".")[2] in MONEY
    return scalars(case.value for case in hit if not is_money or size_of(case, name, history.currency) is not None)


AGGREGATES: dict[str, Callable[[list[Fact], Json, History], Fraction | None]] = {
    "sum": summed,
    "avg": average,
    "min": smallest,
    "max": greatest,
    "distinct": distinct,
}

# --- one after the other -----------------------------------------------------------------------


def sequence(form: object, history: History) -> bool:
    """Whether all steps were made in the window, each by an event after that of the step before."""
    fields = mapping(form)
    steps = [mapping(step) for step in listed(fields["steps"])]
    facts_by_step = [in_the_window(happened(step, history), fields, history.now) for step in steps]
    if "same" not in fields:
        return are_in_order(facts_by_step)
    same = str(fields["same"])
    shared = set.intersection(*(shared_values(step, same) for step in facts_by_step))
    return any(are_in_order([having(step, same, value) for step in facts_by_step]) for value in shared)


def are_in_order(facts_by_step: list[list[Fact]]) -> bool:
    """Whether each step has an event after the one that was taken for the step before."""
    before: tuple[int, str] | None = None
    for step in facts_by_step:
        later = [moment_of(what) for what in step if before is None or moment_of(what) > before]
        if not later:
            return False
        before = min(later)
    return True


def shared_values(step: list[Fact], same: str) -> set[Hashable]:
    return {value for what in step for value in own_values(what, same)}


def own_values(what: Fact, same: str) -> set[Hashable]:
    return scalars(case.value for case in find(what.properties, same))


def having(step: list[Fact], same: str, value: Hashable) -> list[Fact]:
    return [what for what in step if value in own_values(what, same)]


# --- the cart ----------------------------------------------------------------------------------


def cart(form: object, history: History) -> bool:
    """Something lies in the carts, and they are as quiet, as far, as dear and as full as asked, of such a product."""
    fields = mapping(form)
    carts = open_carts(history.facts, history.currency, history.order_retention_ms)
    if carts is None or not is_ago(carts.touches[-1].time, quiet(fields), history.now):
        return False
    if "stage" in fields and (fields["stage"] == "checkout") != carts.is_at_checkout:
        return False
    has = mapping(fields.get("has"))
    if has and not any(
        meets_test([Stated(product, number(product))], has["product_id"]) and meets(quantity, has.get("quantity", {}))
        for product, quantity in carts.products.items()
    ):
        return False
    meets_value = meets if carts.is_value_known else meets_at_least
    return meets(carts.items, fields.get("items", {})) and meets_value(carts.value, fields.get("value", {}))


def quiet(form: Json) -> Json:
    """`idle_for` and `until` as they are said of `last`."""
    ends = {"idle_for": "at_least", "until": "below"}
    return {ends[name]: form[name] for name in ends if name in form}


# --- the customer -----------------------------------------------------------------------------


def trait(form: object, history: History) -> bool:
    return all(trait_meets(trait_values(history, name), name, test, history) for name, test in mapping(form).items())


def trait_values(history: History, name: str) -> list[Hits]:
    """What the newest identify that has the trait says, be it null."""
    key, *path = name.split(".")
    trait_values = [what.traits[key] for what in history.facts if what.name == "identify" and key in what.traits]
    return list(reach(trait_values[-1], path)) if trait_values else []


def trait_meets(hit: list[Hits], name: str, test: object, history: History) -> bool:
    stated = stated_values(hit, name, history.currency)
    about_date = {key: bound for key, bound in mapping(test).items() if key in ("age", *DATE_KEYS)}
    if not about_date:
        return meets_test(stated, test)
    others = {key: limit for key, limit in mapping(test).items() if key not in about_date}
    since = stated_date(hit[0].value) if hit and not hit[0].is_member else None
    if since is None or not meets_test(stated, others) or not meets_dates(since, about_date, history.now):
        return False
    return "age" not in about_date or is_of_age(since, mapping(about_date["age"]), history.now)


def is_of_age(since: int, age: Json, now: int) -> bool:
    """Durations are measured from the date on, numbers are completed years; what is to come has no age."""
    if are_durations(age):
        return is_ago(since, age, now)
    return utc_day(since) <= utc_day(now) and meets(completed_years(utc_day(since), utc_day(now)), age)


def are_durations(age: Json) -> bool:
    return any(isinstance(limit, str) for limit in age.values())


def context(form: object, history: History) -> bool:
    tests = {name: test for name, test in mapping(form).items() if name != "touch"}
    touch = str(mapping(form).get("touch", "last"))
    return all(
        kind_meets(history, name, touch, test)
        if name in KINDED
        else attribute_meets(touched(history, name, touch), test)
        for name, test in tests.items()
    )


def attribute_meets(value: str | None, test: object) -> bool:
    return meets_test([] if value is None else [Stated(value, number(value))], test)


def kind_meets(history: History, name: str, touch: str, test: object) -> bool:
    """The name of the device or software or its kind meets the test; neither is what the test excludes."""
    carried = [what for what in history.facts if attribute(what, name) is not None]
    if not carried:
        return attribute_meets(None, test)
    chosen = carried[0 if touch == "first" else -1]
    texts = {text for text in (attribute(chosen, name), kind_of(chosen, name)) if text is not None}
    excluded = {"not_in": mapping(test)["not_in"]} if isinstance(test, dict) and "not_in" in test else {}
    return any(attribute_meets(text, test) for text in texts) and all(attribute_meets(text, excluded) for text in texts)


def touched(history: History, name: str, touch: str) -> str | None:
    """The attribute of the first or last event that carries it."""
    carried = [
        attribute_value
        for attribute_value in (attribute(what, name, history.hosts) for what in history.facts)
        if attribute_value is not None
    ]
    return carried[0 if touch == "first" else -1] if carried else None


def in_segment(form: object, history: History) -> bool:
    return form in history.members


def calendar(form: object, history: History) -> bool:
    return is_matching_day(mapping(form), local_day(history.now, timezone_of(mapping(form))))


def sample(form: object, history: History) -> bool:
    """Whether the customer's share of 2⁶⁴ lies strictly below the percentage."""
    salted = str(mapping(form).get("salt", "")).encode() + b"\0" + history.customer_id.encode()
    share = Fraction(int.from_bytes(sha256(salted).digest()[:8]), 2**64)
    return share < Fraction(str(mapping(form)["percent"])) / 100


CONDITIONS: dict[str, Callable[[object, History], bool]] = {
    "all": all_hold,
    "any": any_holds,
    "not": none_holds,
    "performed": performed,
    "total": total,
    "ratio": ratio,
    "last": last,
    "first": first,
    "newest": newest,
    "overdue": overdue,
    "score": score,
    "sequence": sequence,
    "cart": cart,
    "sessions": sessions,
    "trait": trait,
    "context": context,
    "in_segment": in_segment,
    "calendar": calendar,
    "sample": sample,
}

# --- when time alone may change an answer ------------------------------------------------------


def durations(kind: str, form: object) -> list[int]:
    """All that a condition measures from an event on."""
    fields = mapping(form)
    if kind == "ratio":
        return [*durations("total", fields["of"]), *durations("total", fields["to"])]
    texts = [fields[key] for key in ("within", "gap", "idle_for", "until") if key in fields]
    texts += mapping(fields.get("ago")).values()
    texts += listed(fields.get("between", [])) if kind == "performed" else []
    return [duration_ms(text) for text in texts]


def birthdays(form: object, facts: Sequence[Fact], after: int, to: int) -> Iterator[int]:
    """Each date told for a trait, its birthdays, and where the ages that are asked begin and end."""
    for name, test in mapping(form).items():
        for since in stated_dates(name, facts):
            yield from turns_of_date(since, mapping(test), after, to)
        age = mapping(mapping(test).get("age"))
        for since in stated_dates(name, facts) if age else ():
            yield since
            if are_durations(age):
                yield from (since + duration_ms(age_bound) for age_bound in age.values())
            else:
                yield from yearly(since, after, to)


def stated_dates(name: str, facts: Sequence[Fact]) -> list[int]:
    dates = [stated_date(lookup(what.traits, name)) for what in facts if what.name == "identify"]
    return [since for since in dates if since is not None]


def yearly(since: int, after: int, to: int) -> Iterator[int]:
    """The midnights of the birthdays, and of the day itself."""
    for year in range(utc_day(after).year, utc_day(to).year + 1):
        yield midnight(birthday(utc_day(since), year))
