"""The tables of the sink in PostgreSQL, and the one transaction that writes a batch with the progress of reading.

The one rule: what was read and how far reading has come are saved together. So a sink that ends in between reads the
same records again and finds none of them written, and two sinks cannot both write: the second to save finds that
reading has come further than it knows, and stops.

See also: `streams.sink.batch`, which writes the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from streams.sink.batch import BatchWriter, erase
from streams.sink.records import SinkRecord
from streams.stop import Stop

Place = tuple[str, int]  # a topic, and a partition


class ReadingProgress(msgspec.Struct, frozen=True):
    """How far a partition was read. ``first_end``: its end at the first reading; ``None``: that is over."""

    next_offset: int
    first_end: int | None


class Tables:
    """The tables in one schema of a database, by one connection."""

    def __init__(self, connection: psycopg.Connection[TupleRow], schema: str) -> None:
        self._connection = connection
        self.schema = schema

    def create(self) -> None:
        """Create the tables that are missing."""
        with self._transaction() as cursor:
            # Two sinks that start at once must not both create a table.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"segmenter sink {self.schema}"])
            # No statement is run without need: a later start may be by a role which may create nothing.
            cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", [self.schema])
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
            cursor.execute("SHOW server_encoding")
            if cursor.fetchone() != ("UTF8",):
                raise Stop("the database of SEGMENTER_POSTGRES cannot hold every text; create one with ENCODING 'UTF8'")
            cursor.execute("SELECT to_regclass('sink_progress')")
            if cursor.fetchone() == (None,):
                cursor.execute(files("streams.sink").joinpath("schema.sql").read_bytes())

    def begin(self, cluster: str, prefix: str, places: Mapping[Place, ReadingProgress]) -> dict[Place, ReadingProgress]:
        """The progress of these partitions; that of one which was never read is the one given. Raises `Stop`.

        ``prefix``: of the topics' names.
        """
        source = (cluster, prefix)
        with self._transaction() as cursor:
            cursor.execute("INSERT INTO sink_source SELECT %s, %s WHERE NOT EXISTS (SELECT FROM sink_source)", source)
            cursor.execute("SELECT cluster, topic_prefix FROM sink_source")
            if cursor.fetchone() != source:
                raise Stop(
                    f"the schema {self.schema} holds what was read from another Kafka cluster, or with another topic "
                    "prefix; give SEGMENTER_POSTGRES_SCHEMA another name, and the sink reads all from their start"
                )
            rows = [(*place, progress.next_offset, progress.first_end) for place, progress in places.items()]
            cursor.executemany(
                "INSERT INTO sink_progress (topic, kafka_partition, next_offset, first_end) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                rows,
            )
            cursor.execute("SELECT topic, kafka_partition, next_offset, first_end FROM sink_progress")
            saved = {(topic, partition): ReadingProgress(*rest) for topic, partition, *rest in cursor.fetchall()}
        return {place: saved[place] for place in places}

    def write(self, records: Sequence[SinkRecord], positions: Mapping[Place, tuple[int, int]]) -> None:
        """Write records, and how far each partition was read: from where, and to where. Raises `Stop`.

        Raises `psycopg.Error`; then nothing is written.
        """
        with self._transaction() as cursor:
            for (topic, partition), (before, after) in positions.items():
                cursor.execute(
                    "UPDATE sink_progress SET next_offset = %s, written_at = now() "
                    "WHERE topic = %s AND kafka_partition = %s AND next_offset = %s",
                    [after, topic, partition, before],
                )
                if cursor.rowcount != 1:
                    raise Stop(f"another sink writes to the schema {self.schema}, too; end one of them")
            if records:
                BatchWriter(cursor, records).write()

    def end_first_reading(self, place: Place, *, rows: bool) -> None:
        """Note that a partition was read to the end that it had at first.

        ``rows``: it is one of the membership table. Then customers whose changes were on the topic but who have no
        row were erased before this sink began.
        """
        with self._transaction() as cursor:
            topic, partition = place
            if rows:
                cursor.execute(
                    "SELECT customer_id, greatest(sequence, (SELECT max(sequence) FROM trigger_decisions AS decision "
                    "WHERE decision.customer_id = customer.customer_id)) FROM sink_customers AS customer "
                    "WHERE kafka_partition = %s AND needs_row",
                    [partition],
                )
                erase(cursor, dict(cursor.fetchall()))
            cursor.execute(
                "UPDATE sink_progress SET first_end = NULL WHERE topic = %s AND kafka_partition = %s",
                [topic, partition],
            )

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[TupleRow]]:
        """A cursor within a transaction, in which names are those of the schema."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # Of this transaction alone, so that a pooler may give each one to another connection.
            cursor.execute("SELECT set_config('search_path', %s, true)", [self.schema])
            yield cursor
