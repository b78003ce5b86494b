"""What `verify` compares of one customer, and what it leaves out as it depends on the order of reading."""

from __future__ import annotations

import pytest

from rules.definitions.segments_file import parse
from rules.engine import Engine
from streams.offline.changelog_fold import FoldedCustomer
from streams.offline.verification import Comparison, StoredValue
from streams.wire import customer_codec
from tests.support.profiles import order

ORDERED_AT = 1_800_000_000_000
BUYERS = """
version: 1
segments:
  buyers: {title: Buyers, when: {performed: {event: Order Completed}}}
"""


@pytest.mark.parametrize("erased_along", [False, True])
def test_an_id_that_was_erased_with_its_person(erased_along: bool) -> None:
    """The segments of such an id follow from the order of reading, so they are compared with no recomputed ones."""
    engine = Engine(parse(BUYERS, "buyers.yaml"))
    recomputed, stored = engine.new(), engine.new()
    engine.apply("tablet", recomputed, order(ORDERED_AT))
    stored.instant = ORDERED_AT
    stored.sequence = recomputed.sequence
    comparison = Comparison(engine)
    differences = comparison.compare(
        "tablet",
        recomputed,
        StoredValue(value=customer_codec.encode(stored), due=stored.due),
        FoldedCustomer(sequence=stored.sequence),
        ORDERED_AT,
        at_one_instant=False,
        erased_along=erased_along,
        erased_until=lambda until: pytest.fail(f"no erasure was late: {until}"),
    )
    subjects = [difference.subject for difference in differences]
    assert subjects == ([] if erased_along else ["buyers"])
    assert comparison.uncompared == erased_along
