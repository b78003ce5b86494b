"""Conditions: frozen predicates over a customer at an instant.

The one rule: `decide` is a pure function of (profile, membership, now), where no fact of the
profile is later than now. It gives whether the condition holds and the earliest later instant at
which time alone may turn that, `NEVER` when only an event can.

See also: `rules.conditions.kinds`, the list of the kinds, and how to add one.
"""
