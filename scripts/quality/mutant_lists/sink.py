"""Guards of the sink, which writes to PostgreSQL; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

_TABLES = "tests/integration/sink/test_tables.py"

MUTANTS = (
    Mutant(
        "a change that was read before changes no stay",
        "streams/sink/stays.py",
        "if change.sequence <= self.sequence:",
        "if change.sequence < 0:",
        "tests/unit/sink/test_stays.py",
    ),
    Mutant(
        "a membership is taken over where changes are missing",
        "streams/sink/stays.py",
        "if not is_next:",
        "if is_next and not self.sequence:",
        "tests/unit/sink/test_stays.py",
    ),
    Mutant(
        "an erasure ends at its change",
        "streams/sink/stays.py",
        "for key, stay in self.changed.items() if stay.entered_sequence > upto",
        "for key, stay in self.changed.items() if stay.entered_sequence > upto + 1",
        "tests/unit/sink/test_stays.py",
    ),
    Mutant(
        "what was erased stays away",
        "streams/sink/batch.py",
        "return content.sequence > self._erased_to.get(content.customer_id, 0)",
        "return content.sequence > 0",
        f"{_TABLES}::test_what_the_tables_hold",
    ),
    Mutant(
        "rows of an erased customer are deleted",
        "streams/sink/batch.py",
        '"DELETE FROM segment_changes WHERE customer_id = %s AND sequence <= %s"',
        '"DELETE FROM segment_changes WHERE customer_id = %s AND sequence < %s"',
        f"{_TABLES}::test_what_the_tables_hold",
    ),
    Mutant(
        "two sinks do not both write",
        "streams/sink/tables.py",
        "if cursor.rowcount != 1:",
        "if cursor.rowcount > 1:",
        f"{_TABLES}::test_two_sinks_do_not_both_write",
    ),
    Mutant(
        "U+0000 is replaced",
        "streams/sink/batch.py",
        'if "\\\\u0000" not in encoded:',
        "if encoded:",
        f"{_TABLES}::test_any_text_is_stored",
    ),
    Mutant(
        "customers without a row were erased before",
        "streams/sink/tables.py",
        "WHERE kafka_partition = %s AND needs_row",
        "WHERE kafka_partition = %s AND NOT needs_row",
        f"{_TABLES}::test_who_has_no_row_was_erased_before",
    ),
    Mutant(
        "a tombstone names the last change before the erasure",
        "streams/wire/step_records.py",
        "records.append(tombstone(customer_id, customer_of(customer_id).sequence))",
        "records.append(tombstone(customer_id, None))",
        "tests/unit/wire/test_memberships.py",
    ),
)
