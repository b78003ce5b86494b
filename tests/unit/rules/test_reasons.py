"""Reasons: what was observed beside what was asked, as data that agrees with the change.

The sentences of every condition are in test_sentences; here stand those of hand-made reasons.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from rules.changes import Change
from rules.conditions.base import CustomerView
from rules.definitions.condition_parsing import EXAMPLES
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.events import Event, Item
from rules.reasons import Observed, Reason
from rules.sentences.reason_sentence import sentence
from rules.times import parse_instant
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.oracle import dates as oracle_dates
from tests.oracle import oracle
from tests.oracle import values as oracle_values
from tests.strategies import histories
from tests.strategies.histories import DAY, MINUTE

AT, LATER = "2026-03-01T12:00:00.000Z", "2026-03-01T12:30:00.000Z"
SEEDS = range(440)


def performed(count: int, within: str | None = None, event: str | tuple[str, ...] = "page", **test: int) -> Reason:
    observed = Observed(count=count, last_at=AT if count else None)
    return Reason(True, "performed", observed, dict(test or {"at_least": 1}), event=event, within=within)


def sessions(count: int, **test: int) -> Reason:
    observed = Observed(count=count, last_at=AT)
    return Reason(True, "sessions", observed, dict(test), within="30d", gap="30m")


def cart(holds: bool, items: float, turns: str | None = None, **test: str) -> Reason:
    """A cart that was touched once; `turns`: when time alone may turn the answer."""
    return Reason(holds, "cart", Observed(items=items, last_at=AT), dict(test), until=turns)


IDLE = cart(True, 2, LATER, idle_for="30m", until="30d")
NO_CART = Reason(False, "cart", Observed(items=0), {"idle_for": "30m"})
SENTENCES: list[tuple[Reason, str]] = [
    (performed(2, "365d", "Order Completed", at_least=2), "2 × Order Completed within 365 days (asked: at least 2)"),
    (performed(1), "1 × page ever (asked: at least 1)"),
    (performed(0, "1d", exactly=0), "0 × page within 1 day (asked: exactly 0)"),
    (performed(3, "24h", at_least=1, at_most=3), "3 × page within 1 day (asked: at least 1, at most 3)"),
    (performed(5, "36h", ("Product Added", "page")), "5 × Product Added or page within 36 hours (asked: at least 1)"),
    (performed(1, "90s"), "1 × page within 90 seconds (asked: at least 1)"),
    (performed(1, "1500ms"), "1 × page within 1500 milliseconds (asked: at least 1)"),
    (performed(1, "1h", "ثبت نام"), "1 × \u2068ثبت نام\u2069 within 1 hour (asked: at least 1)"),
    (sessions(2, at_least=2), "2 sessions within 30 days (asked: at least 2)"),
    (sessions(1, at_least=2), "1 session within 30 days (asked: at least 2)"),
    (sessions(0, at_most=1), "0 sessions within 30 days (asked: at most 1)"),
    (IDLE, f"no cart activity since {AT}, for 30 minutes; the cart holds 2 items"),
    (cart(True, 1, idle_for="1h"), f"no cart activity since {AT}, for 1 hour; the cart holds 1 item"),
    (cart(True, 1.5, idle_for="30m"), f"no cart activity since {AT}, for 30 minutes; the cart holds 1.5 items"),
    (cart(True, 1_234_567, idle_for="1h"), f"no cart activity since {AT}, for 1 hour; the cart holds 1234567 items"),
    (cart(False, 1, LATER, idle_for="30m"), f"the cart holds 1 item, touched at {AT}, less than 30 minutes ago"),
    (cart(False, 3, until="30d"), f"no cart activity since {AT}, for 30 days or longer; the cart holds 3 items"),
    (cart(False, 0, idle_for="30m"), "the cart is empty (asked: untouched for 30 minutes)"),
    (NO_CART, "no open cart (asked: untouched for 30 minutes)"),
    (Reason(False, "cart", Observed(items=0), {}), "no open cart"),
    (Reason(True, all=[performed(1), sessions(2, at_least=2)]),
     "1 × page ever (asked: at least 1) and 2 sessions within 30 days (asked: at least 2)"),
    (Reason(True, any=[performed(1), NO_CART]),
     "1 × page ever (asked: at least 1) or no open cart (asked: untouched for 30 minutes)"),
    (Reason(True, not_=[NO_CART]), "not met, as asked: no open cart (asked: untouched for 30 minutes)"),
    (Reason(True, not_=[performed(0), NO_CART]),
     "none of these met, as asked: 0 × page ever (asked: at least 1); no open cart (asked: untouched for 30 minutes)"),
    (Reason(True, all=[Reason(True, any=[performed(1), NO_CART]), Reason(True, not_=[NO_CART])]),
     ("(1 × page ever (asked: at least 1) or no open cart (asked: untouched for 30 minutes)) "
      "and (not met, as asked: no open cart (asked: untouched for 30 minutes))")),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "words"), SENTENCES, ids=[row[1][:50] for row in SENTENCES])
def test_a_sentence_for_each_condition(reason: Reason, words: str) -> None:
    """A sentence has the observed values and the test in plain words, with singular and plural."""
    assert sentence(reason) == words


def test_a_cart_without_an_idle_time_is_not_called_quiet() -> None:
    """Where no idle time was asked, none is told: the cart was touched just now."""
    words = sentence(cart(True, 2, LATER, until="30d"))
    assert "the cart holds 2 items" in words
    assert AT in words
    assert "any time" not in words
    assert "no cart activity" not in words


# --- from conditions ---------------------------------------------------------------------------

T = 1_772_366_400_000  # AT


def changes_of(when: dict[str, object], events: list[Event], until: int) -> list[Change]:
    engine = Engine(build({"version": 1, "segments": {"s": {"title": "S", "when": when}}}, "f"))
    return list(Replay(engine).run(events, until))


def test_a_cart_says_what_was_in_it() -> None:
    """The reason has items, the last touch and both ends of its time, at the entry and at the exit."""
    added = Event("u", "Product Added", T, "m", (Item("p", 1_500_000),))
    entered, exited = changes_of({"cart": {"idle_for": "30m", "until": "1d"}}, [added], T + 2 * DAY)
    test: dict[str, int | str] = {"idle_for": "30m", "until": "1d"}
    observed = Observed(items=1.5, last_at=AT)
    assert entered.reason == Reason(True, "cart", observed, test, until="2026-03-02T12:00:00.000Z")
    assert exited.reason == Reason(False, "cart", observed, test)


def test_a_count_says_how_many_and_until_when() -> None:
    """A reason of a count has the count in the window, the newest event, and when the answer may turn."""
    events = [Event("u", "page", T + at * MINUTE, f"m{at}") for at in (0, 30)]
    when: dict[str, object] = {"performed": {"event": "page", "count": {"at_least": 2}, "within": "1h"}}
    entered, exited = changes_of(when, events, T + DAY)
    assert entered.reason == Reason(
        True, "performed", Observed(count=2, last_at=LATER), {"at_least": 2},
        until="2026-03-01T13:00:00.000Z", event="page", within="1h",
    )  # fmt: skip
    assert exited.reason == Reason(
        False, "performed", Observed(count=1, last_at=LATER), {"at_least": 2}, event="page", within="1h"
    )
    (first,) = changes_of({"sessions": {"count": 1, "within": "1d"}}, events[:1], T)
    assert first.reason == Reason(
        True, "sessions", Observed(count=1, last_at=AT), {"exactly": 1},
        until="2026-03-02T12:00:00.000Z", within="1d", gap="30m",
    )  # fmt: skip


def test_orders_are_counted_as_orders() -> None:
    """Two messages of one order are one, a cancelled one is none."""
    events = [
        Event("u", "Order Completed", T, "m1", None, "o1"),
        Event("u", "Order Completed", T + 1, "m2", None, "o1"),
        Event("u", "Order Completed", T + 2, "m3", None, "o2"),
        Event("u", "Order Cancelled", T + 3, "m4", None, "o2"),
    ]
    *_, last = changes_of({"performed": {"event": "Order Completed", "count": 1}}, events, T + 3)
    assert last.reason.observed == Observed(count=1, last_at=AT)


# --- of random worlds --------------------------------------------------------------------------


def nodes(reason: Reason) -> Iterator[Reason]:
    yield reason
    for members in (reason.all, reason.any, reason.not_):
        for member in members or ():
            yield from nodes(member)


def changes(seed: int) -> list[Change]:
    rng = random.Random(seed)
    sent, definitions = histories.world(rng)
    shuffled = histories.shuffled(rng, sent) if seed % 2 else sent
    until = oracle.latest(sent) + rng.choice((0, DAY, 400 * DAY))
    return list(
        Replay(Engine(build(definitions, "world.yaml"))).run(
            (decode_line(json.dumps(event).encode()) for event in shuffled), until
        )
    )


GROUPS: dict[str, Callable[[Iterable[bool]], bool]] = {"all": all, "any": any, "not": lambda answers: not any(answers)}


def kind_of(node: Reason) -> str:
    return node.condition or next(
        name.rstrip("_") for name in ("all", "any", "not_") if getattr(node, name) is not None
    )


def expected_of(node: Reason, now: int) -> bool | None:  # noqa: C901 (a branch a kind)
    """Whether the node should hold, by what it shows; None: it shows the value, but not its test."""
    kind = kind_of(node)
    if kind in GROUPS:
        return GROUPS[kind](member.holds for member in (*(node.all or ()), *(node.any or ()), *(node.not_ or ())))
    assert node.observed is not None
    assert node.test is not None
    observed, test = node.observed, node.test
    if kind in ("performed", "sessions"):
        assert observed.count is not None
        return oracle.meets(observed.count, test)
    if kind == "total":
        return observed.value is not None and meets(observed.value, test, cut=node.agg == "avg")
    if kind == "ratio":
        return observed.value is not None and meets(observed.value, test, cut=True)
    if kind == "score":
        return observed.value is not None and meets(observed.value, oracle_values.inline_test(test))
    if kind in ("first", "last"):
        return lies(observed.first_at or observed.last_at, now, **test.get("ago", {}))
    if kind == "overdue":
        return is_overdue(observed, test, now)
    if kind == "newest":
        return observed.last_at is not None and observed.met_at == observed.last_at
    if kind == "sequence":
        return lies(observed.first_at, now, at_most=node.within)
    if kind == "cart":
        return cart_meets_test(observed, test, now)
    if kind == "in_segment":
        return observed.since is not None
    if kind == "calendar":
        return oracle_dates.is_matching_day(test, oracle_dates.local_day(now, test["timezone"]))
    return None


def is_overdue(observed: Observed, test: Mapping[str, Any], now: int) -> bool:
    """Whether the newest is longer ago than so many mean gaps."""
    first, last = (parse_instant(at or "") or 0 for at in (observed.first_at, observed.last_at))
    if (observed.count or 0) < test["count"]["at_least"] or first == last:
        return False
    gap = Fraction(last - first, (observed.count or 0) - 1)
    return now >= last + gap * Fraction(str(test["times"]))


def lies(moment: str | None, now: int, at_least: str | None = None, at_most: str | None = None) -> bool:
    """Whether the instant is there, and so long ago."""
    if moment is None:
        return False
    ago = now - (parse_instant(moment) or 0)
    return (at_least is None or ago >= oracle.duration_ms(at_least)) and (
        at_most is None or ago < oracle.duration_ms(at_most)
    )


def cart_meets_test(observed: Observed, test: Mapping[str, Any], now: int) -> bool | None:
    """Whether the cart is not empty, as asked, and touched long enough but not too long ago."""
    plain = bool(
        observed.items
        and test.get("stage") in (None, observed.stage)
        and ("items" not in test or meets(observed.items or 0, test["items"]))
        and ("has" not in test or has_product(observed.values or {}, test["has"]))
        and lies(observed.last_at, now, test.get("idle_for"), test.get("until"))
    )
    if not plain or "value" not in test:
        return plain
    if observed.or_more and not {"at_most", "below"}.isdisjoint(test["value"]):
        return False  # a product has a price that cannot be read
    return meets(observed.value or 0, test["value"], cut=True)


def has_product(values: Mapping[str, str | None], test: Mapping[str, Any]) -> bool:
    """Whether the product that is shown is there, and enough of it."""
    return values["product_id"] is not None and oracle.meets(
        Fraction(values["quantity"] or "0"), test.get("quantity", {})
    )


def meets(shown: float, test: Mapping[str, Any], *, cut: bool = False) -> bool | None:
    """``cut``: digits beyond the sixth are not shown; None: with them the answer might be another."""
    least = Fraction(round(shown * 1_000_000), 1_000_000)
    answer = oracle.meets(least, test)
    return None if cut and oracle.meets(least + Fraction(1, 2_000_000), test) != answer else answer


def values_of(node: Reason) -> dict[str, str | None]:
    return (node.observed and node.observed.values) or {}


def shown_instants(node: Reason) -> Iterator[int]:
    """The instants that a node shows."""
    observed = node.observed or Observed()
    for at in (observed.first_at, observed.last_at, observed.since):
        if at is not None:
            yield parse_instant(at) or 0


def wrong_with(change: Change) -> Iterator[str]:
    """Everything that contradicts itself in a change's reason."""
    if change.reason.holds != (change.kind == "entered"):
        yield "holds"
    for node in nodes(change.reason):
        shape = [node.condition, node.all, node.any, node.not_]
        if sum(part is not None for part in shape) != 1:
            yield "neither a condition nor members"
        if expected_of(node, change.occurred_at) not in (None, node.holds):
            yield f"observed and asked: {node}"
        if node.until is not None and (parse_instant(node.until) or 0) <= change.occurred_at:
            yield "until"
        if any(at > change.occurred_at for at in shown_instants(node)):
            yield "what was seen lies ahead"
        if node.condition in ("trait", "context") and values_of(node).keys() != (node.test or {}).keys():
            yield "not every value is shown beside its test"


