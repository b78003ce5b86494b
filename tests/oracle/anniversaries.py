"""How the oracle judges a date that a trait tells, beside its age: before or after a day, ahead, or its anniversary."""

from collections.abc import Iterator
from datetime import date, timedelta

from tests.oracle.dates import birthday, local_midnight, stated_date, timezone_of, utc_day
from tests.oracle.values import Json, duration_ms, mapping

DATE_KEYS = ("before", "after", "ahead", "anniversary")
FIRST_YEAR, LAST_YEAR = date.min.year + 1, date.max.year - 1
YEAR_DAYS = timedelta(days=366)


def meets_dates(since: int, test: Json, now: int) -> bool:
    """Whether a date meets all of these keys that a test has."""
    if "before" in test and not since < instant(test["before"]):
        return False
    if "after" in test and not since >= instant(test["after"]):
        return False
    if "ahead" in test and not is_ahead(since, mapping(test["ahead"]), now):
        return False
    return "anniversary" not in test or is_anniversary(since, test["anniversary"], now)


def instant(text: object) -> int:
    moment = stated_date(text)
    assert moment is not None, f"{text} is a date of a definition"
    return moment


def is_ahead(since: int, ahead: Json, now: int) -> bool:
    is_near = "at_most" not in ahead or now >= since - duration_ms(ahead["at_most"])
    return is_near and now < since - (duration_ms(ahead["at_least"]) if "at_least" in ahead else 0)


def is_anniversary(since: int, anniversary: object, now: int) -> bool:
    return any(begin <= now < end for begin, end in spans(since, anniversary, utc_day(now), utc_day(now)))


def spans(since: int, anniversary: object, first: date, last: date) -> Iterator[tuple[int, int]]:
    """When the anniversaries are, or are near, that may count from the first day to the last."""
    form = {"today": True} if anniversary == "today" else mapping(anniversary)
    zone, born = timezone_of(form), utc_day(since)
    for year in range(
        max((first - YEAR_DAYS).year, born.year + 1, FIRST_YEAR), min((last + YEAR_DAYS).year, LAST_YEAR) + 1
    ):
        day = birthday(born, year)
        begin, end = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
        if "within_next" in form:
            yield begin - duration_ms(form["within_next"]), end
        elif "within_last" in form:
            yield begin, begin + duration_ms(form["within_last"])
        else:
            yield begin, end


def turns_of_date(since: int, test: Json, after: int, to: int) -> Iterator[int]:
    """The instants at which time may turn the answer about a date."""
    yield since
    yield from (since - duration_ms(bound) for bound in mapping(test.get("ahead", {})).values())
    if "anniversary" in test:
        for span in spans(since, test["anniversary"], utc_day(after), utc_day(to)):
            yield from span
