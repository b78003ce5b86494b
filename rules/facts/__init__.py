"""Facts: the parts of a customer's events that are stored so that conditions can be decided.

A fact knows the event names that change it, and its `apply` tells whether a decision may now be another, so that an
event costs only what depends on it. See also `rules.facts.base` for the parts of a kind of fact, and how to add one.
"""