def test_reasons_agree_with_their_changes() -> None:
    """`holds` is the change's; each node follows from what it shows; `until` lies ahead and what was seen behind."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        for change in changes(seed):
            assert list(wrong_with(change)) == [], f"seed {seed}: {change}"
            counts.update(f"{kind_of(node)} {node.holds}" for node in nodes(change.reason))
    assert len(counts) == 2 * len(EXAMPLES)
    assert min(counts.values()) > 20, counts


def unknown(node: Reason) -> int:
    """The number of values shown as not known, which are the only nulls."""
    return sum(value is None for value in values_of(node).values())


def test_a_reason_is_the_same_after_the_wire() -> None:
    """A reason is the same after JSON, where `not` has that name and absent fields are not written."""
    for seed in SEEDS[:100]:
        for change in changes(seed):
            text = msgspec.json.encode(change.reason)
            assert msgspec.json.decode(text, type=Reason) == change.reason
            assert text.count(b"null") == sum(map(unknown, nodes(change.reason)))
            assert b'"not_"' not in text


def test_count_says_or_more_where_not_all_is_kept() -> None:
    """Ten page views under a test for one are "2 or more", whatever other segments keep."""
    when = {"performed": {"event": "page", "count": {"at_least": 1}}}
    definitions = build({"version": 1, "segments": {"seen": {"title": "Seen", "when": when}}}, "f")
    engine = Engine(definitions)
    customer = engine.new()
    for number in range(10):
        engine.apply("u", customer, Event("u", "page", 1_000_000_000_000 + number, f"m{number}"))
    view = CustomerView("u", customer.profile, customer.since)
    reason = definitions.segments[0].when.reason(view, customer.instant)
    assert reason.observed is not None
    assert (reason.observed.count, reason.observed.or_more) == (2, True)
    assert sentence(reason) == "2 or more × page ever (asked: at least 1)"
