"""The order in which segments are decided: each after those that its condition names.

loyal asks about buyer, vip asks about loyal    order: buyer, loyal, vip
a asks about b, b asks about a                  no order: both are noted as problems
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.forms.problems import Problems

Named = Mapping[str, frozenset[str]]  # by key of a segment, the segments that it asks about


def closure(key: str, named: Named) -> list[str]:
    """The sorted keys of a segment and of all that its condition names, directly or through others."""
    reached, ahead = {key}, [key]
    while ahead:
        new = named[ahead.pop()] - reached
        reached |= new
        ahead += new
    return sorted(reached)


def decision_order(named: Named, problems: Problems) -> list[str]:
    """The keys by depth, then alphabetically; none after noting every cycle."""
    depths: dict[str, int] = {}
    waiting = dict(named)
    while waiting:
        ready = [key for key, others in waiting.items() if others <= depths.keys()]
        if not ready:
            for key in sorted(key for key in waiting if _asks_itself(key, named)):
                problems.note(f"segments.{key}.when", "asks, over in_segment, about itself", "a cycle decides nothing")
            return []
        level = {key: 1 + max((depths[other] for other in waiting[key]), default=-1) for key in ready}
        depths |= level
        waiting = {key: others for key, others in waiting.items() if key not in level}
    return sorted(depths, key=lambda key: (depths[key], key))


def _asks_itself(key: str, named: Named) -> bool:
    return any(key in closure(other, named) for other in named[key])
