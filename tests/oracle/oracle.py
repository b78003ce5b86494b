"""The tests' oracle: which segment changes the contract asks for, as docs/guide and docs/design state it.

Its one rule: every decision is computed afresh from all that is known of the customer at that moment;
nothing but the last answer, and since when it stands, is carried on. Slow and obvious on purpose, and no
code shared with the product. Beside it: `conditions` (what each condition asks), `shop` (what a customer
did), `values` and `dates`.

Long because reading, deciding and the definitions make one reading of the contract.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import ceil
from typing import NamedTuple

from tests.oracle.amounts import currency_code
from tests.oracle.carts import ITEM_RETENTION_MS
from tests.oracle.conditions import (
    HALF_LIVES,
    RHYTHM,
    SUMS_MAX,
    History,
    birthdays,
    durations,
    event_names,
    holds,
    leaves,
    overdue_since,
    score_turns,
)
from tests.oracle.dates import day_end, milliseconds, turns
from tests.oracle.facts import ERASURE, Fact, customer, fact, has_effect, moment_of, name_of, topic_rank
from tests.oracle.names import (
    ADDING,
    BROWSE,
    CARTS,
    COMPLETED,
    OLD_NAMES,
    PURCHASES,
    REMOVING,
    REPLACING,
    current_name,
)
from tests.oracle.orders import ORDER_RETENTION_MS, order_key, order_messages, standing_orders
from tests.oracle.shop import host_of
from tests.oracle.values import Json, duration_ms, listed, mapping, meets, number

__all__ = [
    "ADDING",
    "BROWSE",
    "BUILT_IN",
    "CARTS",
    "ERASURE",
    "OLD_NAMES",
    "PURCHASES",
    "REMOVING",
    "REPLACING",
    "Fact",
    "Json",
    "OracleChange",
    "Run",
    "by_customer",
    "changes",
    "conditions_of",
    "current_name",
    "customer",
    "duration_ms",
    "fact",
    "latest",
    "mapping",
    "meets",
    "membership",
    "milliseconds",
    "name_of",
    "read_rules",
    "topic_rank",
]

BUILT_IN: Json = {
    "version": 1,
    "segments": {
        "abandoned_cart": {"when": {"cart": {"idle_for": "30m", "until": "30d"}}},
        "recently_purchased": {"when": {"performed": {"event": COMPLETED, "within": "30d"}}},
        "returning_visitor": {"when": {"sessions": {"count": {"at_least": 2}, "within": "30d"}}},
        "repeat_buyer": {"when": {"performed": {"event": COMPLETED, "count": {"at_least": 2}, "within": "365d"}}},
    },
}

TURNED_ALONE = ("calendar", "trait", "overdue", "score")  # by time, at instants that no duration alone tells
OVER_EVENTS = {"performed", "total", "last", "first", "newest", "overdue"}  # and the steps of a sequence


class OracleChange(NamedTuple):
    """One entry or exit; `occurred_at` in milliseconds since the epoch, UTC."""

    customer_id: str
    segment: str
    change: str  # 'entered' | 'exited'
    occurred_at: int
    late: bool


class Rules(NamedTuple):
    """The definitions, with what has to be known of all of them at once."""

    conditions: dict[str, Json]  # what is named in another comes before it
    holds: dict[str, int]  # of the segments that are held, in milliseconds
    currency: str | None
    hosts: frozenset[str]
    placeholders: frozenset[str]
    order_retention_ms: int | None
    durations: frozenset[int]
    others: list[tuple[str, Json]]  # the conditions that time changes without an event


Standing = Mapping[str, int]  # the segments of a customer, each since when

# --- what the tests ask ------------------------------------------------------------------------


def changes(events: Sequence[Json], definitions: Json, until: int | None = None) -> list[OracleChange]:
    """The changes of a replay of `events` in reading order, in order per customer."""
    rules = read_rules(definitions)
    end = latest(events) if until is None else until
    all_changes: list[OracleChange] = []
    for customer_id, facts in by_customer(events, end, rules.placeholders).items():
        all_changes += customer_changes(customer_id, facts, rules, end)
    return sorted(all_changes, key=lambda change: change.occurred_at)


def membership(events: Sequence[Json], definitions: Json, at: int) -> dict[str, frozenset[str]]:
    """The segments of each customer at `at`, from all the events up to then, in whatever order.

    Where a segment is held it depends on the order after all: then it is that of the events in time order. An
    erasure takes what was read before it.
    """
    rules = read_rules(definitions)
    customers = by_customer(events, at, rules.placeholders)
    if rules.holds:
        return {customer_id: last_answer(customer_id, facts, rules, at) for customer_id, facts in customers.items()}
    counted = {customer_id: remaining(facts) for customer_id, facts in customers.items()}
    histories = {customer_id: history_of(customer_id, facts, rules) for customer_id, facts in counted.items()}
    return {
        customer_id: frozenset(decide(history, at, rules, {})) if counted[customer_id] else frozenset()
        for customer_id, history in histories.items()
    }


def remaining(facts: Iterable[Fact]) -> list[Fact]:
    """What counts of a customer's events, in the order in which they were read."""
    counting: list[Fact] = []
    newest = erased = 0
    for what in facts:
        if what.time > erased:
            newest = max(newest, what.time)
            if what.name == ERASURE:
                counting, erased = [], newest
            else:
                counting.append(what)
    return counting


