"""Measures the cost of an event in process: decode, merge, decide, encode, without Kafka and Redis.

The cost is a ratio to ``json.loads`` of the same bytes in the same run, in alternating turns, by the least of each, as
other load of the machine makes both slower. `instructions` counts what Python executes in place of time: that is the
same in each run, but leaves out what happens in C.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from load.generate import records
from rules.definitions.segments_file import Definitions, parse
from rules.engine import Engine
from rules.event_names import INPUTS
from rules.events import Origin
from streams.kafka.partitioner import belonging_of_each
from streams.runtime.input_merge import Merge
from streams.state.contract import Claim, Identity
from streams.state.definition_versions import DefinitionVersions
from streams.state.memory import MemoryStore
from streams.wire import identity_records
from streams.wire.event_decoder import read
from streams.wire.records import OutRecord
from streams.wire.topics import MERGES, READ
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.partition import WorkerPartition
from streams.worker.segmenter import SegmenterConfig

FOUR = Path(__file__).parent.parent / "load" / "four_segments.yaml"
SPAN_MS = 6 * 3_600_000
BATCH = 1_000
ROUNDS = 3
_ONE_OF = 5  # one in so many records is parsed by the parser in Python


class Fetched(NamedTuple):
    """A record as a fetch returns it."""

    topic: str
    offset: int
    timestamp: int
    key: bytes
    value: bytes


class StepCost(NamedTuple):
    """The CPU seconds of each for the same records, the number of changes, and the mean bytes of a stored customer.

    ``python_s``: of the standard library's parser that is written in Python. A machine with small caches slows it down
    as much as the steps, so the ratio to it can be compared between machines.
    """

    step_s: float
    parse_s: float
    python_s: float
    events: int
    changes: int
    stored_bytes: float

    @property
    def ratio(self) -> float:
        return self.step_s / self.parse_s

    @property
    def ratio_python(self) -> float:
        return self.step_s / self.python_s


class _InPython(json.JSONDecoder):
    """The standard library's parser without its parts in C."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_string = json.decoder.py_scanstring  # type: ignore[attr-defined]
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


