"""Migrates a profile: copies the facts of a former file to their places under the next file.

    file 1    stores the newest 3 orders, the trait "plan"
    file 2    stores the sum of all orders ever, the trait "plan" with another test
    copied    of each customer the 3 orders, and the text of the trait, which file 2 tests anew
    missing   the orders before those 3, so the segment with the sum lacks history for ever

The one rule: only stored facts are copied, and `missing_history` gives for how long the missing ones matter.
`tests/simulation/test_definition_migration.py` compares both with a replay of all events.

See also: `rules.facts.base`, as each kind of fact has its own migration, and says when its history is missing.
"""

from __future__ import annotations

from rules.facts.base import Carry, Window
from rules.facts.registry import FactRegistry


def carrying(before: FactRegistry, now: FactRegistry) -> list[Carry]:
    """The functions that copy a profile of the former file into an empty one of the next file, fact by fact."""
    copies = [fact.carrying(before.by_key) for fact in now.by_key.values()]
    return [carry for carry in copies if carry is not None]


def missing_history(before: FactRegistry, now: FactRegistry) -> Window | bool:
    """How long (ms) it matters that the former file did not store all that ``now`` needs.

    ``None``: for ever. ``False``: it stored all. ``now``: the facts of one segment.
    """
    answers = [fact.missing_history(before.by_key) for fact in now.by_key.values()]
    windows = [window for window in answers if window is not False]
    if not windows:
        return False
    return None if None in windows else max(window for window in windows if window is not None)
