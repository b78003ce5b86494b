"""``segmenter diff``: previews a segments file on recorded events, before it is applied to customers.

See also: `streams.offline.definitions_comparison`, which compares, and `streams.cli.diff_report`, which prints.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from rules.event_names import INPUTS
from rules.events import Event
from rules.placeholders import Placeholders
from streams.cli.diff_report import document, lines
from streams.cli.input_files import Rejections, opened, with_progress
from streams.cli.terminal import show
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import belonging
from streams.offline.definitions_comparison import DryRun
from streams.offline.recompute import merged
from streams.offline.replay import read
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.settings.definitions_file import load


def run(
    settings: Settings, old: Path, new: Path, file: str | None, *, until: int | None, as_json: bool, examples: int
) -> int:
    """Print the differences between two segments files on the events of ``file``; exit code 1 if a line is unusable.

    Without ``file`` the events are those of the input topics, decided up to now. Raises `DefinitionsError` for a wrong
    segments file, and `Stop`.
    """
    definitions = load(new)
    dry = DryRun(load(old), definitions, examples)
    dead = Rejections()
    if file is None:
        _of_topics(settings, dry, until, definitions.placeholders)
    else:
        with opened(file) as events:
            dry.run(read(with_progress(events, "read"), dead, definitions.placeholders), until)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(document(dry, old, new)) + b"\n")
    else:
        show(lines(dry, old, new))
    if dead.count:
        print(f"{dead.count} dead letters", file=sys.stderr)
    return 1 if dead.count else 0


def _of_topics(settings: Settings, dry: DryRun, until: int | None, placeholders: Placeholders) -> None:
    partitions = admin.verify(settings, NEEDS["diff"].topics).partitions[INPUTS[0]]
    end = int(time.time() * 1000) if until is None else until
    logs = Logs(settings)
    with answering(settings), closing(logs):
        for partition in range(partitions):
            events = retained_events(settings, logs, partition, partitions, placeholders)
            dry.run(with_progress(events, "read", f"events of partition {partition} of {partitions}"), end, links=False)


def retained_events(
    settings: Settings, logs: Logs, partition: int, partitions: int, placeholders: Placeholders
) -> Iterator[Event]:
    """Read the events of a partition that a worker would apply, from the first record that is still there."""
    inputs = [logs.open(name, partition) for name in INPUTS]
    for log in inputs:
        if log.first:
            print(f"{log.name} begins at {log.first}: earlier events were removed by retention", file=sys.stderr)
    belongs = belonging(partitions, settings.partitioner)
    for _, event in merged([log.whole() for log in inputs], partition, [0] * len(inputs), placeholders):
        if event is not None and belongs(event.customer, partition):
            yield event
