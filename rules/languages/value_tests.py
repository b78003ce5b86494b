"""Writes tests of a number, a value, a property or an age in words.

Every test is in the words; of a long list or text there is only the beginning, and of a list how many more there are.

See also: `rules.value_tests` (the tests), and `rules.sentences.reason_sentence` (the sentences).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from rules.languages.language import LISTED_MAX, Language
from rules.reason_limits import pointer
from rules.value_tests import ITEM, TEST_KEYS, Shown

VALUES_MAX = 5  # a rule may list a thousand values, too many to read in a sentence

_ENDS = ("at_least", "above", "exactly", "at_most", "below")


def ends(test: Mapping[str, Shown], say: Callable[[str, Shown], str]) -> list[str]:
    """The ends of a range in words, the lower one first; equal ends are ``exactly`` that number."""
    if "at_least" in test and test["at_least"] == test.get("at_most"):
        return [say("exactly", test["at_least"])]
    return [say(name, test[name]) for name in _ENDS if name in test]


def numbers(lang: Language, test: Mapping[str, Shown], *, money: bool = False, between: str = "ends") -> str:
    """Write a range of numbers."""
    written = lang.amount if money else lang.number
    return lang.say(between).join(ends(test, lambda end, number: lang.say(end, number=written(number))))


def ago(lang: Language, test: Mapping[str, Shown]) -> str:
    """Write a time ago: at least, and less than."""
    bounds = {"at_least": "at_least", "at_most": "less_than"}
    parts = [lang.say(bounds[end], number=lang.duration(test[end])) for end in bounds if end in test]
    return lang.say("ago", time=lang.say("and").join(parts))


def properties(
    lang: Language,
    tests: Mapping[str, Shown],
    cut: Mapping[str, int] | None,
    place: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """Write tests of properties, all of which must be met.

    ``cut``: as `rules.reasons.Reason.cut`, of the node in which the tests stand at ``place``. ``names``: by which a
    reader knows the properties.
    """
    left_out, readable = cut or {}, names or {}
    tests = _with_items(tests)
    predicates = [
        predicate
        for name, test in islice(tests.items(), LISTED_MAX)
        for predicate in _predicates(lang, readable.get(name) or lang.name(name), test, left_out, place + pointer(name))
    ]
    words = lang.say("and").join(predicates)
    more = max(0, len(tests) - LISTED_MAX) + left_out.get(place, 0)
    return lang.say("and_more", values=words, count=lang.number(more)) if more else words


def _with_items(tests: Mapping[str, Shown]) -> Mapping[str, Shown]:
    """The tests of one product of an event, each under a name of its own."""
    item = tests.get(ITEM)
    if not isinstance(item, Mapping) or all(key in TEST_KEYS for key in item):
        return tests
    rest = {name: test for name, test in tests.items() if name != ITEM}
    return {**rest, **{f"{ITEM}.{name}": test for name, test in item.items()}}


def _predicates(lang: Language, name: str, test: Shown, cut: Mapping[str, int], place: str) -> list[str]:
    """One predicate for each key of a test. ``cut``: by place, how many values the reason's limit left out."""
    if not isinstance(test, Mapping):
        return [lang.say("is", name=name, value=_value(lang, test))]
    predicates = []
    range_ = ends(test, lambda end, number: lang.say(end, number=lang.number(number)))
    if range_:
        predicates.append(lang.say("is_in_range", name=name, range=lang.say("and").join(range_)))
    predicates += [
        _listed(lang, name, key, test[key], cut.get(place + pointer(key), 0)) for key in ("in", "not_in") if key in test
    ]
    texts = ("contains", "not_contains", "starts_with", "ends_with", "matches", "exact")
    predicates += [lang.say(key, name=name, value=_value(lang, test[key])) for key in texts if key in test]
    if "exists" in test:
        predicates.append(lang.say("exists" if test["exists"] else "absent", name=name))
    if "age" in test:
        predicates.append(lang.say("age", name=name, age=_age(lang, test["age"])))
    predicates += [lang.say(key, name=name, date=lang.name(test[key])) for key in ("before", "after") if key in test]
    if "ahead" in test:
        predicates.append(lang.say("ahead", name=name, range=_ahead(lang, test["ahead"])))
    if "anniversary" in test:
        predicates.append(_anniversary(lang, name, test["anniversary"]))
    return predicates


def _ahead(lang: Language, test: Mapping[str, Shown]) -> str:
    """Write how long a date lies ahead; ``at_least`` itself is no longer so long."""

    def end_words(end: str, bound: Shown) -> str:
        return lang.say("more_than" if end == "at_least" else end, number=lang.duration(bound))

    return lang.say("and").join(ends(test, end_words))


def _anniversary(lang: Language, name: str, test: Mapping[str, Shown]) -> str:
    kind = next(key for key in test if key != "timezone")
    time = "" if kind == "today" else lang.duration(test[kind])
    words = lang.say(f"anniversary_{kind}", name=name, time=time)
    return lang.say("in_zone", words=words, zone=lang.name(test["timezone"])) if "timezone" in test else words


def _value(lang: Language, value: Shown) -> str:
    if isinstance(value, bool):
        return lang.name(str(value).lower())
    return lang.number(value) if isinstance(value, int | float) else lang.quoted(value)


def _listed(lang: Language, name: str, key: str, values: Sequence[Shown], left_out: int) -> str:
    count = len(values) + left_out
    if count == 1:
        return lang.say("is" if key == "in" else "is_not", name=name, value=_value(lang, values[0]))
    first = [_value(lang, value) for value in values[:VALUES_MAX]]
    return lang.say(key, name=name, values=lang.listed("comma", first, count))


def _age(lang: Language, test: Mapping[str, Shown]) -> str:
    """Write an age: in completed years, which end with the last day of that age, or as durations."""
    if any(isinstance(bound, str) for bound in test.values()):
        test = {"below" if end == "at_most" else end: bound for end, bound in test.items()}

    def end_words(end: str, bound: Shown) -> str:
        if isinstance(bound, str):
            return lang.say("less_than" if end == "below" else end, number=lang.duration(bound))
        return lang.say(end, number=lang.measured(bound, "y"))

    return lang.say("and").join(ends(test, end_words))
