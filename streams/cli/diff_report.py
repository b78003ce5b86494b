"""Reports a dry run: as text to read and as JSON to compute with.

See also: `streams.offline.definitions_comparison`, which makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rules.sentences.reason_sentence import sentence
from rules.times import format_instant
from streams.cli.input_files import visible
from streams.offline.definitions_comparison import (
    HOUR_MS,
    NEW,
    OLD,
    DifferenceKind,
    DryRun,
    SegmentComparison,
    Side,
    Span,
)

CHART_COLUMNS = 48
# Sizes are given by the hour for at most so many hours, else by the day.
HOURLY_MAX = 72
_BARS = " ▁▂▃▄▅▆▇█"
_SIGNS: dict[DifferenceKind, str] = {"gained": "+", "lost": "-"}

Sizes = np.ndarray[Any, np.dtype[np.int64]]


def lines(dry: DryRun, old: Path, new: Path) -> Iterator[str]:
    """The lines of the text: what was read, each segment that differs, and the number of changes in all."""
    if not dry.events:
        yield "no events, so nothing differs"
        return
    yield f"old {old}, new {new}"
    yield (
        f"{dry.events:,} events of {dry.customers:,} customers, {format_instant(dry.first)} to "
        f"{format_instant(dry.last)} ({dry.days:,.1f} days)"
    )
    yield f"{len(dry.unchanged)} segments are unchanged" + (", all others follow" if dry.segments else "")
    for key, segment in dry.segments.items():
        yield ""
        yield from _segment(dry, key, segment)
    yield ""
    was, now = dry.changes[OLD], dry.changes[NEW]
    yield f"changes in all: {was:,} → {now:,}, that is {was / dry.days:,.1f} → {now / dry.days:,.1f} a day"


def _segment(dry: DryRun, key: str, segment: SegmentComparison) -> Iterator[str]:
    spans, old, new = segment.spans(), segment.old, segment.new
    gained, lost = _customers(spans, "gained"), _customers(spans, "lost")
    more, fewer = _lasting(spans, "gained"), _lasting(spans, "lost")
    yield f"{key} ({_state(dry, key)})"
    yield f"  {'':<22}{'old':>12}{'new':>12}"
    yield f"  {'changes a day':<22}{old.changes / dry.days:>12,.1f}{new.changes / dry.days:>12,.1f}"
    yield f"  {'changes':<22}{old.changes:>12,}{new.changes:>12,}"
    yield f"  {'customers ever in it':<22}{len(old.customers):>12,}{len(new.customers):>12,}"
    yield f"  {'members at the end':<22}{old.size:>12,}{new.size:>12,}   {more:,} more, {fewer:,} no longer"
    yield from _charts(dry, old, new)
    yield f"  in it at some time only under the new file: {gained:,} customers; only under the old: {lost:,}"
    for span in spans:
        if span.why is not None:
            yield "  " + _example(span)


def _charts(dry: DryRun, old: Side, new: Side) -> Iterator[str]:
    sizes = [side.sizes(dry.hours.start, len(dry.hours)) for side in (old, new)]
    most = int(max(hourly.max() for hourly in sizes))
    for name, hourly in zip(("size, old file", "size, new file"), sizes, strict=True):
        yield f"  {name:<16}{chart(hourly, most)}  up to {int(hourly.max()):,}"


def chart(sizes: Sizes, most: int) -> str:
    """Draw one character for each piece of the time, as high as the largest size in it; ``most`` is the full height."""
    pieces = np.array_split(sizes, min(CHART_COLUMNS, len(sizes)))
    return "".join(_bar(int(piece.max()), most) for piece in pieces)


def _bar(size: int, most: int) -> str:
    if not size:
        return _BARS[0]
    return _BARS[max(1, round(8 * size / most))]  # a size above 0 is always visible


def _example(span: Span) -> str:
    assert span.why is not None
    until = "the end" if span.until is None else format_instant(span.until)
    did = "enters" if span.why.kind == "entered" else "leaves"
    return (
        f"{_SIGNS[span.kind]} {visible(span.customer)}  {format_instant(span.since)} to {until}  "
        f"{span.by} file {did}: {sentence(span.why.reason)}"
    )


def _customers(spans: list[Span], kind: DifferenceKind) -> int:
    return len({span.customer for span in spans if span.kind == kind})


def _lasting(spans: list[Span], kind: DifferenceKind) -> int:
    """How many differences last to the end."""
    return sum(span.kind == kind and span.until is None for span in spans)


def _state(dry: DryRun, key: str) -> str:
    if key in dry.added:
        return "added"
    return "removed" if key in dry.removed else "changed"


def document(dry: DryRun, old: Path, new: Path) -> dict[str, Any]:
    """The JSON document, with every difference. Times are RFC 3339.

    ``sizes``: the number of members at the end of each step of ``step_ms``, from ``first`` on.
    """
    if not dry.events:
        return {"old": str(old), "new": str(new), "events": 0, "segments": {}}
    return {
        "old": str(old),
        "new": str(new),
        "events": dry.events,
        "customers": dry.customers,
        "first": format_instant(dry.first),
        "until": format_instant(dry.last),
        "changes": {"old": dry.changes[OLD], "new": dry.changes[NEW]},
        "changes_per_day": {"old": dry.changes[OLD] / dry.days, "new": dry.changes[NEW] / dry.days},
        "unchanged": dry.unchanged,
        "segments": {key: _segment_document(dry, key, segment) for key, segment in dry.segments.items()},
    }


def _segment_document(dry: DryRun, key: str, segment: SegmentComparison) -> dict[str, Any]:
    hours = len(dry.hours)
    step = 1 if hours <= HOURLY_MAX else 24
    ends = np.minimum(np.arange(step - 1, hours - 1 + step, step), hours - 1)
    sides = {"old": segment.old, "new": segment.new}
    return {
        "state": _state(dry, key),
        **{name: _side(dry, side) for name, side in sides.items()},
        "sizes": {
            "first": format_instant(dry.hours.start * HOUR_MS),
            "step_ms": step * HOUR_MS,
            **{name: side.sizes(dry.hours.start, hours)[ends].tolist() for name, side in sides.items()},
        },
        "differences": [_difference(span) for span in segment.spans()],
    }


def _side(dry: DryRun, side: Side) -> dict[str, Any]:
    return {
        "entered": side.entered,
        "exited": side.exited,
        "changes_per_day": side.changes / dry.days,
        "customers": len(side.customers),
        "members": side.size,
    }


def _difference(span: Span) -> dict[str, Any]:
    document: dict[str, Any] = {
        "customer": span.customer,
        "kind": span.kind,
        "since": format_instant(span.since),
        "until": None if span.until is None else format_instant(span.until),
    }
    if span.why is not None:
        document["why"] = {"by": span.by, "change": span.why.kind, "said": sentence(span.why.reason)}
    return document
