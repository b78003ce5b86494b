"""Definitions: a wrong file says where and how, and the fingerprint names what decides and nothing else."""

import json
import random
from collections.abc import Callable

import pytest
import yaml

from rules.definitions.condition_parsing import DEPTH_MAX
from rules.definitions.segments_file import SEGMENTS_MAX, Definitions, DefinitionsError, build, built_in, parse
from rules.engine import Engine
from rules.events import Event, Item
from rules.forms.value_test_parsing import COUNT_MAX
from rules.times import DAY_MS, MINUTE_MS
from tests.oracle import oracle
from tests.strategies import histories
from tests.support.wrong_definitions import CART, PERFORMED, WRONG, Form, nested, performed, sessions, with_when

FILE = "shop.yaml"


def problems(document: object) -> list[str]:
    """The messages about a document, as for a file."""
    text = document if isinstance(document, str) else yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    with pytest.raises(DefinitionsError) as error:
        parse(text, FILE)
    assert str(error.value).splitlines() == [f"{FILE}: {problem}" for problem in error.value.lines]
    return error.value.lines


# --- wrong files -------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "path", "right"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_file_says_where_and_what_is_right(document: object, path: str, right: str) -> None:
    """The message is one line: the file, the path inside it, and what would be right."""
    (problem,) = problems(document)
    assert problem.startswith(f"{path}: " if path else "")
    assert right in problem
    assert "\n" not in problem


def test_at_least_thirty_kinds() -> None:
    """The table above is not shortened by accident."""
    assert len({row[0] for row in WRONG}) == len(WRONG) >= 130


BROKEN: list[tuple[str, str, str]] = [
    ("version: 1\n\tsegments: {}", "line 2, column 1", "'\\t'"),
    ("version: 1\nsegments: [", "line 2, column 12", "expected"),
    ("version: 1\nsegments: {s: *missing}", "line 2, column 15", "undefined alias 'missing'"),
    ("version: 1\n---\nversion: 1", "line 2, column 1", "another document"),
    ("version: !!python/object:os.system 1", "line 1, column 10", "could not determine a constructor"),
    ("version: 1\nversion: 1\nsegments: {}", "line 2, column 1", "the key version stands twice"),
    ("version: 1\nsegments:\n  s: {}\n  t: {}\n  s: {}", "line 5, column 3", "the key s stands twice"),
    ("segments: {s: {when: {cart: {until: 1d, until: 2d}}}}", "line 1, column 41", "the key until stands twice"),
    ("segments: {s: {when: {performed: {1: a, 1: b}}}}", "line 1, column 41", "the key 1 stands twice"),
    ("? [a]\n: b", "line 1, column 3", "unhashable"),
]


@pytest.mark.parametrize(("text", "place", "what"), BROKEN, ids=[row[2] for row in BROKEN])
def test_a_file_that_is_not_yaml_says_the_line(text: str, place: str, what: str) -> None:
    """Wrong are syntax, tags that build objects, and duplicate keys, of which YAML would keep the last."""
    (problem,) = problems(text)
    assert problem.startswith(f"{place}: not YAML: ")
    assert what in problem


@pytest.mark.parametrize("text", ["a: \x00", "a: \ud800"])
def test_a_file_that_cannot_be_read_at_all(text: str) -> None:
    """Characters that YAML does not allow give one message, too."""
    (problem,) = problems(text)
    assert "not YAML: " in problem
    assert len(problem.splitlines()) == 1


def test_all_problems_are_told_at_once() -> None:
    """Problems come in the order of the file, each with its own path."""
    document: Form = {
        "version": 3,
        "segments": {
            "b": {"title": "B", "when": {"any": [{"performed": {"event": 5, "within": "x"}}, {"bought": {}}]}},
            "a": {"title": 7, "when": {"sessions": {}}},
            "ok": {"title": "Ok", "when": {"cart": {}}},
        },
    }
    assert [problem.split(":")[0] for problem in problems(document)] == [
        "version",
        "segments.b.when.any[0].performed.event",
        "segments.b.when.any[0].performed.within",
        "segments.b.when.any[1].bought",
        "segments.a.title",
        "segments.a.when.sessions.count",
        "segments.a.when.sessions.within",
    ]


# --- right files -------------------------------------------------------------------------------


FOUR = {"abandoned_cart": "58b623450f2f", "recently_purchased": "58ebc4c41039",
        "repeat_buyer": "fc36760c8d94", "returning_visitor": "347fa1592160"}  # fmt: skip


def test_the_four_segments() -> None:
    """What decides the four of the contract is fixed, since their fingerprint is kept beside every stored customer."""
    assert dict(fingerprints(with_titles(oracle.BUILT_IN))) == FOUR
    named = {**oracle.BUILT_IN, "currency": built_in().currency}
    assert fingerprints(with_titles(named)) == [pair for pair in fingerprints(built_in()) if pair[0] in FOUR]


