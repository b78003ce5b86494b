"""The kinds of fact that definitions ask for, each bound to its place in the profile.

The one rule: a fact knows the event names that change it and says whether an event changed
anything that decides, so that an event costs only what depends on it.
"""

from rules.facts.happened import (
    DISTINCT_MAX,
    DistinctFact,
    ExtremeFact,
    FirstFact,
    OccurrenceFact,
    StepFact,
    SumFact,
)
from rules.facts.picked import Picked, Reading
from rules.facts.shop import CartFact, OrderFact, SessionFact
from rules.facts.told import TouchFact, TraitFact

__all__ = [
    "DISTINCT_MAX", "CartFact", "DistinctFact", "ExtremeFact", "FirstFact", "OccurrenceFact", "OrderFact", "Picked",
    "Reading", "SessionFact", "StepFact", "SumFact", "TouchFact", "TraitFact",
]  # fmt: skip
