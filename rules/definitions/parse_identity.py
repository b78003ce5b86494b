"""Reads the part of a segments file that lists texts which are no ids."""

from __future__ import annotations

from typing import cast

from rules.forms.problems import Problems
from rules.placeholders import ADDED_MAX, ADDED_MAX_CHARS


def added_placeholders(problems: Problems, given: object) -> list[str]:
    """The texts that a file adds to the placeholders, sorted."""
    if given is None:
        return []
    usable = isinstance(given, list) and all(
        isinstance(text, str) and text.strip() and len(text) <= ADDED_MAX_CHARS for text in given
    )
    if not usable or len(cast(list[str], given)) > ADDED_MAX:
        problems.note(
            "placeholders",
            f"expected at most {ADDED_MAX} texts that are no ids, such as [visitor], each of up to {ADDED_MAX_CHARS}"
            " characters",
        )
        return []
    return sorted(set(cast(list[str], given)))