def load(events: int, profile: str) -> list[Fetched]:
    """Generate records; one event in five is of a new customer."""
    drawn = records(events, max(1, events // 5), 1, profile, span_ms=SPAN_MS)
    return [Fetched(topic, index, ms, key, value) for index, (topic, key, value, ms) in enumerate(drawn)]


class _Links:
    """The records of `merges` which a partition sends to itself: what one step sends, the next one reads."""

    def __init__(self) -> None:
        self.records: list[Fetched] = []
        self._end = 0

    def send(self, out: Sequence[OutRecord], timestamp: int) -> None:
        """Keep what a step sent; ``timestamp`` (ms): when Kafka has it."""
        self.records = [
            Fetched(MERGES, self._end + index, timestamp, record.key or b"", record.value or b"")
            for index, record in enumerate(record for record in out if record.topic == MERGES)
        ]
        self._end += len(self.records)

    def give(self, merge: Merge) -> None:
        """Add what was sent to the merge of the partition's inputs."""
        merge.add(
            MERGES, self._end, [(identity_records.read(record.value, record.key), record) for record in self.records]
        )
        self.records = []


async def _steps(
    definitions: Definitions, fetched: Sequence[Fetched], languages: Sequence[str], *, is_linked: bool
) -> tuple[int, MemoryStore]:
    """Process all events in one partition on the store in memory, so that no server's time is measured.

    Returns the number of changes, and the store.
    """
    store = MemoryStore()
    claim = Claim(0, 1, "token", Identity("cluster", "group", 1, "definitions"))
    await store.claim(claim)
    await store.begin(claim, dict.fromkeys(READ, 0))
    state = await store.claim(claim)
    belong = belonging_of_each(1, "murmur2")
    config = SegmenterConfig(
        now_ms=lambda: 0,
        belong=lambda customers: belong(customers, 0),
        dead_letter_limit=DeadLetterLimit(0.5, 10_000),
        languages=languages,
    )
    part = WorkerPartition(store, claim, state, DefinitionVersions.initial(Engine(definitions)), config)
    segmenter, saved = part.segmenter, part.checkpointer
    merge, links = Merge(READ, state.positions), _Links()
    changes, first = 0, 0
    while first < len(fetched) or links.records:
        batch = fetched[first : first + BATCH]
        first += len(batch)
        _add(merge, batch, first)
        if is_linked:
            links.give(merge)
        now = fetched[first - 1].timestamp
        out = await segmenter.process_batch(merge.take(2 * BATCH, lambda _: 0.0), now)
        changes += len(out)
        if is_linked:
            links.send(out, now)
        while 0 < saved.next_due <= saved.clock:
            changes += len(await segmenter.fire(saved.clock, BATCH))
    return changes, store


def _mean_bytes(store: MemoryStore, customers_max: int) -> float:
    """The mean bytes of a stored customer."""
    _, customers = asyncio.run(store.scan(0, 0, customers_max))
    return sum(len(stored) for _, stored in customers) / len(customers)


def _add(merge: Merge, batch: Sequence[Fetched], end: int) -> None:
    for topic in INPUTS:
        of_topic = [record for record in batch if record.topic == topic]
        merge.add(
            topic,
            end,
            (
                (read(record.value, record.key, record.timestamp, Origin(topic, 0, record.offset)), record)
                for record in of_topic
            ),
        )


def measure(
    events: int,
    profile: str,
    languages: Sequence[str] = ("en", "fa"),
    rounds: int = ROUNDS,
    *,
    is_linked: bool = False,
) -> StepCost:
    """Measure steps and parsers in turn; returns the least of the rounds.

    ``is_linked``: each event names two ids, and the partition owns both: what one id sends to the other is read, too.
    """
    fetched = load(events, profile)
    definitions = parse(FOUR.read_text("utf-8"), FOUR.name)
    parsing, in_python, stepping = [], [], []
    changes, stored_bytes = 0, 0.0
    decode, some = _InPython().decode, [record.value.decode() for record in fetched[::_ONE_OF]]
    gc.collect()
    gc.disable()  # a worker collects seldom
    for _ in range(rounds):
        began = time.process_time()
        for record in fetched:
            json.loads(record.value)
        parsed = time.process_time()
        for text in some:
            decode(text)
        between = time.process_time()
        changes, store = asyncio.run(_steps(definitions, fetched, languages, is_linked=is_linked))
        stepping.append(time.process_time() - between)
        parsing.append(parsed - began)
        in_python.append((between - parsed) * len(fetched) / len(some))
        stored_bytes = _mean_bytes(store, len(fetched))
    gc.enable()
    return StepCost(min(stepping), min(parsing), min(in_python), events, changes, stored_bytes)


def instructions(events: int, profile: str, *, is_linked: bool = False) -> float:
    """The bytecode instructions that steps execute, as a multiple of those of the parser in Python for the same bytes.

    The first run fills caches, as those of a worker are full, and is not counted.
    """
    fetched = load(events, profile)
    definitions = parse(FOUR.read_text("utf-8"), FOUR.name)
    decode, texts = _InPython().decode, [record.value.decode() for record in fetched]

    def step() -> None:
        asyncio.run(_steps(definitions, fetched, ("en", "fa"), is_linked=is_linked))

    step()
    return _executed(step) / _executed(lambda: [decode(text) for text in texts])


def _executed(action: Callable[[], object]) -> int:
    """The bytecode instructions that an action executes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(former)
    return count


def main() -> None:
    """Print the cost of an event, with and without what links ids."""
    for profile in ("change-heavy", "session-like"):
        for is_linked in (False, True):
            cost = measure(50_000, profile, rounds=5, is_linked=is_linked)
            each = 1e6 / cost.events
            ids = "two ids linked" if is_linked else "links sent, not read"
            print(
                f"{profile}, {ids}: {cost.step_s * each:.1f} µs per event in process, {cost.ratio:.2f} × json.loads "
                f"({cost.parse_s * each:.1f} µs); {cost.changes / cost.events:.2f} records per event, "
                f"{cost.stored_bytes:.0f} bytes per stored customer"
            )


if __name__ == "__main__":
    main()
