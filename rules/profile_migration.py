"""Migrates a profile: what was remembered under a former file, in the places where the next file has it.

    file 1    remembers the newest 3 orders, the trait "plan"
    file 2    remembers the sum of all orders ever, the trait "plan" with another test
    ann       orders: copied; the trait: copied, its test answered by the text that is stored
    short     the sum starts with the orders that file 1 remembered, so its segment lacks history for good

The one rule: only what was remembered is carried over, and `missing_history` says of what else it makes a difference,
and for how long. `tests/simulation/test_definition_migration.py` compares both with a replay of all events.

See also: `rules.facts.base`, as each kind of fact says itself how it is carried over and when its history is missing.
"""

from __future__ import annotations

from rules.facts.base import Carry, Window
from rules.facts.registry import FactRegistry


def carrying(before: FactRegistry, now: FactRegistry) -> list[Carry]:
    """What copies a profile of the former file into an empty one of the next file, fact by fact."""
    copies = [fact.carrying(before.by_key) for fact in now.by_key.values()]
    return [carry for carry in copies if carry is not None]


def missing_history(before: FactRegistry, now: FactRegistry) -> Window | bool:
    """How long (ms) it makes a difference that the former file did not remember all that ``now`` needs.

    ``None``: for good. ``False``: it remembered all. ``now``: the facts of one segment.
    """
    answers = [fact.missing_history(before.by_key) for fact in now.by_key.values()]
    windows = [window for window in answers if window is not False]
    if not windows:
        return False
    return None if None in windows else max(window for window in windows if window is not None)
