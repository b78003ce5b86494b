"""Guards of the worker; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

MUTANTS = (
    Mutant(
        "a step has fewer customers where they are large",
        "streams/worker/step_size.py",
        "batch_max=min(pace.batch_max, customers)",
        "batch_max=pace.batch_max",
        "tests/unit/worker/test_step_size.py",
    ),
    Mutant(
        "topics that got more partitions are refused",
        "streams/worker/claim.py",
        "if unchecked := unread - config.placed:",
        "if unchecked := set[int]():",
        "tests/unit/runtime/test_rebalance_listener.py::test_topics_that_got_more_partitions",
    ),
    Mutant(
        "a worker with only a new partition looks at the others, too",
        "streams/worker/placement.py",
        "if await _check(outputs, unread, belong) and others:",
        "if await _check(outputs, unread, belong) and False:",
        "tests/unit/runtime/test_rebalance_listener.py::test_a_worker_that_has_a_new_partition_alone",
    ),
    Mutant(
        "a process looks at first records once",
        "streams/worker/claim.py",
        "config.placed.update(await placement.check(assignment.outputs, unchecked, others, config.belong))",
        "await placement.check(assignment.outputs, unchecked, others, config.belong)",
        "tests/unit/runtime/test_rebalance_listener.py::test_first_records_are_looked_at_once",
    ),
    Mutant(
        "the check of placement waits for a partition without records",
        "streams/worker/placement.py",
        "not (is_late and head.count)",
        "not is_late",
        "tests/unit/worker/test_placement.py::test_first_records_that_come_late_are_waited_for",
    ),
    Mutant(
        "the wait for more records begins at the first record",
        "streams/worker/placement.py",
        'until = float("inf")',
        "until = time.monotonic() + READ_MAX_S",
        "tests/unit/worker/test_placement.py::test_more_of_a_partition_is_not_waited_for_long",
    ),
    Mutant(
        "the wait for more records is short",
        "streams/worker/placement.py",
        "is_late = time.monotonic() > until",
        "is_late = False",
        "tests/unit/worker/test_placement.py::test_more_of_a_partition_is_not_waited_for_long",
    ),
    Mutant(
        "customers of another number of partitions are seen",
        "streams/worker/placement.py",
        "if misplaced >= MISPLACED_MIN and misplaced * ONE_IN > count:",
        "if False:",
        "tests/unit/worker/test_placement.py::test_customers_of_another_number_are_seen",
    ),
    Mutant(
        "some misplaced customers do not stop a start",
        "streams/worker/placement.py",
        " and misplaced * ONE_IN > count:",
        ":",
        "tests/unit/worker/test_placement.py::test_strangers_among_customers_are_no_sign",
    ),
    Mutant(
        "an event that fits into no record is not sent on",
        "streams/worker/segmenter.py",
        "if identity_records.fits(event):",
        "if True:",
        "tests/unit/rules/test_profile_merge.py",
    ),
    Mutant(
        "an erasure along is found by its notice alone",
        "streams/worker/erasure_scan.py",
        'elif b"notice" in value[:_KIND_WITHIN_BYTES]:\n            event = identity_records.read(value, record.key)\n'
        "            if isinstance(event, ErasureNotice):",
        "else:\n            event = identity_records.read(value, record.key)\n"
        "            if isinstance(event, CascadedErasure):",
        "tests/simulation/test_erasure.py",
    ),
    Mutant(
        "a repeat replaces no newer row",
        "streams/worker/output_recovery.py",
        "if newest.sequence < customer.sequence and not customer.is_gone:",
        "if False:",
        "tests/simulation/test_recovery.py",
    ),
    Mutant(
        "a row of the outbox replaces no newer row",
        "streams/worker/output_recovery.py",
        "or record.key in customers or is_newest(record)",
        "or True",
        "tests/simulation/test_recovery.py",
    ),
    Mutant(
        "numbers go on from the topic for a customer that Redis lost",
        "streams/worker/customer_migration.py",
        "    customer.sequence = published.sequence\n    return published",
        "    return published",
        "tests/simulation/test_rebuild.py",
    ),
    Mutant(
        "a change of a former version is cut before it is published",
        "streams/worker/output_recovery.py",
        "[bounded(record) for record in decode_entry(entry)]",
        "decode_entry(entry)",
        "tests/unit/wire/test_output_bounds.py",
    ),
)