def last_answer(customer_id: str, facts: list[Fact], rules: Rules, at: int) -> frozenset[str]:
    """What the changes of the events in time order add up to."""
    in_order = sorted(facts, key=lambda what: (what.time, topic_rank(what.name)))
    members: set[str] = set()
    for change in customer_changes(customer_id, in_order, rules, at):
        members ^= {change.segment}
    return frozenset(members)


# --- reading -----------------------------------------------------------------------------------


def by_customer(events: Sequence[Json], until: int, placeholders: Collection[str] = ()) -> dict[str, list[Fact]]:
    """Each customer's events up to `until`, in reading order."""
    usable = [event for event in events if has_effect(event, placeholders)]
    lines = [(customer(event, placeholders), fact(event)) for event in usable]
    customers: dict[str, list[Fact]] = {}
    for customer_id, what in reading_order([line for line in lines if line[1].time <= until]):
        customers.setdefault(customer_id, []).append(what)
    return customers


def reading_order(lines: list[tuple[str, Fact]]) -> Iterator[tuple[str, Fact]]:
    """File order, but neighbouring lines of one millisecond go by topic."""
    for _, neighbours in groupby(lines, key=lambda line: line[1].time):
        yield from sorted(neighbours, key=lambda line: topic_rank(line[1].name))


def latest(events: Sequence[Json]) -> int:
    return max((fact(event).time for event in events if has_effect(event)), default=0)


# --- deciding ----------------------------------------------------------------------------------


def customer_changes(customer_id: str, facts: list[Fact], rules: Rules, end: int) -> list[OracleChange]:
    """One customer's changes: due times up to each event, the event, and at last those up to the end."""
    run = Run(customer_id, rules, facts[0].time)
    for index, what in enumerate(facts):
        run.advance(what.time)
        run.read(facts[: index + 1])
    run.advance(end)
    return run.changes


class Run:
    """A customer on the way through its events: the last answer, and the history that is asked."""

    def __init__(self, customer_id: str, rules: Rules, instant: int) -> None:
        self.rules = rules
        self.instant = instant
        self.history = history_of(customer_id, [], rules)
        self.standing: Standing = {}
        self.changes: list[OracleChange] = []
        self.erased = 0

    def read(self, facts: list[Fact]) -> None:
        """Decide the newest of these facts; a new order ends what is held since then or before."""
        what = facts[-1]
        if what.time <= self.erased:
            return
        late = what.time < self.instant
        self.instant = max(self.instant, what.time)
        self.history = history_of(self.history.customer_id, remaining(facts), self.rules)
        if what.name == ERASURE:
            self.erased = self.instant
            self.leave(late)
        else:
            before = history_of(self.history.customer_id, remaining(facts[:-1]), self.rules).facts
            is_new = is_new_order(what, order_messages(before, self.rules.order_retention_ms))
            self.decide(late, ordered=what.time if is_new else None)

    def leave(self, late: bool) -> None:
        """Leave every segment, in the order in which they are decided."""
        name = self.history.customer_id
        left = [key for key in self.rules.conditions if key in self.standing]
        self.changes += [OracleChange(name, key, "exited", self.instant, late) for key in left]
        self.standing = {}

    def advance(self, to: int) -> None:
        """Decide at every moment up to `to` at which time alone may change an answer."""
        for due in due_times(self.history, self.rules, self.instant, to):
            self.end_holds(due - 1)
            self.instant = due
            self.decide()
        self.end_holds(to)

    def end_holds(self, to: int) -> None:
        """End holds at the moments up to `to`; each of them may bring the next."""
        while ends := [end for end in self.hold_ends() if self.instant < end <= to]:
            self.instant = min(ends)
            self.decide()

    def hold_ends(self) -> list[int]:
        return [since + self.rules.holds.get(key, 0) for key, since in self.standing.items()]

    def decide(self, late: bool = False, ordered: int | None = None) -> None:
        """Decide, and note what differs from the answer before."""
        before, after = self.standing, decide(self.history, self.instant, self.rules, self.standing, ordered)
        for key in self.rules.conditions:
            if (key in before) != (key in after):
                change = "entered" if key in after else "exited"
                self.changes.append(OracleChange(self.history.customer_id, key, change, self.instant, late))
        self.standing = after


