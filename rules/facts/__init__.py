"""Facts: the parts of a customer's events that are stored so that conditions can be decided.

A fact knows the event names that change it, and its `apply` tells whether a decision may now be another, so that an
event costs only what depends on it. See also `rules.facts.base` for the parts of a kind of fact, and how to add one.
"""

from rules.facts.attribute_facts import TouchFact, TraitFact
from rules.facts.carts import CartFact
from rules.facts.contributions import DISTINCT_MAX, DistinctFact, ExtremeFact, SumFact
from rules.facts.occurrences import FirstFact, OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter, PropertyReader
from rules.facts.sessions import SessionFact
from rules.facts.steps import StepFact

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
