"""``segmenter tail``: prints segment changes as they come, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
from kafka import KafkaConsumer
from rich.text import Text

from rules.sentences.reason_sentence import embedded
from streams.cli.input_files import shown_data, visible
from streams.cli.terminal import console
from streams.kafka.admin import verify
from streams.kafka.client import answering, connect
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.wire import changes
from streams.wire.topics import CHANGES


def line(change: changes.SegmentChange, language: str = "en") -> Text:
    """Describe a change: its time, segment, customer and reason, in a language of `rules.sentences`."""
    entered = change.change == "entered"
    text = Text()
    text.append(change.occurred_at[11:], style="dim")
    text.append("  + " if entered else "  - ", style="bold green" if entered else "bold red")
    text.append(f"{change.segment:<20}", style="green" if entered else "red")
    text.append(f" {visible(change.customer_id)}", style="bold")
    text.append("  " + ("by time: " if change.cause.kind == "time" else ""), style="dim")
    text.append(embedded(change.reason, language), style="dim")
    if change.late:
        text.append("  late", style="yellow")
    if change.data:
        text.append(f"  carries {shown_data(change.data)}", style="dim")
    return text


def run(settings: Settings, *, from_beginning: bool, count: int | None, language: str = "en") -> int:
    """Print changes until interrupted, or ``count`` of them. Raises `Stop`."""
    # A consumer of a missing topic may create it, with another number of partitions.
    verify(settings, NEEDS["tail"].topics)
    screen = console()
    with answering(settings):
        consumer = connect(
            settings,
            KafkaConsumer,
            settings.topic_prefix + CHANGES,
            auto_offset_reset="earliest" if from_beginning else "latest",
            enable_auto_commit=False,
        )
        try:
            for change in islice(_changes(consumer), count):
                screen.print(line(change, language), soft_wrap=not screen.is_terminal)
        finally:
            consumer.close()
    return 0


def _changes(records: Iterable[Any]) -> Iterator[changes.SegmentChange]:
    """Decode the records that are segment changes; other programs may have written others, which are reported."""
    for record in records:
        try:
            yield changes.decode(record.value or b"")
        except msgspec.DecodeError as error:
            where = f"{record.topic}-{record.partition}, offset {record.offset}"
            print(f"segmenter tail: {where} is no segment change ({error})", file=sys.stderr)
