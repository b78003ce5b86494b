"""Lists the kinds of conditions, in the order in which they are documented.

| condition    | holds                                                    | turned by time                    |
|--------------|----------------------------------------------------------|-----------------------------------|
| `all`        | every member holds                                       | by the first member to fail       |
| `any`        | a member holds                                           | by the first member to hold       |
| `not`        | no member holds                                          | as `any`                          |
| `performed`  | the count in (now - within, now] fits                    | when a fact enters or leaves it   |
| `total`      | the aggregate over the window is in the range            | when a contribution leaves it     |
| `ratio`      | the ratio of two totals is in the range                  | when a contribution leaves it     |
| `last`       | the newest was so long ago                               | at both ends                      |
| `first`      | the earliest was so long ago                             | at both ends                      |
| `newest`     | the newest event meets the tests                         | never                             |
| `overdue`    | nothing for so many times the mean gap between them      | when that time is over            |
| `score`      | the sum of points, halved over time, is in the range     | as they fade, to the minute       |
| `sequence`   | the steps followed one another within the window         | when the latest start leaves it   |
| `cart`       | not empty and as asked, now in [idle_for, until) after   | at both ends                      |
| `sessions`   | the count of sessions begun in the window fits           | when a start leaves the window    |
| `trait`      | the newest value meets the test                          | where it is a date: at the ends   |
| `context`    | the first or last value meets the test                   | never                             |
| `in_segment` | the customer is in that segment                          | never: that one's turn decides it |
| `calendar`   | the local day is one of these                            | at a local midnight               |
| `sample`     | the customer's hash is below the share                   | never                             |

To add a kind of condition: its module in this package, which brings all that it needs along as one `ConditionKind`; and
here its row of the table and its place in `CONDITION_KINDS`. CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

from rules.conditions.attributes import CONTEXT, TRAIT
from rules.conditions.calendars import CALENDAR
from rules.conditions.cart import CART
from rules.conditions.event_count import PERFORMED
from rules.conditions.in_segment import IN_SEGMENT
from rules.conditions.newest_event import NEWEST
from rules.conditions.overdue import OVERDUE
from rules.conditions.ratio import RATIO
from rules.conditions.recency import FIRST, LAST
from rules.conditions.sample import SAMPLE
from rules.conditions.score import SCORE
from rules.conditions.sequences import SEQUENCE
from rules.conditions.session_count import SESSIONS
from rules.conditions.totals import TOTAL

# Those of `rules.conditions.boolean`, which have members, are read before these.
CONDITION_KINDS = (
    PERFORMED, TOTAL, RATIO, LAST, FIRST, NEWEST, OVERDUE, SCORE, SEQUENCE, CART, SESSIONS, TRAIT, CONTEXT, IN_SEGMENT,
    CALENDAR, SAMPLE,
)  # fmt: skip