def is_new_order(what: Fact, before: Sequence[Fact]) -> bool:
    """Whether this completes an order that none of those before completed."""
    if what.name != COMPLETED:
        return False
    return order_key(what) not in {order_key(earlier) for earlier in before if earlier.name == COMPLETED}


def decide(history: History, now: int, rules: Rules, before: Standing, ordered: int | None = None) -> Standing:
    """The segments at `now`: those whose condition holds, and those that are held since they were entered.

    `ordered`: when an order was completed that ends what is held since then or before.
    """
    members: dict[str, int] = {}
    for key, when in rules.conditions.items():
        since = before.get(key, now)
        is_bought = ordered is not None and ordered >= since
        has_minimum_stay = not is_bought and key in before and now < since + rules.holds.get(key, 0)
        if has_minimum_stay or holds(when, history._replace(now=now, members=frozenset(members))):
            members[key] = since
    return members


def history_of(customer_id: str, facts: Iterable[Fact], rules: Rules) -> History:
    """What is known of a customer: a function of the set of events."""
    ordered = sorted({what.message_id: what for what in facts}.values(), key=moment_of)
    orders = standing_orders(ordered, rules.order_retention_ms, rules.currency)
    return History(
        customer_id, ordered, orders, rules.currency, hosts=rules.hosts, order_retention_ms=rules.order_retention_ms
    )


def due_times(history: History, rules: Rules, after: int, to: int) -> list[int]:
    """Every instant at which time alone might change an answer: any known event plus any duration, and more."""
    facts = history.facts
    if not facts:
        return []
    moments = {what.time + duration for what in facts for duration in rules.durations}
    if len(facts) > SUMS_MAX:
        moments |= {day_end(what.time) + duration for what in facts for duration in rules.durations}
    for kind, form in rules.others:
        moments |= set(turns_of(kind, form, history, after, to))
    return sorted(moment for moment in moments if after < moment <= to)


def turns_of(kind: str, form: Json, history: History, after: int, to: int) -> Iterable[int]:
    """The instants at which a condition of this kind might turn."""
    if kind == "calendar":
        return turns(form, after, to)
    if kind == "trait":
        return birthdays(form, history.facts, after, to)
    if kind == "score":
        return score_turns(form, history)
    since = overdue_since(form, history)
    return [] if since is None else [ceil(since)]


# --- definitions -------------------------------------------------------------------------------


def read_rules(definitions: Json) -> Rules:
    conditions = in_dependency_order(conditions_of(definitions))
    all_leaves = [leaf for when in conditions.values() for leaf in leaves(when)]
    return Rules(
        conditions=conditions,
        holds=holds_of(definitions),
        currency=currency_code(definitions.get("currency")),
        hosts=frozenset(host for host in map(host_of_shop, texts(definitions, "hosts")) if host),
        placeholders=frozenset(texts(definitions, "placeholders")),
        order_retention_ms=order_retention_ms(definitions),
        durations=frozenset(duration for kind, form in all_leaves for duration in durations(kind, form)),
        others=[(kind, mapping(form)) for kind, form in all_leaves if kind in TURNED_ALONE],
    )


