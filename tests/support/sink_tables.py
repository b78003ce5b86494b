"""What the tables of the sink hold, to compare with a history."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.support.sink_history import SinkHistory, Stay


def stays(connection: psycopg.Connection[Any], schema: str) -> list[Stay]:
    """The stays, as `tests.support.sink_history.SinkHistory.stays_after` gives them."""
    rows = connection.execute(
        "SELECT customer_id, segment, (extract(epoch FROM entered_at) * 1000)::bigint, "
        f"(extract(epoch FROM left_at) * 1000)::bigint FROM {schema}.segment_memberships"
    )
    return sorted((Stay(*row) for row in rows), key=str)


def assert_agrees(connection: psycopg.Connection[Any], schema: str, history: SinkHistory) -> None:
    """The tables hold what follows from a history, and nothing else."""
    assert stays(connection, schema) == history.stays_after()
    expected = {change.change_id: change for change in history.changes_after()}
    rows = connection.execute(
        f"SELECT change_id, customer_id, segment, change, sequence, segments, late, said, data "
        f"FROM {schema}.segment_changes"
    ).fetchall()
    assert {row[0] for row in rows} == expected.keys()
    for change_id, customer_id, segment, kind, sequence, segments, late, sentences, data in rows:
        change = expected[change_id]
        assert (customer_id, segment, kind, sequence, tuple(segments), late) == (
            change.customer_id, change.segment, change.change, change.sequence, change.segments, change.late,
        )  # fmt: skip
        assert isinstance(change.data, dict)
        assert sentences == {"en": change.said["en"].replace("\0", "\ufffd")}
        assert data == {"cart": [{"name": change.data["cart"][0]["name"].replace("\0", "\ufffd")}]}
    decisions = connection.execute(f"SELECT decision_id FROM {schema}.trigger_decisions").fetchall()
    assert {key for (key,) in decisions} == history.decisions_after()
    # The same by SQL alone, from the changes.
    by_window = connection.execute(
        f"SELECT count(*) FROM (SELECT customer_id, segment, occurred_at, sequence, change, lead(occurred_at) OVER "
        f"(PARTITION BY customer_id, segment ORDER BY sequence) AS left_at FROM {schema}.segment_changes) AS stay "
        f"LEFT JOIN {schema}.segment_memberships AS saved ON saved.entered_sequence = stay.sequence "
        "AND saved.customer_id = stay.customer_id AND saved.segment = stay.segment "
        "WHERE change = 'entered' AND (saved.left_at IS DISTINCT FROM stay.left_at OR saved.entered_at IS NULL)"
    ).fetchone()
    assert by_window == (0,)
