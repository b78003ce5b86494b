"""The child process of a rebuild: recomputes the customers of a partition from all of its events.

It reads requests as lines on its standard input, answers by frames on its standard output, and writes to
nothing else.

    in    {"partition": 3, …}          the request, see `RebuildRequest`
    in    {"shop.visits": 120, …}      positions: recompute up to here
    out   progress …, customers …, done
    in    {"shop.visits": 125, …}      the next positions, and so on until the input ends

See also: `streams.worker.rebuild_handover`, the worker's side of it.
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
from streams.errors import ClaimRefused
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import belonging
from streams.offline.partition_snapshot import sequences_now
from streams.offline.recompute import RecomputedPartition
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.state.definition_versions import DefinitionVersions
from streams.stop import Stop
from streams.wire import changes, customer_codec
from streams.wire.topics import CHANGES
from streams.worker.rebuild_handover import FRAME, Frame, RebuildRequest, framed

# The process shares the machine with the worker's steps, which have a latency to hold.
NICE = 5
# Garbage is collected less often than usual, as nearly all of what is allocated here lives on.
_COLLECT_AFTER = 200_000
_PROGRESS_EVERY_S = 1.0


def main() -> int:
    """Answer requests until the input ends."""
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker gets these too, and then ends this process
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_COLLECT_AFTER)
    line = sys.stdin.buffer.readline()
    if not line:
        return 1  # the worker ended before its request
    request = msgspec.json.decode(line, type=RebuildRequest)
    positions = (json.loads(line) for line in sys.stdin.buffer)
    try:
        for frame in frames(Settings(), request, positions):
            _put(sys.stdout.buffer, frame)
    except (Stop, ClaimRefused, DefinitionsError) as error:
        with contextlib.suppress(BrokenPipeError):
            _put(sys.stdout.buffer, Frame(failed=str(error)))
        return 1
    except BrokenPipeError:  # the worker ended
        return 1
    return 0


def _put(output: BinaryIO, frame: Frame) -> None:
    output.write(framed(frame))
    output.flush()


def frames(settings: Settings, request: RebuildRequest, stages: Iterable[dict[str, int]]) -> Iterator[Frame]:
    """Yield the answers to each stage's positions, one stage after the other. Raises `Stop`."""
    engine = Engine(load(settings.definitions))
    if engine.definitions.fingerprint != request.definitions:
        raise Stop("the definitions were changed since the worker was started; start it again")
    partition = request.partition
    belongs = belonging(request.partitions, settings.partitioner)
    versions = DefinitionVersions.decoded(request.definition_versions, request.documents, engine).for_engine(engine, 0)
    with answering(settings), closing(Logs(settings)) as logs:
        recomputed = RecomputedPartition(logs.inputs(partition), engine, partition, belongs, versions.translated)
        published_of = partial(_published_beyond_redis, settings, logs, partition)
        for number, positions in enumerate(stages):
            if not number:
                recomputed.check(positions)
            # Redis can lack published changes only from before the worker's claim, so they are looked up once.
            yield from _answer(recomputed, positions, None if number else published_of)


def _published_beyond_redis(
    settings: Settings, logs: Logs, partition: int, names: list[str]
) -> dict[str, PublishedChange]:
    """The last published change of those customers of which Redis lacks it."""
    published = newest(record.value for record in logs.open(CHANGES, partition).whole())
    with_changes = [name for name in names if name in published]
    return beyond(published, asyncio.run(sequences_now(settings, partition, with_changes)))


def beyond(published: Mapping[str, PublishedChange], stored: Mapping[str, int]) -> dict[str, PublishedChange]:
    """The last published change of the customers of which fewer changes are ``stored``."""
    return {
        name: published[name]
        for name, count in stored.items()
        if name in published and published[name].sequence > count
    }


def newest(values: Iterable[bytes | None]) -> dict[str, PublishedChange]:
    """By customer, the published change with the highest sequence: repeats of older changes may come after it."""
    changes_by_customer: dict[str, PublishedChange] = {}
    for value in values:
        with contextlib.suppress(msgspec.DecodeError):  # another program wrote this record
            customer_id, change = changes.published_change(value or b"")
            last = changes_by_customer.get(customer_id)
            if last is None or change.sequence >= last.sequence:
                changes_by_customer[customer_id] = change
    return changes_by_customer


def _answer(
    recomputed: RecomputedPartition,
    positions: dict[str, int],
    published_of: Callable[[list[str]], dict[str, PublishedChange]] | None,
) -> Iterator[Frame]:
    """Recompute up to these positions: yield progress, then the customers that had an event, then that it is done."""
    total = sum(positions.values())
    reported_at = time.monotonic()
    for _ in recomputed.steps(positions):
        now = time.monotonic()
        if now - reported_at > _PROGRESS_EVERY_S:
            reported_at = now
            yield Frame(read=recomputed.events, of=total)
    touched = recomputed.take_touched()
    published = published_of(touched) if published_of else {}
    while names := touched[-FRAME:]:
        del touched[-FRAME:]  # frees the names as they are sent
        encoded = [(name, customer_codec.encode(recomputed.customers[name])) for name in names]
        yield Frame(encoded, [(name, published[name]) for name in names if name in published])
    yield Frame(done=True)


if __name__ == "__main__":
    sys.exit(main())
