"""Steps: the events that a sequence may be made of, and the walk that matches a sequence (`latest_start`).

Only the stored entries decide. One walk over them in (time, message id) order gives the latest start of a
complete sequence.

Bound: 256 entries. Beyond it, entries that another one of the same step and value follows directly are dropped first,
as the newer one serves as well (``thin``; not where orders are steps, too, as those are stored elsewhere and may lie
between); then the oldest. So a sequence whose steps lie more than 256 changes of step apart is not found, and the other
steps of a late event may have been dropped. Of a property that is a list, the first 32 values of an event are shared.

See also: `rules.facts.steps` (the fact that needs them).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from rules.profile import deduplication

ENTRIES_MAX = 256
SAME_MAX = 32

# An entry: (time, message id, bit i: it can be step i, hash of the value that all steps share or 0).
StepEntry = tuple[int, str, int, int]


def add(newest: list[StepEntry], entries: Sequence[StepEntry], window: int | None, ends: int, *, thin: bool) -> bool:
    """Add an event's entries in place; whether a complete sequence may now begin otherwise.

    ``ends``: the mask of the last step; 0: that step is not among these entries. A newest entry that is no last step
    completes nothing.
    """
    new = False
    for entry in entries:
        new = deduplication.insert(newest, entry, _key) or new
    if not new:
        return False
    full = len(newest) > ENTRIES_MAX
    _bound(newest, window, thin)
    last_entry = newest[-1]
    return full or not ends or last_entry[2] & ends > 0 or last_entry[:2] != entries[0][:2]


def merge(mine: list[StepEntry], theirs: list[StepEntry], window: int | None, *, thin: bool) -> list[StepEntry]:
    """Merge the entries of two profiles: the result is that of all events of both."""
    merged = deduplication.merged((*mine, *theirs), _key)
    if merged:
        _bound(merged, window, thin)
    return merged


def latest_start(entries: Sequence[StepEntry], steps: int) -> int:
    """The latest time at which a complete sequence began; 0 when there is none."""
    starts: dict[int, list[int]] = {}
    for time, _, mask, value in entries:
        reached = starts.setdefault(value, [0] * steps)
        # From the last step down, so that one event counts as one step only.
        for step in range(steps - 1, 0, -1):
            if mask >> step & 1 and reached[step - 1] > reached[step]:
                reached[step] = reached[step - 1]
        if mask & 1:
            reached[0] = time
    return max((reached[-1] for reached in starts.values()), default=0)


def _key(entry: StepEntry) -> tuple[int, tuple[str, int]]:
    """The key of an entry: a message with several values of the shared property has several entries."""
    return entry[0], (entry[1], entry[3])


def _bound(newest: list[StepEntry], window: int | None, thin: bool) -> None:
    if window is not None and newest[0][0] <= (frontier := newest[-1][0] - window):
        del newest[: bisect_left(newest, (frontier + 1,))]
    if len(newest) > ENTRIES_MAX:
        if thin:
            newest[:] = _thinned(newest)
        del newest[:-ENTRIES_MAX]


def _thinned(entries: list[StepEntry]) -> list[StepEntry]:
    """Thin out runs of one value that can be the same steps, to as many of the newest as there are steps."""
    newest: list[StepEntry] = []
    runs: dict[int, tuple[int, int]] = {}  # by value: the run's mask, how many of it are taken
    for entry in reversed(entries):
        mask, value = entry[2], entry[3]
        run_mask, taken = runs.get(value, (0, 0))
        taken = taken if mask == run_mask else 0
        if taken < mask.bit_count():
            newest.append(entry)
        runs[value] = (mask, taken + 1)
    return newest[::-1]
