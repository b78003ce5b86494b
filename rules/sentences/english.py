"""The messages, units and names of days in English.

The one rule: a message says nothing that its slots do not carry. A pair is for one and for several.

See also `rules.sentences.reason_tree` and `rules.sentences.phrases`, which build a sentence of them.
"""

from __future__ import annotations

from rules.context import ATTRIBUTES
from rules.sentences.language import Language, Message, Unit

_GROUPS: dict[str, Message] = {
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
    "beside": "{seen} (asked: {asked})",
    "in_vain": "{seen} (asked, not met: {asked})",
    "comma": ", ",
    "ends": ", ",
    "semicolon": "; ",
    "and": " and ",
    "or": " or ",
}

_ASKED: dict[str, Message] = {
    "at_least": "at least {number}",
    "at_most": "at most {number}",
    "exactly": "exactly {number}",
    "above": "above {number}",
    "below": "below {number}",
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
    "matches": "{name} matches {value}",
    "exists": "{name} is present",
    "absent": "{name} is absent",
    "age": "the age by {name} is {age}",
    "name": "{text}",
    "event": "{text}",
    "quoted": "“{text}”",
    "where": "{event} (where {tests})",
}

_HAPPENED: dict[str, Message] = {
    "duration": "{number} {unit}",
    "window": "within {number} {unit}",
    "ever": "ever",
    "so_far": "so far",
    "performed": "{count} × {event} {window}",
    "not_performed": "{count} × {event} {window}",
    "count": "{count}",
    "or_more": "{count} or more",
    "times": "{range}",
    "sessions": ("{count} session {window}", "{count} sessions {window}"),
    "no_sessions": "{count} sessions {window}",
    "apart": "{range}, {gap} apart",
    "total": "the {agg} over {event} {window} is {value}",
    "total_of_nothing": "no {of} over {event} {window}, so no {agg}",
    "distinct_values": (
        "{value} different value of {of} over {event} {window}",
        "{value} different values of {of} over {event} {window}",
    ),
    "sum": "sum of {of}",
    "avg": "average {of}",
    "min": "lowest {of}",
    "max": "highest {of}",
    "first": "the first {event} was at {at}",
    "last": "the last {event} was at {at}",
    "never": "no {event} ever",
    "too_new": "{seen}, less than {time} ago",
    "too_old": "{seen}, {time} ago or longer",
    "then": ", then ",
    "same": "{steps}, of the same {of}",
    "not_in_order": "{steps}: not seen in this order",
    "begun": "{steps}: last begun at {at}",
    "all_within": "all within {number} {unit}",
}

_CART: dict[str, Message] = {
    "no_cart": "no open cart",
    "empty_cart": "the cart is empty",
    "quiet_cart": "no cart activity since {at}, for {time}; {holds}",
    "forgotten_cart": "no cart activity since {at}, for {time} or longer; {holds}",
    "busy_cart": "{holds}, touched at {at}, less than {time} ago",
    "touched_cart": "{holds}, touched at {at}",
    "items": ("{count} item", "{count} items"),
    "worth": "{items} worth {value}",
    "holds": "the cart holds {items}",
    "holds_at_cart": "{holds}, before checkout",
    "holds_at_checkout": "{holds}, at checkout",
    "idle_for": "untouched for {time}",
    "until": "touched less than {time} ago",
    "items_asked": "{range} in it",
    "worth_asked": "worth {range}",
    "at_cart": "before checkout",
    "at_checkout": "at checkout",
}

_PEOPLE: dict[str, Message] = {
    "trait": "{name}",
    "first_touch": "the first {name}",
    "last_touch": "the last {name}",
    "known": "{name} is {value}",
    "not_known": "{name} is not known",
    "in_segment": "in segment {segment} since {since}",
    "not_in_segment": "not in segment {segment}",
    "in_it": "in it",
    "sample": "the sample of {percent}%",
    "salted": "{sample} by {salt}",
    "inside": "inside {sample}",
    "outside": "outside {sample}",
    "inside_asked": "inside",
    "calendar": "the day is {day} in {timezone}",
    "month_day": "{day} {month}",
    "date": "{day} {year}",
    "weekday_date": "{weekday} {date}",
    "between": "from {first} to {last}",
    "on_weekdays": "on {days}",
}

ENGLISH = Language(
    messages=_GROUPS | _ASKED | _HAPPENED | _CART | _PEOPLE,
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
    attributes={name: name for name in ATTRIBUTES},
    quotes="“”",
    isolates=False,
    digits={},
)  # fmt: skip
