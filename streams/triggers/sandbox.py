"""The environment in which templates run: Jinja's sandbox, with bounds on the size of what an expression gives.

The shop's own people write templates, but a template may use a trait that a customer sends:
`{{ "*" * contact.stars|int }}`. Without bounds a customer would choose how much memory and time a message takes, and
every message of the process would wait for it.

See also: `streams.triggers.templates`, which compiles templates in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import StrictUndefined, Template
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from streams.triggers.locales import FILTERS

TEXT_MAX_CHARS: Final = 256 * 1024
# The largest column width, indentation or number of groups.
WIDTH_MAX: Final = 1_000
# The most numbers that all ranges of one rendering give together.
STEPS_MAX: Final = 100_000
_POWER_MAX_BITS: Final = 4_096

_SIZED_FILTERS: Final = ("batch", "center", "indent", "slice")
_SIZED_METHODS: Final = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
# A width or a precision that is taken from a value, or has more than three digits.
_WIDE_PERCENT: Final = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?:\*|\d{4}|\d*\.(?:\*|\d{4}))")
_WIDE_FIELD: Final = re.compile(r"\{[^{}]*:[^{}]*(?:\{|\d{4})")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which sizes are bounded, and a name that does not exist is an error."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=StrictUndefined, **options)
        self.filters.update(FILTERS)
        del self.globals["lipsum"]  # a template could fill the memory with it, as it returns text of any length
        for name in _SIZED_FILTERS:
            self.filters[name] = _checked(self.filters[name], _check_widths)
        self.filters["format"] = _checked(self.filters["format"], _check_percent)
        self.filters["replace"] = _checked(self.filters["replace"], _check_replace_filter)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply one of `intercepted_binops`. Raises `SecurityError` where the result would be too large."""
        if operator == "*":
            _check_product(left, right)
        elif operator == "**":
            _check_power(left, right)
        else:
            _check_percent(left)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, callee: Any, *arguments: Any, **named: Any) -> Any:
        """Call a function or method for a template. Raises `SecurityError` where the result would be too large."""
        text = getattr(callee, "__self__", None)
        if isinstance(text, str) and callee.__name__ in _SIZED_METHODS:
            _check_widths(text, *arguments, **named)
        if isinstance(text, str) and callee.__name__ == "replace":
            _check_replacement(text, *arguments)
        return super().call(context, callee, *arguments, **named)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Make a text's `format` safe. Raises `SecurityError`."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and _WIDE_FIELD.search(value.__self__):
            raise SecurityError("a field of a format is too wide")
        return wrapped


class TooLong(Exception):
    """The rendered text is longer than a message may be."""


def rendered(template: Template, context: Mapping[str, Any]) -> str:
    """Render a template in parts, so that one that never ends is noticed. Raises what the template raises."""
    parts, length = [], 0
    for part in template.generate({**context, "range": RangeBudget().range}):
        parts.append(part)
        length += len(part)
        if length > TEXT_MAX_CHARS:
            raise TooLong(f"longer than {TEXT_MAX_CHARS:,} characters")
    return "".join(parts)


class RangeBudget:
    """Counts the numbers that all ranges of one rendering give together, as loops may be nested."""

    def __init__(self) -> None:
        self._left = STEPS_MAX

    def range(self, *bounds: int) -> range:
        """Python's `range` for a template. Raises `SecurityError`."""
        numbers = range(*bounds)
        self._left -= len(numbers)
        if self._left < 0:
            raise SecurityError(f"the ranges of a template give more than {STEPS_MAX:,} numbers")
        return numbers


def _check_product(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if hasattr(sequence, "__len__") and isinstance(times, int) and len(sequence) * times > TEXT_MAX_CHARS:
            raise SecurityError(f"a product is longer than {TEXT_MAX_CHARS:,}")


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _POWER_MAX_BITS:
        raise SecurityError("a power is too large")


def _check_percent(text: Any, *_: Any, **__: Any) -> None:
    if isinstance(text, str) and _WIDE_PERCENT.search(text):
        raise SecurityError("a field of a format is too wide")


def _check_widths(_: Any, *arguments: Any, **named: Any) -> None:
    if any(isinstance(argument, int) and argument > WIDTH_MAX for argument in (*arguments, *named.values())):
        raise SecurityError(f"a width is more than {WIDTH_MAX:,}")


def _check_replace_filter(_: Any, text: Any, old: Any, new: Any, count: int | None = None) -> None:
    _check_replacement(text, old, new, count)


def _check_replacement(text: Any, old: Any, new: Any, *_: Any) -> None:
    if str(text).count(str(old)) * len(str(new)) > TEXT_MAX_CHARS:
        raise SecurityError(f"a replacement is longer than {TEXT_MAX_CHARS:,}")


def _checked(unchecked: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    """A filter whose arguments are checked first."""

    @wraps(unchecked)
    def checked(*arguments: Any, **named: Any) -> Any:
        check(*arguments, **named)
        return unchecked(*arguments, **named)

    return checked
