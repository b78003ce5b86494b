"""One mutant: a guard of the source, switched off."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A guard, its place, and the text without it. ``tests``: those that must fail; else the simulation must."""

    guard: str
    path: str
    right: str
    wrong: str
    tests: str = ""
