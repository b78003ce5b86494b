"""Guards of reading from Kafka; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

MUTANTS = (
    Mutant(
        "a Kafka that falls silent before a claim is logged",
        "streams/kafka/faust_transport.py",
        "self.add_future(transport.watch.run())",
        "pass",
        "tests/integration/kafka/test_silent_kafka.py::test_kafka_falls_silent_before_the_group_is_joined",
    ),
    Mutant(
        "an answer ends the warnings of a silent Kafka",
        "streams/kafka/aiokafka_hooks.py",
        "        answered()\n",
        "        pass\n",
        "tests/integration/kafka/test_silent_kafka.py::test_a_join_that_another_member_holds_up_is_no_silence",
    ),
    Mutant(
        "first records of an open transaction are judged",
        "streams/kafka/output_reader.py",
        'isolation_level="read_uncommitted"',
        'isolation_level="read_committed"',
        "tests/integration/worker/test_partition_counts.py::test_records_of_an_open_transaction_are_judged",
    ),
    Mutant(
        "a failed fetch makes the last answer void",
        "streams/kafka/fetch.py",
        "self._heard[tp] = FetchStatus(None, self.of(tp).at)",
        "pass",
        "tests/unit/kafka/test_faust_transport.py",
    ),
    Mutant(
        "answers from before a claim are forgotten",
        "streams/kafka/fetch.py",
        "self._heard[tp] = FetchStatus(None, self._now())",
        "pass",
        "tests/unit/runtime/test_rebalance_listener.py",
    ),
    Mutant(
        "seek on assignment",
        "streams/kafka/faust_transport.py",
        "await self.seek_now(positions)",
        "pass",
        "tests/unit/kafka/test_faust_transport.py",
    ),
    Mutant(
        "a Kafka that is busy with a join is asked something else",
        "streams/kafka/aiokafka_hooks.py",
        "    watch.request = _metadata_request(client, watch.answered)",
        "    pass",
        "tests/integration/kafka/test_silent_kafka.py::test_a_join_that_another_member_holds_up_is_no_silence",
    ),
    Mutant(
        "records that are read back are handed out by bytes",
        "streams/kafka/record_batches.py",
        "    fetcher.FetchResult.getall = drain\n",
        "",
        "tests/integration/worker/test_poison_pills.py::test_what_is_read_back_comes_in_bounded_pieces",
    ),
    Mutant(
        "batches that are read again are unpacked in pieces",
        "streams/kafka/log_batches.py",
        "    fetcher.MemoryRecords = BoundedLogRecords\n",
        "",
        "tests/unit/kafka/test_record_batches.py::test_kafka_pythons_fetcher_unpacks_what_it_hands_out",
    ),
    Mutant(
        "few records are read again at once",
        "streams/kafka/log_reader.py",
        "_POLL_RECORDS = 50",
        "_POLL_RECORDS = 5_000",
        "tests/integration/worker/test_poison_pills.py::test_a_small_batch_of_many_megabytes",
    ),
    Mutant(
        "reading back lets the loop turn",
        "streams/kafka/output_reader.py",
        "await asyncio.sleep(0)",
        "pass",
        "tests/integration/worker/test_poison_pills.py::test_what_is_read_back_comes_in_bounded_pieces",
    ),
    Mutant(
        "the bytes that are drained at once are bounded",
        "streams/kafka/record_batches.py",
        "if size >= DRAIN_MAX_BYTES or len(records) == limit:",
        "if len(records) == limit:",
        "tests/unit/kafka/test_faust_transport.py",
    ),
    Mutant(
        "batches are unpacked in pieces",
        "streams/kafka/codecs.py",
        "frames.read(PIECE_BYTES)",
        "frames.read()",
        "tests/unit/kafka/test_record_batches.py",
    ),
    Mutant(
        "a record far too large is not held",
        "streams/kafka/record_batches.py",
        "elif length > RECORD_MAX_BYTES:",
        "elif False:",
        "tests/unit/kafka/test_record_batches.py",
    ),
)
