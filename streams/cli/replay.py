"""``segmenter replay``: decides recorded events, and writes the changes as JSON lines.

It changes nothing that is stored: what brings stored customers to a new file is `streams.worker.backfill`, and
`streams.worker.rebuild_handover` reads all events again.

See also: `streams.offline.replay`.
"""

from __future__ import annotations

import sys

from rules.engine import Engine
from rules.times import parse_instant
from streams.cli.input_files import Rejections, opened, with_progress
from streams.offline.replay import Replay, read
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.wire import changes


def run(settings: Settings, file: str, definitions_file: str | None, until: str | None) -> int:
    """Replay a file of events; exit code 1 if a line is unusable, 2 for a wrong ``until``."""
    until_ms = None if until is None else parse_instant(until)
    if until is not None and until_ms is None:
        print(
            f"segmenter replay: --until {until} is no RFC 3339 time such as 2026-11-22T10:30:00Z",
            file=sys.stderr,
        )
        return 2
    definitions = load(definitions_file or settings.definitions)
    dead = Rejections()
    out = sys.stdout.buffer
    with opened(file) as lines:
        events = read(with_progress(lines, "read"), dead, definitions.placeholders)
        for change in Replay(Engine(definitions)).run(events, until_ms):
            out.write(changes.encode(changes.of(change)) + b"\n")
    out.flush()
    if dead.count:
        print(f"{dead.count} dead letters", file=sys.stderr)
    return 1 if dead.count else 0


def replayed(engine: Engine, file: str) -> Replay:
    """Replay a file to its end, for the customers; lines that cannot be used are reported on stderr and left out."""
    replay = Replay(engine)
    with opened(file) as lines:
        events = read(with_progress(lines, "read"), Rejections(), engine.definitions.placeholders)
        for _ in replay.run(events):
            pass  # the changes are not needed
    return replay
