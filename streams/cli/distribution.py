"""``segmenter distribution``: shows how a total is spread over the customers, and suggests where to cut it into bands.

See also: `streams.offline.cutoffs`, which computes the suggestions.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

from rules.conditions.aggregates import Total
from rules.conditions.base import Condition, CustomerView
from rules.conditions.boolean import AllOf, AnyOf, NoneOf
from rules.customer import Customer
from rules.definitions import yaml_text
from rules.definitions.segments_file import Definitions, DefinitionsError, build
from rules.engine import Engine
from rules.forms.problems import Problem
from rules.number_text import MICRO
from streams.cli.replay import replayed
from streams.offline import cutoffs
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.state.definition_versions import DefinitionVersions
from streams.state.readonly_store import stored
from streams.stop import Stop
from streams.wire import customer_codec

BAR_CHARS = 40
_NAMES = ("low", "medium", "high", "higher", "top")


def run(settings: Settings, wish: str, events: str | None, bands: int) -> int:
    """Print the distribution of ``wish``, a segment's key or a total in braces; exit code 1 if no customer has a value.

    Raises `DefinitionsError` for a total that is wrong, `Stop` when Redis cannot answer.
    """
    definitions = _definitions(settings, wish)
    total = find(definitions, wish)
    if total is None:
        print(
            f"segmenter distribution: {wish} is neither a segment with a total, nor a total in braces", file=sys.stderr
        )
        return 1
    if events is not None:
        replay = replayed(Engine(definitions), events)
        values = list(_values(replay.customers.items(), total, replay.last))
    else:
        values = asyncio.run(_stored(settings, definitions, total))
    if not values:
        print("segmenter distribution: no customer has a value", file=sys.stderr)
        return 1
    print(f"{total.agg} of {total.of}" + ("" if wish.startswith("{") else f", as in {wish}"))
    print("\n".join(lines([value / MICRO for value in values], bands)))
    return 0


def find(definitions: Definitions, wish: str) -> Total | None:
    """Find the first total in the condition of a segment or of bands; ``wish`` in braces is the only segment."""
    keys = definitions.families.get(wish, (wish,))
    for segment in definitions.segments:
        if segment.key in keys or wish.startswith("{"):
            total = next(_totals(segment.when), None)
            if total is not None:
                return total
    return None


def lines(values: list[float], bands: int) -> list[str]:
    """The lines of the output: the spread, a histogram, and suggested cut-offs for so many bands."""
    spread = cutoffs.spread(values)
    lines = [
        f"customers  {spread.count:,}, from {spread.least:,.2f} to {spread.greatest:,.2f}, mean {spread.mean:,.2f}",
        "deciles    " + "  ".join(f"{value:,.2f}" for value in spread.deciles),
        "",
    ]
    most = max(spread.bars)
    for (low, high), count in zip(pairwise(spread.edges), spread.bars, strict=True):
        bar = "█" * max(round(BAR_CHARS * count / most), 1 if count else 0)
        lines.append(f"{low:>14,.2f} … {high:>14,.2f}  {bar} {count:,}")
    lines.append("")
    for name, cuts in (
        ("as many in each", cutoffs.quantile_cuts(values, bands)),
        ("natural breaks", cutoffs.natural_cuts(values, bands)),
    ):
        lines.append(f"{name:<16} {_from(spread.least, cuts)}   # {_sizes(values, cuts)} customers")
    return lines


def _from(least: float, cuts: list[float]) -> str:
    """The cut-offs in the notation of ``bands`` in a segments file."""
    # The first band begins below every value; above 0 it leaves out customers without any.
    first = min(0.01, least) if least > 0 else math.floor(least)
    names = _NAMES if len(cuts) < len(_NAMES) else [f"band_{index}" for index in range(len(cuts) + 1)]
    bands = (f"{name}: {_plain(low)}" for name, low in zip(names, [first, *cuts], strict=False))
    return "from: {" + ", ".join(bands) + "}"


def _plain(number: float) -> str:
    """Write a number without an exponent, which YAML would take for text."""
    digits = f"{number:.6f}".rstrip("0").rstrip(".")
    return digits if float(digits) else "0.000001"


def _sizes(values: list[float], cuts: list[float]) -> str:
    edges = [float("-inf"), *cuts, float("inf")]
    counts = [sum(low <= value < high for value in values) for low, high in pairwise(edges)]
    return ", ".join(f"{count:,}" for count in counts)


def _definitions(settings: Settings, wish: str) -> Definitions:
    """The worker's definitions; for a total in braces, a file of one segment that asks for it."""
    own = load(settings.definitions)
    if not wish.startswith("{"):
        return own
    try:
        total = yaml_text.read(wish)
    except yaml_text.NotYaml as error:
        raise DefinitionsError("--of", [Problem("", str(error))]) from None
    # A condition needs a bound; what is no mapping is left for the checks of `build`.
    condition = {**total, "at_least": 0} if isinstance(total, dict) else total
    document = {"version": 1, "segments": {"total": {"title": "Total", "when": {"total": condition}}}}
    if own.currency is not None:
        document["currency"] = own.currency
    return build(document, "--of")


def _totals(condition: Condition) -> Iterator[Total]:
    if isinstance(condition, Total):
        yield condition
    elif isinstance(condition, AllOf | AnyOf | NoneOf):
        for member in condition.members:
            yield from _totals(member)


def _values(entries: Iterable[tuple[str, Customer]], total: Total, now: int) -> Iterator[int]:
    """The values of these customers; one that has nothing to add up or to compare is in no band, and left out."""
    for customer_id, customer in entries:
        view = CustomerView(customer_id, customer.profile, customer.since)
        value = total.value(view, max(now, customer.instant))
        is_empty = total.agg in ("sum", "distinct") and value == 0
        if value is not None and not is_empty:
            yield value


async def _stored(settings: Settings, definitions: Definitions, total: Total) -> list[int]:
    """The values of all customers in Redis. Raises `Stop` if they were written under other definitions."""
    values: list[int] = []
    engine = Engine(definitions)
    async with stored(settings) as (store, first):
        if first["definitions"] != definitions.fingerprint:
            raise Stop(
                "Redis was written under other definitions: name their file in SEGMENTER_DEFINITIONS and a total of it,"
                " or read recorded events with --events"
            )
        for partition in range(int(first["partitions"])):
            snapshot = await store.snapshot(partition, [], ("epochs", "clock"), documents=True)
            versions = DefinitionVersions.read(snapshot.meta, snapshot.documents, engine)
            clock = int(snapshot.meta.get("clock", 0))
            async for customer_id, value in store.customers(partition):
                customer = customer_codec.decode(value)
                # A customer that the backfill has not reached yet is migrated here, in memory alone.
                if customer.definition_version != versions.number:
                    versions.migrate(customer_id, customer)
                values += _values([(customer_id, customer)], total, clock)
    return values
