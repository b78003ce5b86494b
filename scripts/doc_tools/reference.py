"""Generates the reference of conditions and of the library from the code and the library itself.

Nothing that the code states is stated again here. The table of conditions is the one at the head of
`rules.conditions.kinds`, and the bounds are constants of the modules that apply them.
"""

from __future__ import annotations

import inspect
from types import ModuleType

import rules.conditions.kinds
import rules.context
import rules.devices
import rules.software
from rules.conditions.boolean import GROUP_KINDS
from rules.conditions.event_choice import ORDERS_MAX
from rules.conditions.kinds import CONDITION_KINDS
from rules.conditions.score import HALF_LIVES, NEWEST_MAX
from rules.definitions import describe, forms
from rules.definitions.segments_file import Definitions, Segment, built_in
from rules.facts.contributions import DISTINCT_MAX
from rules.facts.selection import LISTED_MAX
from rules.forms.json_schema import Schema
from rules.profile import cart, days, extremes, orders, sessions, steps, sums
from rules.profile.short_ids import ID_MAX_BYTES
from rules.referrers import listed

_HEAD = "<!-- Drawn from the code: python -m doc_tools.schemas -->\n\n"
_BOUNDS = (
    ("orders", f"the newest {orders.MESSAGES_MAX} messages, each up to the longest window and 90 days old"),
    ("orders, beyond", f"in sums and averages by their UTC day, and in `first`; counts go up to {ORDERS_MAX - 1}"),
    ("cart", f"the newest {cart.ITEMS_MAX} items of 90 days, and {cart.PRICES_MAX} prices of former ones"),
    ("named carts", f"the {cart.NAMED_MAX} that were touched last; others count as if they had no `cart_id`"),
    ("a list of products", f"of one event the first {cart.ITEMS_MAX}"),
    ("sessions", f"the newest {sessions.INTERVALS_MAX} of the window and gap"),
    ("`performed`", "one more than the count asks for, no older than the window"),
    ("`total` sum, avg", f"the newest {sums.ENTRIES_MAX}; older ones leave at the end of their UTC day"),
    ("`total` min, max", f"exact up to {extremes.STEPS_MAX} values that only fall (or rise)"),
    ("`total` distinct", f"the newest {DISTINCT_MAX} values"),
    ("`score`", f"of each event the newest {NEWEST_MAX}, of orders {ORDERS_MAX}, for {HALF_LIVES} half-lives"),
    ("`sequence`", f"{steps.ENTRIES_MAX} changes of step; runs of one step are kept short"),
    ("`trait`, `context`", "one value each"),
    ("changes that Redis lost", "the ids of all that are on the topic, until they are decided again"),
    ("day sums", f"the newest {days.DAYS_MAX:,} days with anything on them; older ones count with the oldest of these"),
    ("`of` a list", f"of an event the first {LISTED_MAX} values, of all orders the newest {orders.VALUES_MAX:,}"),
    ("`same` of a list", f"of one event the first {steps.SAME_MAX} values"),
    ("ids", f"{ID_MAX_BYTES} bytes of UTF-8; of a longer one its beginning and a hash"),
)  # fmt: skip


