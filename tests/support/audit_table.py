"""The table of memberships against the changes, for both auditors.

The one rule: a row is judged by the newest change of its customer alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.oracle.oracle import Json, milliseconds

NOBODY: Mapping[str, int | None] = {}
FIELDS = ("customer_id", "segments", "sequence", "occurred_at", "change_id")


def table(
    changes: Iterable[Json],
    rows: Mapping[str, Json | None],
    *,
    erased: Mapping[str, int | None] = NOBODY,
) -> Iterator[str]:
    """I11: a customer's newest row says what its newest change says. ``rows``: the newest by key.

    ``erased``: erasure time (ms), ``None`` if unknown; a customer that was erased after its newest change has no row.
    """
    newest: dict[str, Json] = {}
    for change in changes:
        name = str(change["customer_id"])
        if name not in newest or number(change) >= number(newest[name]):
            newest[name] = change
    for name in sorted(newest.keys() | rows.keys()):
        wanted = {field: newest[name][field] for field in FIELDS} if name in newest else None
        row = rows.get(name)
        if row is None and name in erased:
            at = erased[name]
            if at is None or wanted is None or milliseconds(str(wanted["occurred_at"])) <= at:
                continue
        if row != wanted:
            yield f"I11: the row of {name} is {row}, its newest change says {wanted}"


def number(change: Json) -> int:
    sequence = change["sequence"]
    assert isinstance(sequence, int)
    return sequence