def test_the_demo_segments() -> None:
    """The demo has the same four segments: a few events enter them, and all end within twenty minutes."""
    definitions = built_in("demo.yaml")
    assert [segment.key for segment in definitions.segments] == list(FOUR)
    engine = Engine(definitions)
    customer = engine.new()
    changes = []
    for minute, name in ((0, "Order Completed"), (4, "page"), (8, "Order Completed"), (12, "Product Added")):
        items = (Item("p"),) if name == "Product Added" else None
        event = Event("u", name, 1_800_000_000_000 + minute * MINUTE_MS, f"m{minute}", items)
        changes += engine.apply("u", customer, event)
    changes += engine.fire("u", customer, customer.instant + 20 * MINUTE_MS)
    assert {change.segment for change in changes} == {segment.key for segment in definitions.segments}
    assert engine.membership(customer) == ()


def with_titles(definitions: oracle.Json) -> Definitions:
    segments = {key: {"title": key, "when": when} for key, when in oracle.conditions_of(definitions).items()}
    return build({"version": 1, "segments": segments, "currency": definitions.get("currency")}, FILE)


def test_a_file_may_be_up_to_its_bounds() -> None:
    """The bounds are 20 levels, 1,000 segments, 63 orders, 511 sessions and 1,000 of any other event."""
    when = nested(DEPTH_MAX)
    build({"version": 1, "segments": {f"s{n}": {"title": "S", "when": when} for n in range(SEGMENTS_MAX)}}, FILE)
    build(performed(event="Order Completed", count={"at_least": 63}), FILE)
    build(sessions(count={"at_least": 511}), FILE)
    build(performed(count={"at_least": COUNT_MAX}), FILE)


@pytest.mark.parametrize("within", ["100000d", "999999999d"])
def test_what_is_accepted_can_be_decided(within: str) -> None:
    """A window that is longer than the calendar is refused or decided, but is no crash at the first event."""
    try:
        engine = Engine(build(performed(within=within), FILE))
    except DefinitionsError as error:
        assert f"{PERFORMED}.within: " in str(error)  # noqa: PT017 - to refuse it is one of two right answers
        return
    (change,) = engine.apply("u", engine.new(), Event("u", "page", 1_800_000_000_000, "m"))
    assert change.kind == "entered"


def test_the_last_day_of_the_calendar_can_be_decided() -> None:
    """An event as late as a timestamp can say makes no crash either."""
    engine = Engine(build(performed(within="30d"), FILE))
    (change,) = engine.apply("u", engine.new(), Event("u", "page", 253_402_300_799_999, "m"))
    assert change.kind == "entered"


def test_anchors_repeat_what_was_said() -> None:
    """YAML repeats a part by an alias, and by a merge, in which the own key wins."""
    text = """
version: 1
segments:
  a: &a {title: A, when: &w {cart: {until: 1d}}}
  b: {<<: *a, title: B}
  c: {title: C, when: {not: *w}}
"""
    definitions = parse(text, FILE)
    assert [segment.title for segment in definitions.segments] == ["A", "B", "C"]
    assert definitions.segments[0].when == definitions.segments[1].when


# --- the fingerprint ---------------------------------------------------------------------------


def fingerprints(definitions: Definitions) -> list[tuple[str, str]]:
    return [(segment.key, segment.fingerprint) for segment in definitions.segments]


def of(when: object) -> str:
    (segment,) = build(with_when(when), FILE).segments
    return segment.fingerprint


def counts(count: object) -> Form:
    return {"performed": {"event": "page", "count": count}}