_TESTS = (
    """A test (in `where`, `trait`, `context`) is a value, or a mapping of these, all of which must be met:
`in`, `not_in` (lists of values), `at_least`, `at_most`, `above`, `below` (numbers, also as text in the data),
`contains`, `not_contains` (a part of a text, or a member of a list), `starts_with`, `ends_with` (the beginning or end
of a text), `exists` (true or false), `exact` (a text as it stands), `matches` (RE2, anywhere). Other texts are compared
without case and spaces around, with Arabic and Persian variants of a letter as one. Of a list, one member must meet all
keys; `not_in` and `not_contains` hold if no member is
what they exclude. In a `where`, `context.os.name` and the like ask for the context of the event (of an order, for
that of its newest message), and `item: {category: tea, price: {at_least: 5}}` asks several tests of one
and the same product. `cart: {has: {product_id: tea-1, quantity: {at_least: 2}}}` asks for a product that lies in the
open cart: its `product_id`, else its SKU, else its name (of more than 64 bytes the beginning), and the quantity of all
its lines. The amount of a refund counts without its sign. An absent value, null and empty text meet
only `exists: false`. A trait that is a date takes `age` (whole years, or durations), `before` and
`after` (a date in quotes; its midnight in UTC, or an instant), `ahead: {at_least: 1d, at_most: 14d}` (from 14 days
before it on, and until 1 day before it) and `anniversary`: `today`, `{within_next: 7d}` or `{within_last: 7d}`, each
with a `timezone` where the day is not one in UTC. `count` takes
`at_least`, `at_most`, `exactly`, or a number; `ago` takes `at_least` and `at_most` as durations. A dotted name reaches
into objects, through a list to its members' values.

In a `score`, an event of so many points adds floor(points × 10⁶ × 2^(-m / half-life in minutes)) millionths after m
whole minutes, each in decimal arithmetic of 28 digits; m is the whole minutes from the event to the newest of the
score's events, and those from there to the instant of the decision. So the sum does not depend on the order of events.
Between events it only falls, and it does so at whole minutes after the newest of them. No event is a score of 0. A
decision takes about 2 µs for each event that counts.

A segment has """
    + ", ".join(f"`{name}`" for name in forms.SegmentForm.model_fields)
    + """. With `hold` a
customer stays at least so long, unless they buy. `bands` takes one condition on a number without its
test (`total`, `ratio`, `score`, or `performed` and `sessions`, whose number is a count) and `from`, the number at which
each band begins. A file has `version: 1`, `segments`, `currency` (money is added up in it alone),
`library` (true, `without`, `only`), `placeholders`: further texts that are no ids, such as `[visitor]`, compared
without case and white space, and `hosts`: the shop's own hosts, such as `[shop.example, pay.example]`. A referrer on
one of them or on a subdomain of one is no referrer.
"""
)
_DEVICES = """\
A test of `device` asks of the text and of its kind: `device: mobile` holds for `ios`, and so does `device: ios`.
`not_in` refuses both. An iPad whose browser asks for desktop sites calls itself a Mac, and an app on an Android tablet
calls itself Android: nothing tells them apart.
"""
_SOFTWARE = """\
A test of `os` or `browser` asks of the text and of its name, as one of `device` does: `os: ios` holds for `iPadOS`. A
browser that sends the user agent of another, as Brave does, is that one. `region` is `location.region`, `timezone` is
`timezone`, and `page` is `page.path`, else the path of `page.url`, without a query.
"""
_CHANNELS = """\
Search engines and social sites are those of a list
([Matomo's]({source}), {license}, of {date}), with additions:
{search} hosts of engines, with their country domains, and {social} of social sites, with their subdomains. Apps on
Android stand in it by their names (`android-app://`). Nothing reads `page.initial_referrer`, which is that of an
earlier page.
"""


def _keys(schema: Schema) -> str:
    return ", ".join(f"`{name}`" for name in schema.get("properties", ()))


def _table_of(module: ModuleType) -> str:
    """The table at the head of a module."""
    doc = inspect.getdoc(module) or ""
    return "\n".join(line for line in doc.splitlines() if line.startswith("|"))


def _tables_of(module: ModuleType) -> str:
    """The tables at the head of a module, each under a line of its own."""
    paragraphs = (inspect.getdoc(module) or "").split("\n\n")
    return "\n\n".join(part for part in paragraphs if part.startswith("|"))


def _context() -> str:
    """How the attributes of `context` are derived that no field has."""
    referrers = listed()
    channels = _CHANNELS.format(
        source=referrers.source,
        license=referrers.license,
        date=referrers.date,
        search=len(referrers.search),
        social=len(referrers.social),
    )
    return (
        "## Devices\n\nThe first row that fits decides; the fields are those of the event's `context`.\n\n"
        f"{_table_of(rules.devices)}\n\n{_DEVICES}\n"
        "## Software\n\nThe first row that fits decides. A name and a `platform` are read without regard to case, "
        "spaces and hyphens.\n\n"
        f"{_tables_of(rules.software)}\n\n{_SOFTWARE}\n"
        f"## Channels\n\nThe first row that fits decides:\n\n{_table_of(rules.context)}\n\n{channels}\n"
    )


def conditions() -> str:
    """docs/reference/conditions.md"""
    table = _table_of(rules.conditions.kinds)
    kinds = (*GROUP_KINDS, *CONDITION_KINDS)
    table_of_forms = "\n".join(f"| `{kind.key}` | {_keys(kind.schema)} | `{kind.example}` |" for kind in kinds)
    bounds = "\n".join(f"| {subject} | {bound} |" for subject, bound in _BOUNDS)
    return (
        f"{_HEAD}# Conditions\n\n{table}\n\n"
        f"## Forms\n\n| condition | keys | such as |\n|---|---|---|\n{table_of_forms}\n\n{_TESTS}\n"
        f"{_context()}"
        f"## Bounds\n\nWhat is kept of a customer, and what happens beyond it:\n\n"
        f"| fact | bound |\n|---|---|\n{bounds}\n"
    )


def library() -> str:
    """docs/reference/library.md"""
    definitions = built_in()
    head = f"{_HEAD}# The library\n\nMoney is in {definitions.currency}; a file of your own sets its own currency.\n"
    segments = sorted(definitions.segments, key=lambda segment: (segment.kind or "", segment.key))
    return "\n".join([head, *(_section(definitions, segment) for segment in segments)])


def _section(definitions: Definitions, segment: Segment) -> str:
    names = ", ".join(describe.events(segment, definitions)) or "none"
    return (
        f"## {segment.key}\n\n**{segment.title}** ({segment.kind}). {segment.about}\n\n"
        f"{describe.sentence(segment)}\n\nEvents: {names}.\n"
    )
