"""The status that the page shows: health in one line, the segments, one customer.

The one rule: a value that may be older than it should be is marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from rules.definitions.segments_file import Segment
from rules.times import format_instant
from streams.ops.change_feed import Feed
from streams.ops.responses import CustomerState, Partition, Segments, SegmentState, State, Status, WorkerState
from streams.ops.segment_activity import Counted
from streams.ops.state_poller import Looking
from streams.ops.worker_poller import Workers

# Redis is looked at every second and the changes are asked for all the time; older is stale.
STALE_MS = 5_000
# A watchdog that has used up so much of its time is worth a look.
NEAR = 0.5
_CHANGES_SHOWN = 200


class OpsStatus:
    """All that is looked at."""

    def __init__(
        self, feed: Feed, looking: Looking, workers: Workers, segments: Sequence[Segment], behind_s: float,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """``behind_s``: a partition that is further behind is not well."""
        self.feed = feed
        self.looking = looking
        self.workers = workers
        self._segments = segments
        self._behind_s = behind_s
        self._now_ms = now_ms

    def status(self) -> Status:
        """Everything in one look."""
        workers = self.workers.states()
        bad, doubtful, stale = list(self._bad()), list(self._doubtful(workers)), list(self._stale())
        state: State = "red" if bad or stale else "amber" if doubtful else "green"
        return Status(
            at=format_instant(self._now_ms()),
            state=state,
            sentences=[*stale, *bad, *doubtful] or ["every partition is decided up to now"],
            stale=bool(stale),
            rates=self.workers.rates(),
            partitions=[self._partition(partition) for partition in range(self.looking.partitions)],
            workers=workers,
            series=self.workers.series(),
        )

    def segments(self) -> Segments:
        """All segments of the file."""
        now = self._now_ms()
        counted = format_instant(self.looking.counted_ms) if self.looking.counted_ms else None
        p99s = self.workers.p99s_ms()
        told = [self._segment(one, now, p99s.get(one.key)) for one in self._segments]
        return Segments(format_instant(now), counted, told)

    async def customer(self, customer_id: str, language: str) -> CustomerState | None:
        """As stored, with the changes that are kept. Raises as `Looking.customer`."""
        found = await self.looking.customer(customer_id, language, self._behind_s)
        if found is None:
            return None
        changes = [msgspec.to_builtins(change) for change in self.feed.of(customer_id)[-_CHANGES_SHOWN:]]
        return msgspec.structs.replace(found, changes=changes, changes_since=format_instant(self.feed.since_ms))

    def _bad(self) -> Iterator[str]:
        behind = [at for at in range(self.looking.partitions) if self.looking.behind_s(at) > self._behind_s]
        for partition in behind:
            clock = self.looking.clocks.get(partition)
            yield (
                f"partition {partition} was never decided"
                if clock is None
                else f"partition {partition} is {self.looking.behind_s(partition):.0f} s behind"
            )
        if not self.workers.told:
            yield "no worker answers"

    def _doubtful(self, workers: Iterable[WorkerState]) -> Iterator[str]:
        for worker in workers:
            for sentence in worker.because:
                yield f"{worker.address}: {sentence}"
            for one in worker.watchdogs:
                if one.near > NEAR:
                    yield f"{worker.address}: the watchdog {one.watchdog} is at {100 * one.near:.0f} %"
        silent = [key for key, counted in self.feed.segments.items() if counted.is_silent(self._now_ms())]
        if silent:
            yield f"silent against their usual rate: {', '.join(sorted(silent))}"

    def _stale(self) -> Iterable[str]:
        now = self._now_ms()
        if now - self.looking.seen_ms > STALE_MS:
            yield f"Redis was last seen {_ago(now, self.looking.seen_ms)}"
        if now - self.feed.heard_ms > STALE_MS:
            yield f"the topic of changes was last heard {_ago(now, self.feed.heard_ms)}"

    def _partition(self, partition: int) -> Partition:
        clock = self.looking.clocks.get(partition)
        owner, lag, outbox = self.workers.of_partition(partition)
        behind_s = None if clock is None else self.looking.behind_s(partition)
        return Partition(partition, owner, format_instant(clock) if clock else None, behind_s, lag, outbox)

    def _segment(self, segment: Segment, now: int, p99_ms: float | None) -> SegmentState:
        counted = self.feed.segments.get(segment.key) or Counted()
        counted.forget(now)
        entered, exited = counted.per_minute(now)
        usual = counted.usual_ms()
        members = None if self.looking.members is None else self.looking.members.get(segment.key)
        return SegmentState(
            segment=segment.key,
            title=segment.title,
            members=members,
            entered_per_min=entered,
            exited_per_min=exited,
            p99_ms=p99_ms,
            last_change_at=format_instant(counted.last_ms) if counted.last_ms else None,
            usual_s=None if usual is None else usual / 1000,
            silent=counted.is_silent(now),
            spark=counted.spark(now),
        )


def _ago(now_ms: int, then_ms: int) -> str:
    return f"{(now_ms - then_ms) / 1000:.0f} s ago" if then_ms else "never"
