"""Measures the cost of an event in the rules alone: the whole library beside four segments.

Both decide the same events in the same run, several times in turn, and the median of each counts; what is compared is
CPU time, without decoding, storing and publishing.
"""

import gc
import time
from pathlib import Path

from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from load.generate import records
from rules.customer import Customer
from rules.definitions.segments_file import Definitions, built_in, parse
from rules.engine import Engine
from streams.wire.event_decoder import decode_line

FOUR = Path(__file__).parent.parent / "load" / "four_segments.yaml"
YEAR_MS = 365 * 86_400_000
ROUNDS = 5
COST = "CPU time"


def once(definitions: Definitions, lines: list[bytes]) -> tuple[float, int]:
    """The CPU seconds of deciding all lines, and the number of changes."""
    events = [decode_line(line) for line in lines]  # decoded for each turn, as an event caches its parts
    engine = Engine(definitions)
    customers: dict[str, Customer] = {}
    changes = 0
    began = time.process_time()
    for event in events:
        customer = customers.get(event.customer)
        if customer is None:
            customer = customers[event.customer] = engine.new()
        changes += len(engine.apply(event.customer, customer, event))
    return time.process_time() - began, changes


def run(events: int, customers: int = 2_000) -> BenchmarkCase:
    """Print the cost per event of both and their ratio, over a generated year."""
    lines = [value for _, _, value, _ in records(events, customers, profile="session-like", span_ms=YEAR_MS)]
    four, library = parse(FOUR.read_text("utf-8"), FOUR.name), built_in()
    compared = {"four segments": four, f"library of {len(library.segments)}": library}
    samples = Samples()
    gc.disable()  # a worker collects seldom, and never the garbage of these rounds
    for _ in range(ROUNDS):
        for name, definitions in compared.items():
            seconds, changes = once(definitions, lines)
            samples.add(name, COST, "µs per event", seconds / events * 1e6)
            samples.add(name, "changes", "per event", changes / events)
    gc.enable()
    conditions = f"{events:,} events of {customers:,} customers over a year, in one process"
    case = BenchmarkCase("rules", "rules alone", conditions, samples.figures("four segments", COST))
    _print(case)
    return case


def _print(case: BenchmarkCase) -> None:
    print(f"{case.case}, {case.conditions}, medians of {ROUNDS} rounds:")
    for figure in case.figures:
        ratio = f", {figure.ratio:.1f} times the cost of {figure.against}" if figure.ratio else ""
        spread = f"({figure.least:.2f}-{figure.most:.2f})"
        print(f"  {figure.system:<15} {figure.metric:<8} {figure.median:7.2f} {spread} {figure.unit}{ratio}")
