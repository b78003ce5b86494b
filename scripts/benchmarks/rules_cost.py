"""What an event costs in the rules alone: the whole library beside four segments.

The one rule: both decide the same events in the same run, several times in turn, and the least of
each counts; what is compared is CPU time, without decoding, storing and publishing.
"""

import gc
import time
from pathlib import Path

from load.generate import records
from rules.definitions.segments_file import Definitions, built_in, parse
from rules.engine import Engine
from rules.standing import Customer
from streams.wire.decode import decode_line

FOUR = Path(__file__).parent.parent / "load" / "four_segments.yaml"
YEAR_MS = 365 * 86_400_000
ROUNDS = 5


def once(definitions: Definitions, lines: list[bytes]) -> tuple[float, int]:
    """CPU seconds of deciding all lines, and how many changes they made."""
    events = [decode_line(line) for line in lines]  # afresh: what was read of an event is kept with it
    engine = Engine(definitions)
    known: dict[str, Customer] = {}
    changes = 0
    began = time.process_time()
    for event in events:
        customer = known.get(event.customer)
        if customer is None:
            customer = known[event.customer] = engine.new()
        changes += len(engine.apply(event.customer, customer, event))
    return time.process_time() - began, changes


def run(events: int = 100_000, customers: int = 2_000) -> None:
    """Print the cost per event of both and their ratio, over a generated year."""
    lines = [value for _, _, value, _ in records(events, customers, profile="session-like", span_ms=YEAR_MS)]
    four, library = parse(FOUR.read_text("utf-8"), FOUR.name), built_in()
    gc.disable()  # a worker collects seldom, and not what these rounds leave
    found: dict[str, list[tuple[float, int]]] = {"four": [], "library": []}
    for _ in range(ROUNDS):
        found["four"].append(once(four, lines))
        found["library"].append(once(library, lines))
    gc.enable()
    print(f"rules alone, {events:,} events of {customers:,} customers over a year:")
    for name, rounds in found.items():
        seconds, changes = min(rounds)
        print(f"  {name:<8} {seconds / events * 1e6:6.1f} µs per event, {changes / events:.2f} changes per event")
    ratio = min(found["library"])[0] / min(found["four"])[0]
    print(f"  the library's {len(library.segments)} segments cost {ratio:.1f} times as much")
