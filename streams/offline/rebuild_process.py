"""The process of a rebuild (`streams.worker.rebuild`): what all events of a partition make of its customers.

The one rule: it is asked by lines on its input, and answers by frames on its output; it writes to nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import BinaryIO

import msgspec

from rules.definitions.segments_file import DefinitionsError
from rules.engine import Engine
from rules.published_ahead import PublishedChange
from streams.definitions_file import load
from streams.errors import ClaimRefused
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import belonging
from streams.offline.partition_snapshot import sequences_now
from streams.offline.recompute import Recomputed
from streams.settings import Settings
from streams.state.definition_versions import DefinitionVersions
from streams.stop import Stop
from streams.wire import changes, customers
from streams.wire.topics import CHANGES
from streams.worker.rebuild import FRAME, Frame, RebuildRequest, framed

# It shares the machine with steps that somebody waits for.
NICE = 5
_COLLECT_AFTER = 200_000
_TOLD_EVERY_S = 1.0


def main() -> int:
    """Until its input ends."""
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the worker too, which ends this in its turn
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_COLLECT_AFTER)
    if not (line := sys.stdin.buffer.readline()):
        return 1  # who wanted to ask is no more
    asked = msgspec.json.decode(line, type=RebuildRequest)
    try:
        for frame in frames(Settings(), asked, (json.loads(line) for line in sys.stdin.buffer)):
            _put(sys.stdout.buffer, frame)
    except (Stop, ClaimRefused, DefinitionsError) as why:
        with contextlib.suppress(BrokenPipeError):
            _put(sys.stdout.buffer, Frame(failed=str(why)))
        return 1
    except BrokenPipeError:  # nobody asks any more
        return 1
    return 0


def _put(output: BinaryIO, frame: Frame) -> None:
    output.write(framed(frame))
    output.flush()


def frames(settings: Settings, asked: RebuildRequest, wanted: Iterator[dict[str, int]]) -> Iterator[Frame]:
    """The answers to positions, one after the other. Raises `Stop`."""
    engine = Engine(load(settings.definitions))
    if engine.definitions.fingerprint != asked.definitions:
        raise Stop("the definitions were changed since the worker was started; start it again")
    belongs = belonging(asked.partitions, settings.partitioner)
    known = DefinitionVersions.decoded(asked.epochs, asked.documents, engine).for_engine(engine, 0)
    with answering(settings), closing(Logs(settings)) as logs:
        made = Recomputed(logs.inputs(asked.partition), engine, asked.partition, belongs, known.translated)
        said = partial(_said, settings, logs, asked.partition)
        for number, positions in enumerate(wanted):
            if not number:
                made.check(positions)
            yield from _answer(made, positions, None if number else said)


def _said(settings: Settings, logs: Logs, partition: int, names: list[str]) -> dict[str, PublishedChange]:
    """What was published last of those of whom Redis knows less."""
    said = newest(record.value for record in logs.open(CHANGES, partition).whole())
    return beyond(said, asyncio.run(sequences_now(settings, partition, [name for name in names if name in said])))


def beyond(said: Mapping[str, PublishedChange], known: Mapping[str, int]) -> dict[str, PublishedChange]:
    """What was published last of those of whom so many changes are known that it is not among them."""
    return {name: said[name] for name, count in known.items() if name in said and said[name].sequence > count}


def newest(published: Iterable[bytes | None]) -> dict[str, PublishedChange]:
    """By customer, the change with the highest sequence: the topic may hold repeats of others after it."""
    found: dict[str, PublishedChange] = {}
    for value in published:
        with contextlib.suppress(msgspec.DecodeError):  # a record of somebody else's
            customer_id, one = changes.told(value or b"")
            if customer_id not in found or one.sequence >= found[customer_id].sequence:
                found[customer_id] = one
    return found


def _answer(
    made: Recomputed, positions: dict[str, int], said: Callable[[list[str]], dict[str, PublishedChange]] | None
) -> Iterator[Frame]:
    of = sum(positions.values())
    told = time.monotonic()
    for _ in made.steps(positions):
        if (now := time.monotonic()) - told > _TOLD_EVERY_S:
            told = now
            yield Frame(read=made.events, of=of)
    touched = made.taken()
    told_last = said(touched) if said else {}
    while names := touched[-FRAME:]:
        del touched[-FRAME:]
        encoded = [(name, customers.encode(made.customers[name])) for name in names]
        yield Frame(encoded, [(name, told_last[name]) for name in names if name in told_last])
    yield Frame(done=True)


if __name__ == "__main__":
    sys.exit(main())
