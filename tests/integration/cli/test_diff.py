"""`segmenter diff --topics`: the topics make the same differences as a file of the same events."""

from __future__ import annotations

import json
from pathlib import Path

from local.servers import Redis, Tansu
from tests.support.commands import on_tansu, segmenter
from tests.support.diff_files import EVENTS, files

__all__ = ["files"]  # the fixture


# --- what the topics hold ----------------------------------------------------------------------


def test_topics_say_what_a_file_says(files: list[str], tansu: Tansu, redis_server: Redis, tmp_path: Path) -> None:
    """Published events make the same differences in all partitions together as in a file, up to a moment."""
    settings = on_tansu(tansu, "diff-", redis=redis_server.url) | {"partitions": 2}
    recorded = tmp_path / "events.jsonl"
    recorded.write_bytes(EVENTS)
    assert segmenter("topics", "create", **settings).code == 0
    assert segmenter("publish", str(recorded), **settings).code == 0
    until = ["--until", "2026-03-01T13:00:00Z", "--json"]
    of_topics = segmenter("diff", *files, "--topics", *until, **settings)
    assert (of_topics.code, of_topics.err) == (0, "")
    of_file = segmenter("diff", *files, str(recorded), *until)
    assert json.loads(of_topics.out) == json.loads(of_file.out)
    now = json.loads(segmenter("diff", *files, "--topics", "--json", **settings).out)
    assert now["until"] > "2026-11-01"
    assert now["segments"]["cart"]["new"]["members"] == 0  # 30 days have gone by


def test_topics_that_are_not_there(files: list[str], tansu: Tansu) -> None:
    """A sentence names the missing topics and how to create them."""
    done = segmenter("diff", *files, "--topics", **on_tansu(tansu, "diff-none-"))
    assert done.code == 75
    assert "topics are missing" in done.err
