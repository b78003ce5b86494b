"""The table of memberships against the changes, for both auditors.

The one rule: a row is judged by the newest change of its customer alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.oracle import Json

FIELDS = ("customer_id", "segments", "sequence", "occurred_at", "change_id")


def table(changes: Iterable[Json], rows: Mapping[str, Json], *, exactly_once: bool) -> Iterator[str]:
    """I11: a customer's newest row says what their newest change says. ``rows``: the newest by key.

    A former owner may have set it back where a change of theirs came twice; with transactions that is nowhere.
    """
    newest: dict[str, Json] = {}
    seen: set[object] = set()
    twice: set[str] = set()
    for change in changes:
        name = str(change["customer_id"])
        if change["change_id"] in seen and not exactly_once:
            twice.add(name)
        seen.add(change["change_id"])
        if name not in newest or number(change) >= number(newest[name]):
            newest[name] = change
    for name in sorted((newest.keys() | rows.keys()) - twice):
        wanted = {field: newest[name][field] for field in FIELDS} if name in newest else None
        if rows.get(name) != wanted:
            yield f"I11: of {name} the row is {rows.get(name)}, of the newest change {wanted}"


def number(change: Json) -> int:
    found = change["sequence"]
    assert isinstance(found, int)
    return found
