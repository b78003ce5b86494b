"""Conditions in words: for each kind, which message is said and what stands in it.

The one rule: what was seen comes first, what was asked beside it. Where the two together do not
show whether the condition holds, the words say it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from rules.conditions.calendars import WEEKDAYS
from rules.context import ATTRIBUTES
from rules.events import MONEY
from rules.reasons import Observed, Reason, StepAsked
from rules.sentences import value_tests
from rules.sentences.language import LISTED_MAX, Language
from rules.value_tests import Shown

_NOTHING = Observed()
_SESSION_GAP = "30m"  # of whoever asks for none (`rules.definitions.forms`); only another one is told


def _beside(lang: Language, seen: str, asked: str) -> str:
    """What was asked beside what was seen, for which see it together is enough."""
    return lang.say("beside", seen=seen, asked=asked) if asked else seen


def _judged(lang: Language, reason: Reason, seen: str, asked: str) -> str:
    """The same, where only the answer tells whether they agree."""
    return lang.say("beside" if reason.holds else "in_vain", seen=seen, asked=asked)


def _window(lang: Language, within: str | None, ever: str = "ever") -> str:
    return lang.duration(within, "window") if within else lang.say(ever)


def _events(lang: Language, asked: Reason | StepAsked, cut: Mapping[str, int] | None, place: str = "") -> str:
    """The events, and what their properties must be; ``cut`` and ``place``: as in `value_tests.properties`."""
    events = lang.events(asked.event)
    if not asked.where:
        return events
    return lang.say("where", event=events, tests=value_tests.properties(lang, asked.where, cut, f"{place}/where"))


# --- counts and totals


def _performed(lang: Language, reason: Reason) -> str:
    observed, window = reason.observed or _NOTHING, _window(lang, reason.within)
    count = lang.say("or_more" if observed.or_more else "count", count=lang.number(observed.count or 0))
    key = "performed" if observed.count else "not_performed"
    seen = lang.say(key, count=count, event=_events(lang, reason, reason.cut), window=window)
    return _beside(lang, seen, lang.say("times", range=value_tests.numbers(lang, reason.test or {})))


def _sessions(lang: Language, reason: Reason) -> str:
    count = (reason.observed or _NOTHING).count or 0
    key = "sessions" if count else "no_sessions"
    seen = lang.say(key, count, count=lang.number(count), window=_window(lang, reason.within))
    asked = value_tests.numbers(lang, reason.test or {})
    if reason.gap and reason.gap != _SESSION_GAP:
        asked = lang.say("apart", range=asked, gap=lang.duration(reason.gap))
    return _beside(lang, seen, asked)


def _total(lang: Language, reason: Reason) -> str:
    value, distinct = (reason.observed or _NOTHING).value, reason.agg == "distinct"
    money = reason.of in MONEY and not distinct
    of, event = lang.name(reason.of), _events(lang, reason, reason.cut)
    window = _window(lang, reason.within, "so_far")
    written = "" if value is None else lang.amount(value) if money else lang.number(value)
    if distinct:
        seen = lang.say("distinct_values", value or 0, value=written, of=of, event=event, window=window)
    elif value is None:
        agg = lang.say(reason.agg or "", of=of)
        seen = lang.say("total_of_nothing", agg=agg, of=of, event=event, window=window)
    else:
        seen = lang.say("total", agg=lang.say(reason.agg or "", of=of), event=event, window=window, value=written)
    return _beside(lang, seen, value_tests.numbers(lang, reason.test or {}, money=money))


# --- moments and sequences


def _moment(lang: Language, reason: Reason) -> str:
    observed, test = reason.observed or _NOTHING, (reason.test or {}).get("ago") or {}
    at, event = observed.first_at or observed.last_at, _events(lang, reason, reason.cut)
    asked = value_tests.ago(lang, test) if test else lang.say("any_time")
    if at is None:
        return _beside(lang, lang.say("never", event=event), asked)
    seen = lang.say(reason.condition or "", event=event, at=lang.name(at))
    if not reason.holds and reason.until is not None:
        seen = lang.say("too_new", seen=seen, time=lang.duration(test.get("at_least")))
    elif not reason.holds:
        seen = lang.say("too_old", seen=seen, time=lang.duration(test.get("at_most")))
    return _beside(lang, seen, asked)


def _sequence(lang: Language, reason: Reason) -> str:
    steps = lang.say("then").join(
        _events(lang, step, reason.cut, f"/steps/{index}") for index, step in enumerate(reason.steps or ())
    )
    if reason.same is not None:
        steps = lang.say("same", steps=steps, of=lang.name(reason.same))
    begun = (reason.observed or _NOTHING).first_at
    if begun is None:
        seen = lang.say("not_in_order", steps=steps)
    else:
        seen = lang.say("begun", steps=steps, at=lang.name(begun))
    if begun is not None and not reason.holds:
        seen = lang.say("too_old", seen=seen, time=lang.duration(reason.within))
    asked = lang.duration(reason.within, "all_within") if reason.within else lang.say("any_time")
    return _beside(lang, seen, asked)


# --- the cart


def _cart(lang: Language, reason: Reason) -> str:
    observed, test = reason.observed or _NOTHING, reason.test or {}
    if not observed.items:
        seen = lang.say("empty_cart" if observed.last_at else "no_cart")
        return _beside(lang, seen, _cart_asked(lang, test))
    slots = {"holds": _contents(lang, observed), "at": lang.name(observed.last_at)}
    contents = {name: test[name] for name in ("items", "value", "stage") if name in test}
    if not reason.holds and reason.until is None and contents:
        # Either it is not what was asked for, or its time is over, or both.
        return _judged(lang, reason, lang.say("touched_cart", **slots), _cart_asked(lang, test))
    if reason.holds and "idle_for" not in test:
        seen = lang.say("touched_cart", **slots)
    elif reason.holds:
        seen = lang.say("quiet_cart", time=lang.duration(test["idle_for"]), **slots)
    elif reason.until is not None:
        seen = lang.say("busy_cart", time=lang.duration(test.get("idle_for")), **slots)
    else:
        seen = lang.say("forgotten_cart", time=lang.duration(test.get("until")), **slots)
    return _beside(lang, seen, _cart_asked(lang, contents))


def _contents(lang: Language, observed: Observed) -> str:
    items = observed.items or 0
    told = lang.say("items", items, count=lang.number(items))
    if observed.value is not None:
        told = lang.say("worth", items=told, value=lang.amount(observed.value))
    holds = lang.say("holds", items=told)
    return holds if observed.stage is None else lang.say(f"holds_at_{observed.stage}", holds=holds)


def _cart_asked(lang: Language, test: Mapping[str, Shown]) -> str:
    asked = [lang.say(name, time=lang.duration(test[name])) for name in ("idle_for", "until") if name in test]
    if "items" in test:
        asked.append(lang.say("items_asked", range=value_tests.numbers(lang, test["items"], between="and")))
    if "value" in test:
        asked.append(lang.say("worth_asked", range=value_tests.numbers(lang, test["value"], money=True, between="and")))
    if "stage" in test:
        asked.append(lang.say(f"at_{test['stage']}"))
    return lang.say("comma").join(asked)


# --- people


def _trait(lang: Language, reason: Reason) -> str:
    seen = _known(lang, reason, "trait", {})
    return _judged(lang, reason, seen, value_tests.properties(lang, reason.test or {}, reason.cut, "/test"))


def _context(lang: Language, reason: Reason) -> str:
    names = {name: lang.attributes[name] for name in ATTRIBUTES}
    seen = _known(lang, reason, f"{reason.touch}_touch", names)
    return _judged(lang, reason, seen, value_tests.properties(lang, reason.test or {}, reason.cut, "/test", names))


def _known(lang: Language, reason: Reason, key: str, names: Mapping[str, str]) -> str:
    """What is known of each trait or attribute."""
    told = []
    values = (reason.observed or _NOTHING).values or {}
    for name, value in islice(values.items(), LISTED_MAX):
        known = lang.say(key, name=names.get(name) or lang.name(name))
        told.append(
            lang.say("not_known", name=known)
            if value is None
            else lang.say("known", name=known, value=lang.quoted(value))
        )
    return lang.listed("semicolon", told, len(values))


def _in_segment(lang: Language, reason: Reason) -> str:
    segment, since = lang.name(reason.segment), (reason.observed or _NOTHING).since
    if not reason.holds:
        return _beside(lang, lang.say("not_in_segment", segment=segment), lang.say("in_it"))
    return lang.say("in_segment", segment=segment, since=lang.name(since))


def _sample(lang: Language, reason: Reason) -> str:
    test = reason.test or {}
    sample = lang.say("sample", percent=lang.number(test.get("percent", 0)))
    if test.get("salt"):
        sample = lang.say("salted", sample=sample, salt=lang.quoted(test["salt"]))
    if not reason.holds:
        return _beside(lang, lang.say("outside", sample=sample), lang.say("inside_asked"))
    return lang.say("inside", sample=sample)


# --- the calendar


def _calendar(lang: Language, reason: Reason) -> str:
    test, written = reason.test or {}, (reason.observed or _NOTHING).date or ""
    calendar, weekdays = test.get("calendar", "gregorian"), test.get("weekday", ())
    day = lang.day(written, calendar, with_weekday=bool(weekdays))
    seen = lang.say("calendar", day=day, timezone=lang.name(test.get("timezone", "UTC")))
    asked = []
    if len(test.get("between", ())) == 2:  # of a reason that was cut there may be less
        first, last = (lang.month_day(one, calendar) for one in test["between"])
        asked.append(lang.say("between", first=first, last=last))
    if weekdays:
        names = lang.say("or").join(lang.weekdays[WEEKDAYS.index(one)] for one in weekdays)
        asked.append(lang.say("on_weekdays", days=names))
    return _judged(lang, reason, seen, lang.say("comma").join(asked))


PHRASES: Mapping[str, Callable[[Language, Reason], str]] = {
    "performed": _performed,
    "total": _total,
    "last": _moment,
    "first": _moment,
    "sequence": _sequence,
    "cart": _cart,
    "sessions": _sessions,
    "trait": _trait,
    "context": _context,
    "in_segment": _in_segment,
    "calendar": _calendar,
    "merged": lambda lang, _: lang.say("merged"),
    "removed": lambda lang, _: lang.say("removed"),
    "sample": _sample,
}
