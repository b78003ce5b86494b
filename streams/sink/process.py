"""The process ``segmenter sink``: reads changes, rows and decisions from Kafka, and writes them to PostgreSQL.

    segment-changes, trigger-decisions      written as they come
    segment-memberships                     each row waits until everything published before it is written

The one rule: a row, or the deletion of one, is applied once all changes before it are. So it says only what the changes
do not: who was in a segment before the first change that is still there, and who was erased.

It is in no consumer group: how far it has read is in the database, saved with what it wrote (`streams.sink.tables`).
While PostgreSQL or Kafka is away it tries again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import psycopg
from kafka import TopicPartition
from kafka.errors import KafkaError

from streams.kafka import admin
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.sink import database
from streams.sink.reader import ReadRecords, SinkReader, place_of
from streams.sink.tables import Place, ReadingProgress, Tables
from streams.stop import Stop
from streams.wire.topics import CHANGES, MEMBERSHIPS, TRIGGER_DECISIONS

log = logging.getLogger(__name__)

_POLL_MS = 500
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 30.0
_REPORT_S = 60.0


class _Away(Exception):
    """PostgreSQL or Kafka does not answer by now; the text says which, and why."""


def run(settings: Settings, *, once: bool) -> None:
    """Write until the process is ended, or, with ``once``, up to the present ends of the topics. Raises `Stop`."""
    topics = _topics(settings)
    is_first, retry_s = True, _RETRY_FIRST_S
    while True:
        try:
            with _connected(settings, topics, is_first=is_first) as writing:
                is_first = False
                for _ in writing.rounds(once=once):
                    retry_s = _RETRY_FIRST_S
                return
        except _Away as error:
            log.warning("the sink tries again", extra={"reason": str(error), "wait_s": retry_s})
        time.sleep(retry_s)
        retry_s = min(2 * retry_s, _RETRY_MAX_S)


@contextmanager
def _connected(settings: Settings, topics: admin.ClusterTopics, *, is_first: bool) -> Iterator[_Writing]:
    """Connect to both sides. Raises `Stop` where that fails at the start of the process, later `_Away`."""
    try:
        with database.connect(settings) as connection, closing(_reader(settings, topics, is_first=is_first)) as reader:
            is_first = False
            tables = Tables(connection, settings.postgres_schema)
            yield _Writing(reader, tables, topics.cluster, settings.topic_prefix)
    except psycopg.Error as error:
        why = database.reason(error)
        if is_first:
            raise Stop(f"PostgreSQL does not answer ({why}); see SEGMENTER_POSTGRES") from None
        if database.is_lasting(error):
            raise Stop(f"PostgreSQL refuses what the sink does: {why}; see docs/guide/analysis.md") from None
        raise _Away(f"PostgreSQL: {why}") from None
    except KafkaError as error:
        raise _Away(f"Kafka: {type(error).__name__}") from None


def _reader(settings: Settings, topics: admin.ClusterTopics, *, is_first: bool) -> SinkReader:
    try:
        return SinkReader(settings, topics.partitions)
    except Stop as error:
        if is_first:
            raise
        raise _Away(str(error)) from None


def _topics(settings: Settings) -> admin.ClusterTopics:
    """The topics to read; that of decisions may be missing."""
    use = NEEDS["sink"].topics
    existing = admin.find(settings, use).partitions
    if TRIGGER_DECISIONS not in existing:
        log.info("there is no topic of decisions, so none are written; start the sink again once it is created")
    names = {CHANGES, MEMBERSHIPS, *existing}
    return admin.verify(settings, use.of([name for name in use.names if name in names]))


class _Writing:
    """The rounds of reading and writing, by one connection to each side."""

    def __init__(self, reader: SinkReader, tables: Tables, cluster: str, prefix: str) -> None:
        self._reader = reader
        self._tables = tables
        self._cluster = cluster
        self._prefix = prefix
        self._count = 0
        self._report_at = time.monotonic() + _REPORT_S

    def rounds(self, *, once: bool) -> Iterator[None]:
        """Read and write, and yield after each transaction. Raises `Stop` and `psycopg.Error`."""
        reader = self._reader
        self._tables.create()
        unread = reader.unread()
        reader.begin(unread, self._progress(unread))
        log.info("reads from Kafka and writes to PostgreSQL", extra={"schema": self._tables.schema})
        ends = {tp: progress.first_end or 0 for tp, progress in unread.items()}
        yield from self._write_others(reader.first_ends(reader.others))
        self._end_first_readings([*reader.others, *reader.rows])
        while not (once and reader.has_written(ends)):
            others, rows = reader.poll(_POLL_MS)
            self._write(others)
            if rows.records:
                yield from self._write_others(reader.ends(reader.others))
            self._write(rows)
            self._end_first_readings(reader.rows)
            self._report()
            yield

    def _progress(self, unread: Mapping[TopicPartition, ReadingProgress]) -> Mapping[Place, ReadingProgress]:
        return self._tables.begin(self._cluster, self._prefix, {place_of(tp): each for tp, each in unread.items()})

    def _write_others(self, ends: Mapping[TopicPartition, int]) -> Iterator[None]:
        """Write everything but rows, up to these ends."""
        self._reader.pause_rows(paused=True)
        while not self._reader.has_written(ends):
            others, _ = self._reader.poll(_POLL_MS)
            self._write(others)
            self._report()
            yield
        self._reader.pause_rows(paused=False)

    def _write(self, batch: ReadRecords) -> None:
        """Write a batch; if PostgreSQL refuses a record, all others. Raises `psycopg.Error`."""
        if not batch.moves:
            return
        try:
            self._tables.write(batch.records, batch.moves)
        except psycopg.Error as error:
            if not database.is_of_data(error):
                raise
            self._write_apart(batch)
        self._reader.written(batch)
        self._count += len(batch.records)

    def _write_apart(self, batch: ReadRecords) -> None:
        """Write the records of a batch one by one, and refuse those that PostgreSQL refuses."""
        for record in batch.records:
            try:
                self._tables.write([record], {})
            except psycopg.Error as error:
                if not database.is_of_data(error):
                    raise
                refused = record.refused(database.reason(error))
                log.warning(
                    "PostgreSQL refuses a record, which is left out",
                    extra={"log": f"{record.topic}-{record.partition}", "offset": record.offset},
                )
                self._tables.write([refused], {})
        self._tables.write([], batch.moves)

    def _end_first_readings(self, places: list[TopicPartition]) -> None:
        for tp, end in self._reader.first_ends(places).items():
            if self._reader.has_written({tp: end}):
                self._tables.end_first_reading(place_of(tp), rows=self._reader.names[tp.topic] == MEMBERSHIPS)
                self._reader.end_first_reading(tp)

    def _report(self) -> None:
        if time.monotonic() >= self._report_at:
            log.info("written to PostgreSQL", extra={"records": self._count, "behind": self._reader.behind()})
            self._count, self._report_at = 0, time.monotonic() + _REPORT_S
