"""The forms of a segments file: what each mapping in it may hold.

The one rule: a form checks one mapping by itself and says what would be right; how mappings fit
together is for `rules.definitions`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rules.conditions import Count
from rules.events import ALIASES
from rules.times import DURATION_FORM, MINUTE_MS, parse_duration

DEFAULT_GAP_MS = 30 * MINUTE_MS
COUNT_MAX = 1_000


def _duration(value: object) -> int:
    ms = parse_duration(value)
    if ms is None:
        raise ValueError(f"{value!r} is not a duration; write {DURATION_FORM}")
    return ms


def _event_names(value: object) -> tuple[str, ...]:
    given: list[object] = value if isinstance(value, list) else [value]
    names = [name for name in given if isinstance(name, str) and name.strip()]
    if not names or len(names) < len(given):
        raise ValueError(f"{value!r} is not an event; write a name such as Order Completed, or a list of names")
    canonical = [ALIASES.get(name, name) for name in names]
    return tuple(sorted({"page" if name == "screen" else name for name in canonical}))


Duration = Annotated[int, BeforeValidator(_duration)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _CountForm(_Form):
    at_least: int | None = Field(None, ge=0, le=COUNT_MAX)
    at_most: int | None = Field(None, ge=0, le=COUNT_MAX)
    exactly: int | None = Field(None, ge=0, le=COUNT_MAX)


def _count(value: object) -> Count:
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"exactly": value}
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{value!r} is not a count; write {{at_least: 2}}, {{at_most: 5}} or {{exactly: 1}}")
    unknown = set(value) - set(_CountForm.model_fields)
    if unknown:
        raise ValueError(
            f"unknown key {', '.join(map(str, unknown))}; known here: {', '.join(_CountForm.model_fields)}"
        )
    form = _CountForm.model_validate(value)
    if form.exactly is not None:
        if form.at_least is not None or form.at_most is not None:
            raise ValueError("exactly stands alone, without at_least and at_most")
        return Count(form.exactly, form.exactly)
    if form.at_most is not None and form.at_most < (form.at_least or 0):
        raise ValueError(f"no count is at least {form.at_least} and at most {form.at_most}")
    if form.at_most is None and not form.at_least:
        raise ValueError("every count is at least 0; write at_least: 1 or more")
    return Count(form.at_least or 0, form.at_most)


CountTest = Annotated[Count, BeforeValidator(_count)]


class _AnyForm(_Form):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class PerformedForm(_AnyForm):
    event: Annotated[tuple[str, ...], BeforeValidator(_event_names)]
    count: CountTest = Count(at_least=1)
    within: Duration | None = None


class CartForm(_Form):
    idle_for: Duration | None = None
    until: Duration | None = None


class SessionsForm(_AnyForm):
    count: CountTest
    within: Duration
    gap: Duration = DEFAULT_GAP_MS


class SegmentForm(_Form):
    title: str
    when: object = None
