"""The size of a step by the largest customers that a segments file allows.

    rules/segments.yaml      a customer has at most some 87 KB: a step is as large as the settings say
    200 totals of 256 values a customer has at most some 900 KB: a step has fewer events

The one rule: a step is loaded, decided and saved as a whole, so what it may take is bounded before it is taken. An
attacker could otherwise make many customers as large as they can be, and bring them into one step: its save would be
too large for Redis and for the memory of the worker.

See also `streams.runtime.input_merge`, which bounds the records of a step.
"""

from __future__ import annotations

import msgspec

from rules.definitions.segments_file import Definitions
from streams.runtime.partition_task import Pace

# The most bytes of the customers of a step. A link may move a profile, so as much again may be sent.
STORED_MAX_BYTES = 128 * 1024 * 1024


def bounded(pace: Pace, definitions: Definitions) -> Pace:
    """The sizes of steps in which the largest customers of these definitions fit; at least one customer."""
    of_customer = sum(fact.bytes_most for fact, _ in definitions.facts.with_segments())
    customers = max(1, STORED_MAX_BYTES // max(1, of_customer))
    return msgspec.structs.replace(
        pace, batch_max=min(pace.batch_max, customers), timers_per_step=min(pace.timers_per_step, customers)
    )
