"""Conditions: frozen predicates over a customer at an instant.

The one rule: `decide` is a pure function of (profile, membership, now), where no fact of the
profile is later than now. It gives whether the condition holds and the earliest later instant at
which time alone may turn that, `NEVER` when only an event can.

| condition    | holds                                                    | turned by time                    |
|--------------|----------------------------------------------------------|-----------------------------------|
| `all`        | every member holds                                       | by the first member to fail       |
| `any`        | a member holds                                           | by the first member to hold       |
| `not`        | no member holds                                          | as `any`                          |
| `performed`  | the count in (now - within, now] fits                    | when a fact leaves the window     |
| `total`      | the aggregate over the window is in the range            | when a contribution leaves it     |
| `last`       | the newest was so long ago                               | at both ends                      |
| `first`      | the earliest was so long ago                             | at both ends                      |
| `sequence`   | the steps followed one another within the window         | when the latest start leaves it   |
| `cart`       | not empty and as asked, now in [idle_for, until) after   | at both ends                      |
| `sessions`   | the count of sessions begun in the window fits           | when a start leaves the window    |
| `trait`      | the newest value meets the test                          | where it is an age: at both ends  |
| `context`    | the first or last value meets the test                   | never                             |
| `in_segment` | the customer is in that segment                          | never: that one's turn decides it |
| `calendar`   | the local day is one of these                            | at a local midnight               |
| `sample`     | the customer's hash is below the share                   | never                             |

To add a condition: its class here, its form in `rules.definitions.forms`, its reading in a ``parse_`` module of
`rules.definitions`, and, for its sentence, `rules.sentences.phrases` with the languages. A new kind of fact stands in
`rules.facts`.
"""

from rules.conditions.attributes import ContextIs, ContextTest, InSegment, Sample, TraitIs, TraitTest, Years
from rules.conditions.base import NEVER, Condition, CustomerView, Decision, due_at, holds
from rules.conditions.boolean import AllOf, AnyOf, NoneOf
from rules.conditions.calendars import CalendarDays
from rules.conditions.cart import OpenCart
from rules.conditions.counts import Count, Performed, SessionCount
from rules.conditions.recency import Ago, Recency
from rules.conditions.sequences import SequenceMatched, SequenceStep
from rules.conditions.totals import Total

__all__ = [
    "NEVER",
    "Ago",
    "AllOf",
    "AnyOf",
    "CalendarDays",
    "Condition",
    "ContextIs",
    "ContextTest",
    "Count",
    "CustomerView",
    "Decision",
    "InSegment",
    "NoneOf",
    "OpenCart",
    "Performed",
    "Recency",
    "Sample",
    "SequenceMatched",
    "SequenceStep",
    "SessionCount",
    "Total",
    "TraitIs",
    "TraitTest",
    "Years",
    "due_at",
    "holds",
]  # fmt: skip
