"""The values of a triggers file: durations, times of day, time zones, locales and tests, each as a person writes it.

See also: `streams.triggers.config`, the whole file.
"""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from rules.event_names import reserved_name
from rules.forms import value_test_parsing
from rules.times import DAY_MS, DURATION_FORM
from streams.triggers import locales, trait_tests

KEY = r"^[a-z][a-z0-9_]{0,63}$"
# Former messages of a customer are stored for this long, so no cap and no cool-down can be longer.
LOOK_BACK_MAX_MS = 366 * DAY_MS


def _zone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected the name of a time zone such as Asia/Tehran")  # noqa: TRY004 (pydantic reports it)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is not a time zone; write a name such as Asia/Tehran") from None
    return value


def _delay(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else value_test_parsing.duration(value)


def _within_look_back(value: int) -> int:
    if value > LOOK_BACK_MAX_MS:
        raise ValueError(f"is longer than {LOOK_BACK_MAX_MS // DAY_MS}d, which is how long former messages are kept")
    return value


def _clock_time(value: object) -> time:
    # YAML 1.1 reads 22:00 without quotes as a number in base 60.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    if isinstance(value, str) and len(value) == 5 and value[2] == ":":
        try:
            return time.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a time of day; write it as '22:00'")


def _event_names(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    texts = [name for name in names if isinstance(name, str) and name.strip()]
    if not texts or len(texts) < len(names):
        raise ValueError(f"{value!r} is not an event; write a name such as Order Completed, or a list of names")
    return tuple(sorted({reserved_name(name) or name for name in texts}))


# Types of the file's values: each is written as text (`WithJsonSchema`) and read into milliseconds, a time or a test.
TriggerDuration = Annotated[
    int,
    BeforeValidator(value_test_parsing.duration),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$", "description": DURATION_FORM}),
]
# A duration that is compared with former messages.
LookBackDuration = Annotated[TriggerDuration, AfterValidator(_within_look_back)]
Delay = Annotated[
    int,
    BeforeValidator(_delay),
    WithJsonSchema({"anyOf": [{"const": 0}, {"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$"}]}),
]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Tehran"]})]
LocaleName = Annotated[
    str, BeforeValidator(locales.name), WithJsonSchema({"type": "string", "examples": ["de_DE", "fa_IR"]})
]
ClockTime = Annotated[
    time,
    BeforeValidator(_clock_time),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-2][0-9]:[0-5][0-9]$", "examples": ["22:00"]}),
]
GoalEvents = Annotated[
    tuple[str, ...],
    BeforeValidator(_event_names),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}}]}),
]
TestedTrait = Annotated[
    Any,
    BeforeValidator(trait_tests.parse),
    WithJsonSchema({
        "type": ["string", "number", "boolean", "object"],
        "description": "as a test of a trait in segments, also of its age",
    }),
]  # fmt: skip