def texts(definitions: Json, key: str) -> list[str]:
    return list(map(str, listed(definitions.get(key, []))))


def host_of_shop(name: str) -> str | None:
    return host_of(f"https://{name.strip()}")


def conditions_of(definitions: Json) -> dict[str, Json]:
    """The condition of each segment; bands are as many segments."""
    return {key: mapping(segment["when"]) for key, segment in segments_of(definitions).items()}


def holds_of(definitions: Json) -> dict[str, int]:
    segments = segments_of(definitions)
    return {key: duration_ms(segment["hold"]) for key, segment in segments.items() if "hold" in segment}


def segments_of(definitions: Json) -> dict[str, Json]:
    """The segments of the file, where bands stand for one segment each."""
    segments: dict[str, Json] = {}
    for key, segment in mapping(definitions["segments"]).items():
        segments |= band_segments(key, mapping(segment)) if "bands" in mapping(segment) else {key: mapping(segment)}
    return segments


def band_segments(key: str, segment: Json) -> dict[str, Json]:
    """The segments of bands, each from its own number on and below the next; the last has no end."""
    bands = mapping(segment["bands"])
    names = sorted(mapping(bands["from"]).items(), key=lambda band: number(band[1]) or 0)
    others = {name: value for name, value in segment.items() if name != "bands"}
    ((kind, body),) = ((kind, mapping(body)) for kind, body in bands.items() if kind != "from")
    tests = [band_test(kind, *ends) for ends in pairwise([*(begin for _, begin in names), None])]
    return {
        f"{key}_{name}": {**others, "when": {kind: {**body, **test}}}
        for (name, _), test in zip(names, tests, strict=True)
    }


def band_test(kind: str, begin: object, end: object) -> Json:
    """From a number on and below the next; of a count, up to the one before that."""
    if kind in ("performed", "sessions"):
        return {"count": {"at_least": begin} | ({} if end is None else {"at_most": int(str(end)) - 1})}
    return {"at_least": begin} | ({} if end is None else {"below": end})


def in_dependency_order(conditions: dict[str, Json]) -> dict[str, Json]:
    """The segments by depth of in_segment, then key."""
    return {key: conditions[key] for key in sorted(conditions, key=lambda key: (depth(key, conditions), key))}


def depth(key: str, conditions: dict[str, Json]) -> int:
    """0 for a segment that names none, else one more than the deepest that it names."""
    named = [str(form) for kind, form in leaves(conditions[key]) if kind == "in_segment"]
    return max((depth(segment_key, conditions) + 1 for segment_key in named), default=0)


def order_retention_ms(definitions: Json) -> int | None:
    """How far back from the newest order message such messages count; None without a limit."""
    all_leaves = [leaf for when in conditions_of(definitions).values() for leaf in leaves(when)]
    windows = [window for kind, form in all_leaves for window in windows_over_orders(kind, mapping(form))]
    # A minimum stay looks at orders as well: a repeated one does not end it.
    # So does a cart, which orders end: for as long as item events count.
    carts = [ITEM_RETENTION_MS] if any(kind == "cart" for kind, _ in all_leaves) else []
    longest = [*map(duration_ms, windows), *holds_of(definitions).values(), *carts] if None not in windows else []
    return max(longest) + ORDER_RETENTION_MS if longest else None


def windows_over_orders(kind: str, form: Json) -> list[object]:
    """The window of a condition that sees orders; last, first and newest have none."""
    if kind == "ratio":
        return [window for part in ("of", "to") for window in windows_over_orders("total", mapping(form[part]))]
    if kind == "score":
        sees_orders = COMPLETED in {name for event in mapping(form["events"]) for name in event_names({"event": event})}
        return [f"{HALF_LIVES * duration_ms(form['half_life']) // 1_000}s"] if sees_orders else []
    parts = [mapping(step) for step in listed(form["steps"])] if kind == "sequence" else [form]
    sees_orders = kind in {*OVER_EVENTS, "sequence"} and any(COMPLETED in event_names(part) for part in parts)
    if not sees_orders:
        return []
    if kind == "overdue":
        return [RHYTHM]
    return listed(form["between"])[:1] if "between" in form else [form.get("within")]