SAME: list[tuple[str, Form, Form]] = [
    ("a default count", {"performed": {"event": "page"}}, counts({"at_least": 1})),
    ("exactly", counts({"exactly": 2}), counts({"at_least": 2, "at_most": 2})),
    ("exactly none", counts({"exactly": 0}), counts({"at_most": 0})),
    ("a number for exactly", counts(2), counts({"exactly": 2})),
    ("at least 0", counts({"at_most": 3}), counts({"at_least": 0, "at_most": 3})),
    ("one event of a list", {"performed": {"event": ["page"]}}, {"performed": {"event": "page"}}),
    ("events in any order", {"performed": {"event": ["page", "A"]}}, {"performed": {"event": ["A", "page"]}}),
    ("a screen", {"performed": {"event": "screen"}}, {"performed": {"event": "page"}}),
    ("an old name", {"performed": {"event": "Completed Order"}}, {"performed": {"event": "Order Completed"}}),
    ("an old name beside the new", {"performed": {"event": ["Added Product", "Product Added"]}},
     {"performed": {"event": "Product Added"}}),
    ("a day", {"performed": {"event": "page", "within": "1d"}}, {"performed": {"event": "page", "within": "24h"}}),
    ("keys in any order", {"cart": {"idle_for": "1m", "until": "1d"}}, {"cart": {"until": "1d", "idle_for": "1m"}}),
    ("the default gap", {"sessions": {"count": 2, "within": "1d", "gap": "30m"}},
     {"sessions": {"count": {"exactly": 2}, "within": "1d"}}),
    ("not one", {"not": {"cart": {}}}, {"not": [{"cart": {}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("form", "other"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_the_same_in_other_words_has_one_fingerprint(form: Form, other: Form) -> None:
    """Written defaults, aliases, units and order leave the fingerprint as it is."""
    assert of(form) == of(other)


def test_titles_and_neighbours_say_nothing() -> None:
    """A segment's fingerprint depends on its key, but not on its title or on the other segments."""
    alone = build({"version": 1, "segments": {"a": {"title": "A", "when": CART}}}, FILE)
    two = {"b": {"title": "B", "when": counts(1)}, "a": {"title": "Another", "when": CART}}
    both = build({"segments": two, "version": 1}, FILE)
    turned = build({"version": 1, "segments": dict(reversed(two.items()))}, FILE)
    assert both.segments[0].fingerprint == alone.segments[0].fingerprint
    assert (both.fingerprint, fingerprints(both)) == (turned.fingerprint, fingerprints(turned))
    assert both.fingerprint != alone.fingerprint
    assert len({alone.segments[0].fingerprint, of(CART)}) == 2


DIFFERENT: list[Form] = [
    CART, {"cart": {"idle_for": "30m"}}, {"cart": {"idle_for": "31m"}}, {"cart": {"until": "30m"}},
    {"cart": {"idle_for": "30m", "until": "1d"}}, {"cart": {"idle_for": "30m", "until": "2d"}},
    {"performed": {"event": "page"}}, {"performed": {"event": "pages"}}, {"performed": {"event": ["page", "pages"]}},
    {"performed": {"event": "page", "within": "1d"}}, {"performed": {"event": "page", "within": "2d"}},
    counts({"at_least": 2}), counts({"at_most": 2}), counts({"exactly": 2}), counts({"at_least": 1, "at_most": 2}),
    {"sessions": {"count": 2, "within": "1d"}}, {"sessions": {"count": 3, "within": "1d"}},
    {"sessions": {"count": 2, "within": "2d"}}, {"sessions": {"count": 2, "within": "1d", "gap": "31m"}},
    {"all": [CART]}, {"any": [CART]}, {"not": [CART]}, {"all": [CART, CART]}, {"not": {"not": CART}},
]  # fmt: skip


def test_whatever_decides_shows_in_the_fingerprint() -> None:
    """Any two windows, counts, names and kinds have different fingerprints."""
    assert len({of(when) for when in DIFFERENT}) == len(DIFFERENT)


def test_a_fingerprint_is_twelve_hexadecimal_digits() -> None:
    """Each segment has such a fingerprint, and so has the whole file."""
    definitions = built_in()
    for text in (definitions.fingerprint, *(segment.fingerprint for segment in definitions.segments)):
        assert len(text) == 12
        assert set(text) <= set("0123456789abcdef")


def rewritten(when: Form, rng: random.Random) -> Form:
    """A condition in other words, chosen at random, with the same meaning."""
    ((kind, form),) = when.items()
    if kind in ("all", "any", "not"):
        members = [rewritten(member, rng) for member in (form if isinstance(form, list) else [form])]
        return {kind: members[0] if kind == "not" and len(members) == 1 and rng.random() < 0.5 else members}
    return {kind: REWRITE[kind](dict(form), rng)}


def rewritten_performed(form: Form, rng: random.Random) -> Form:
    old = {new: name for name, new in oracle.OLD_NAMES.items()} | {"page": "screen"}
    names = form["event"] if isinstance(form["event"], list) else [form["event"]]
    names = [rng.choice((name, old.get(name, name))) for name in rng.sample(names, len(names))]
    form["event"] = names[0] if len(names) == 1 and rng.random() < 0.5 else names
    form["count"] = rewritten_count(form.get("count", {"at_least": 1}), rng)
    return rewritten_times(form, rng)


def rewritten_sessions(form: Form, rng: random.Random) -> Form:
    form = {"gap": "30m", **form} if rng.random() < 0.5 else form
    return rewritten_times(form | {"count": rewritten_count(form["count"], rng)}, rng)


def rewritten_count(count: Form, rng: random.Random) -> object:
    low, high = count.get("exactly", count.get("at_least", 0)), count.get("exactly", count.get("at_most"))
    if high is None:
        return {"at_least": low}
    spelled: list[object] = [{"at_most": high, "at_least": low}]
    if low == high:
        spelled += [{"exactly": low}, low]
    return rng.choice(spelled)


def rewritten_times(form: Form, rng: random.Random) -> Form:
    """A condition's times in other units, with the keys in another order."""
    units = {"1d": "24h", "30d": "720h", "1h": "60m", "30m": "1800s", "1m": "60s", "10s": "10000ms"}
    turned = {key: units.get(value, value) if isinstance(value, str) and key != "event" else value
              for key, value in form.items()}  # fmt: skip
    return dict(rng.sample(list(turned.items()), len(turned)))


REWRITE: dict[str, Callable[[Form, random.Random], Form]] = {
    "performed": rewritten_performed,
    "sessions": rewritten_sessions,
    "cart": rewritten_times,
}


def changed(when: Form, rng: random.Random) -> Form:
    """Another condition: one number, name or window of it is different."""
    ((kind, form),) = when.items()
    if kind in ("all", "any", "not"):
        members = list(form if isinstance(form, list) else [form])
        index = rng.randrange(len(members))
        members[index] = changed(members[index], rng)
        return {kind: members}
    key = rng.choice([key for key in form if key != "count"] or ["idle_for"])
    names = form[key] if key == "event" and isinstance(form[key], list) else [form.get(key)]
    return {kind: {**form, key: [*names, "Another Event"] if key == "event" else another_time(key, form)}}


def another_time(key: str, form: Form) -> str:
    """A time that is a second longer; but an idle time stays shorter than what follows it."""
    return "1ms" if key == "idle_for" else f"{oracle.duration_ms(form[key]) // 1000 + 1}s"


def kinds_of(definitions: oracle.Json) -> set[str]:
    """The conditions and keys of a file, those of the short forms included."""
    text = json.dumps(definitions)
    language = (
        "total", "ratio", "last", "first", "newest", "overdue", "score", "sequence", "trait", "context", "in_segment",
        "calendar", "sample", "where", "on", "weekday", "hours", "hold", "bands", "stage", "value", "items", "has",
    )  # fmt: skip
    return {name for name in language if f'"{name}": ' in text}


def test_random_definitions_in_other_words() -> None:
    """Rewritten segments keep their fingerprints; with one thing changed, that segment's is another."""
    compared = 0
    for seed in range(3_000):
        rng = random.Random(seed)
        definitions = histories.random_definitions(rng)
        if not kinds_of(definitions) <= set(REWRITE):
            continue
        compared += 1
        whens = {key: dict(when) for key, when in oracle.conditions_of(definitions).items()}
        expected = build(definitions, FILE)
        segments = {key: {"when": rewritten(when, rng), "title": "T"} for key, when in reversed(whens.items())}
        actual = build({**definitions, "segments": segments}, FILE)
        assert fingerprints(actual) == fingerprints(expected), f"seed {seed}: {json.dumps(segments)}"
        assert actual.fingerprint == expected.fingerprint
        chosen = rng.choice(list(whens))
        other = segments | {chosen: {"title": "T", "when": changed(whens[chosen], rng)}}
        after = dict(fingerprints(build({**definitions, "segments": other}, FILE)))
        differing = [key for key, fingerprint in fingerprints(expected) if after[key] != fingerprint]
        assert differing == [chosen], f"seed {seed}: {json.dumps(other[chosen])}"
    assert compared >= 50


def test_windows_may_be_named_by_any_unit() -> None:
    """A window may be of milliseconds to days, up to a year and more."""
    for text, ms in (("1ms", 1), ("90s", 90_000), ("30m", 30 * MINUTE_MS), ("24h", DAY_MS), ("365d", 365 * DAY_MS)):
        (segment,) = build(performed(within=text), FILE).segments
        assert getattr(segment.when, "within") == ms  # noqa: B009 - mypy knows only the protocol


def test_currency_is_a_code_and_decides() -> None:
    """A top-level currency is part of what decides; a wrong one is refused with the right form."""
    plain, with_currency = with_when(CART), with_when(CART) | {"currency": "EUR"}
    assert build(plain, "f").fingerprint != build(with_currency, "f").fingerprint
    (problem,) = problems(with_when(CART) | {"currency": "euro"})
    assert problem.startswith("currency: ")
    assert "such as EUR" in problem


def test_order_of_the_file_decides_nothing() -> None:
    """Two segments that change places keep their fingerprints and their places in a stored profile."""
    segments = {
        name: {"title": name, "when": {"performed": {"event": event}}}
        for name, event in (("a", "Signed Up"), ("b", "Trial Started"))
    }
    turned = dict(reversed(segments.items()))
    definitions, other = (build({"version": 1, "segments": ordered}, "f") for ordered in (segments, turned))
    assert definitions.fingerprint == other.fingerprint
    assert definitions.facts.with_segments() == other.facts.with_segments()
