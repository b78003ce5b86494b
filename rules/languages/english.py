"""The messages, units and names of days in English.

A message states only what its slots have. A pair is for one and for several.

See also `rules.sentences.reason_tree` and `rules.sentences.phrases`, which build a sentence of them.
"""

from __future__ import annotations

from rules.context import ATTRIBUTES
from rules.languages.language import Language, SentenceTemplate, Unit

_GROUPS: dict[str, SentenceTemplate] = {
    "merged": "the customer is known under another id since",
    "removed": "this segment is no longer defined",
    "erased": "everything known of the customer was erased",
    "all": " and ",
    "any": " or ",
    "none": "none of these met, as asked: {members}",
    "none_in_vain": "at least one of these met, though none may be: {members}",
    "not": "not met, as asked: {members}",
    "not_in_vain": "met, though it must not be: {members}",
    "enclosed": "({words})",
    "shortened": "{words} (shortened)",
    "beside": "{observed} (asked: {test})",
    "in_vain": "{observed} (asked, not met: {test})",
    "comma": ", ",
    "ends": ", ",
    "semicolon": "; ",
    "and": " and ",
    "or": " or ",
}

_TESTS: dict[str, SentenceTemplate] = {
    "at_least": "at least {number}",
    "at_most": "at most {number}",
    "exactly": "exactly {number}",
    "above": "above {number}",
    "below": "below {number}",
    "more_than": "more than {number}",
    "less_than": "less than {number}",
    "ago": "{time} ago",
    "any_time": "at any time",
    "is": "{name} is {value}",
    "is_not": "{name} is not {value}",
    "is_in_range": "{name} is {range}",
    "in": "{name} is one of {values}",
    "not_in": "{name} is none of {values}",
    "and_more": "{values} and {count} more",
    "contains": "{name} contains {value}",
    "not_contains": "{name} does not contain {value}",
    "starts_with": "{name} starts with {value}",
    "ends_with": "{name} ends with {value}",
    "matches": "{name} matches {value}",
    "exact": "{name} is exactly {value}",
    "exists": "{name} is present",
    "absent": "{name} is absent",
    "age": "the age by {name} is {age}",
    "before": "{name} is before {date}",
    "after": "{name} is {date} or later",
    "ahead": "{name} lies {range} ahead",
    "anniversary_today": "the anniversary of {name} is today",
    "anniversary_within_next": "the anniversary of {name} is today or begins within {time}",
    "anniversary_within_last": "the anniversary of {name} began less than {time} ago",
    "in_zone": "{words} in {zone}",
    "name": "{text}",
    "event": "{text}",
    "quoted": "“{text}”",
    "where": "{event} (where {tests})",
}

_TIMES: dict[str, SentenceTemplate] = {
    "duration": "{number} {unit}",
    "window": "within {number} {unit}",
    "between_ago": "between {first} and {last} ago",
    "ever": "ever",
    "so_far": "so far",
    "too_new": "{observed}, less than {time} ago",
    "too_old": "{observed}, {time} ago or longer",
}

_DAYS: dict[str, SentenceTemplate] = {
    "month_day": "{day} {month}",
    "date": "{day} {year}",
    "weekday_date": "{weekday} {date}",
    "timed": "{event} ({times})",
    "on_day": "on {day}",
    "on_days": "from {day} to {last}",
    "from_day": "since {day}",
    "until_day": "up to {day}",
    "on_the_weekdays": "on {days}",
    "at_hours": "between {first} and {last}",
}

COMMON = Language(
    messages=_GROUPS | _TESTS | _TIMES | _DAYS,
    units={
        "ms": Unit("millisecond", "milliseconds", ""),
        "s": Unit("second", "seconds", ""),
        "m": Unit("minute", "minutes", ""),
        "h": Unit("hour", "hours", ""),
        "d": Unit("day", "days", ""),
        "y": Unit("year", "years", ""),
    },
    months={
        "gregorian": (
            "January", "February", "March", "April", "May", "June",
            "July", "August", "September", "October", "November", "December",
        ),
        "jalali": (
            "Farvardin", "Ordibehesht", "Khordad", "Tir", "Mordad", "Shahrivar",
            "Mehr", "Aban", "Azar", "Dey", "Bahman", "Esfand",
        ),
    },
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    attributes={name: name for name in ATTRIBUTES} | {"os": "operating system", "timezone": "time zone"},
    quotes="“”",
    isolates=False,
    digits={},
)  # fmt: skip
