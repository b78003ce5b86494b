"""The kinds of fact that definitions ask for, each bound to its place in the profile.

The one rule: a fact knows the event names that change it and says whether an event changed
anything that decides, so that an event costs only what depends on it.
"""

from rules.facts.attribute_facts import TouchFact, TraitFact
from rules.facts.event_facts import (
    DISTINCT_MAX,
    DistinctFact,
    ExtremeFact,
    FirstFact,
    OccurrenceFact,
    StepFact,
    SumFact,
)
from rules.facts.selection import EventFilter, PropertyReader
from rules.facts.shop_facts import CartFact, OrderFact, SessionFact

__all__ = [
    "DISTINCT_MAX",
    "CartFact",
    "DistinctFact",
    "EventFilter",
    "ExtremeFact",
    "FirstFact",
    "OccurrenceFact",
    "OrderFact",
    "PropertyReader",
    "SessionFact",
    "StepFact",
    "SumFact",
    "TouchFact",
    "TraitFact",
]  # fmt: skip
