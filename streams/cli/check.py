"""``segmenter check``: is a segments file right, and if not, where; what does it ask, and of how many."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rules.definition_migration import short
from rules.definitions import describe
from rules.definitions.segments_file import Definitions, Segment
from rules.engine import Engine
from rules.times import words
from streams.cli.replay import replayed
from streams.cli.terminal import show
from streams.definitions_file import load
from streams.settings import Settings


def run(
    settings: Settings,
    file: str | None,
    *,
    explain: bool,
    events: str | None,
    minimum: int,
    triggers: str | None = None,
    against: Path | None = None,
) -> int:
    """Raises `rules.definitions.segments_file.DefinitionsError`, whose text is the answer."""
    path = file or settings.definitions
    definitions = load(path)
    name = "rules/segments.yaml (built in)" if path is None else str(path)
    show([f"{name}: {len(definitions.segments)} segments, fingerprint {definitions.fingerprint}"])
    for segment in sorted(definitions.segments, key=lambda segment: segment.key):
        show([f"  {segment.key}  {segment.title}  ({segment.fingerprint})"])
        if explain:
            show(f"      {line}" for line in explained(definitions, segment))
    if against is not None:
        show(compared(load(against), definitions, str(against)))
    if triggers is not None:
        _check_triggers(Path(triggers), definitions)
    if events is not None:
        _warn_of_small(definitions, events, minimum)
    return 0


def explained(definitions: Definitions, segment: Segment) -> list[str]:
    """One segment in words: what it asks, its events and windows, what it costs per customer."""
    names = describe.events(segment, definitions)
    return [
        describe.sentence(segment),
        f"events: {', '.join(names) or 'none: time or chance alone'}",
        f"windows: {', '.join(describe.windows(segment)) or 'none'}",
        f"keeps of a customer: at most about {describe.bytes_most(segment, definitions):,} bytes",
    ]


def compared(old: Definitions, new: Definitions, name: str) -> list[str]:
    """What becomes of each segment where a worker goes on from another file."""
    before = {segment.key: segment.fingerprint for segment in old.segments}
    missing = {one.segment: one.for_ms for one in short(old, new)}
    lines = [f"for a worker that ran {name} until now; what that did not keep starts from now:"]
    for segment in sorted(new.segments, key=lambda segment: segment.key):
        was = before.get(segment.key)
        state = "new" if was is None else "as it was" if was == segment.fingerprint else "changed"
        lines.append(f"  {segment.key}: {state}, {_known(missing, segment.key)}")
    lines += [f"  {key}: removed; whoever is in it leaves" for key in sorted(before.keys() - {*_keys(new)})]
    return lines


def _keys(definitions: Definitions) -> list[str]:
    return [segment.key for segment in definitions.segments]


def _known(missing: Mapping[str, int | None], key: str) -> str:
    if key not in missing:
        return "decided at once by what is known"
    for_ms = missing[key]
    return "starts from now, complete " + ("for whoever tells it anew" if for_ms is None else f"after {words(for_ms)}")


def _check_triggers(path: Path, definitions: Definitions) -> None:
    """Raises `DefinitionsError`."""
    from streams.triggers import config_file as triggers_file  # noqa: PLC0415  # as above
    from streams.triggers import describe as triggers_describe  # noqa: PLC0415  # brings the clients of channels with it

    file = triggers_file.load(path, definitions)
    print(f"{path}: {len(file.triggers)} triggers, {len(file.channels)} channels")
    show(f"  {line}" for line in triggers_describe.sentences(file))


def _warn_of_small(definitions: Definitions, events: str, minimum: int) -> None:
    """How many customers each segment holds at the end of recorded events; a warning where they are few."""
    engine = Engine(definitions)
    known = replayed(engine, events).customers
    sizes = Counter(key for customer in known.values() for key in engine.membership(customer))
    print(f"of {len(known):,} customers at the end of {events}:")
    for segment in sorted(definitions.segments, key=lambda segment: segment.key):
        print(f"  {sizes[segment.key]:>9,}  {segment.key}")
    for segment in sorted(definitions.segments, key=lambda segment: segment.key):
        if sizes[segment.key] < minimum:
            told = f"{segment.key} would hold {sizes[segment.key]:,} customers, fewer than {minimum:,}"
            print(f"warning: {told}", file=sys.stderr)
