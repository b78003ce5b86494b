"""Reads the part of a segments file that names the currency of its money."""

from __future__ import annotations

import re

from rules.forms.problems import Problems

CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def file_currency(problems: Problems, given: object) -> str | None:
    """The currency that a file names; ``None``: it names none."""
    if given is None or (isinstance(given, str) and CURRENCY.fullmatch(given)):
        return given
    problems.note("currency", f"{given!r} is not a currency; write its ISO 4217 code, such as EUR")
    return None
