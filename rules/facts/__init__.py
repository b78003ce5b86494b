"""Facts: what is remembered of a customer's events so that conditions can be decided.

A fact knows the event names that change it and says whether an event changed anything that decides, so that an event
costs only what depends on it. `rules.facts.base` says what a kind of fact brings along, and how to add one.
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
