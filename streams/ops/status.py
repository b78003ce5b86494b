"""The status that the page shows: health in one line, the segments, one customer.

A value that may be older than it should be is marked as such.

See also: `streams.ops.state_poller`, `streams.ops.worker_poller` and `streams.ops.change_feed`, its three sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from rules.definitions.segments_file import Segment
from rules.times import format_instant
from streams.ops.change_feed import ChangeFeed
from streams.ops.responses import CustomerState, Partition, Segments, SegmentState, Status, StatusColour, WorkerState
from streams.ops.segment_activity import SegmentActivity
from streams.ops.state_poller import StatePoller
from streams.ops.worker_poller import WorkerPoller

# Redis is polled every second and the topic of changes all the time, so what is older than this is stale.
STALE_MS = 5_000
# A watchdog that has used up more than this share of its time is reported.
NEAR = 0.5
_CHANGES_SHOWN = 200


class OpsStatus:
    """Puts together what the page shows."""

    def __init__(
        self, feed: ChangeFeed, poller: StatePoller, workers: WorkerPoller, segments: Sequence[Segment],
        behind_s: float, now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """``behind_s``: a partition that is further behind than this is reported."""
        self.feed = feed
        self.poller = poller
        self.workers = workers
        self._segments = segments
        self._behind_s = behind_s
        self._now_ms = now_ms

    def status(self) -> Status:
        """The state of everything: red if something is wrong or cannot be known, amber if it may become wrong."""
        workers = self.workers.states()
        bad = list(self._bad())
        doubtful = list(self._doubtful(workers))
        stale = list(self._stale())
        return Status(
            at=format_instant(self._now_ms()),
            state=_color(is_red=bool(bad or stale), is_amber=bool(doubtful)),
            sentences=[*stale, *bad, *doubtful] or ["every partition is decided up to now"],
            stale=bool(stale),
            rates=self.workers.rates(),
            partitions=[self._partition(partition) for partition in range(self.poller.partitions)],
            workers=workers,
            series=self.workers.series(),
        )

    def segments(self) -> Segments:
        """All segments of the definitions."""
        now = self._now_ms()
        counted_at = format_instant(self.poller.counted_ms) if self.poller.counted_ms else None
        p99s = self.workers.p99s_ms()
        states = [self._segment(segment, now, p99s.get(segment.key)) for segment in self._segments]
        return Segments(format_instant(now), counted_at, states)

    async def customer(self, customer_id: str, language: str) -> CustomerState | None:
        """A customer with its last changes; `None` if it is not stored. Raises what `StatePoller.customer` does."""
        state = await self.poller.customer(customer_id, language, self._behind_s)
        if state is None:
            return None
        changes = [msgspec.to_builtins(change) for change in self.feed.of(customer_id)[-_CHANGES_SHOWN:]]
        return msgspec.structs.replace(state, changes=changes, changes_since=format_instant(self.feed.since_ms))

    def _bad(self) -> Iterator[str]:
        """The sentences on what is wrong."""
        for partition in range(self.poller.partitions):
            behind_s = self.poller.behind_s(partition)
            if behind_s <= self._behind_s:
                continue
            if partition in self.poller.clocks:
                yield f"partition {partition} is {behind_s:.0f} s behind"
            else:
                yield f"partition {partition} has no state yet"
        if not self.workers.reports:
            yield "no worker answers"

    def _doubtful(self, workers: Iterable[WorkerState]) -> Iterator[str]:
        """The sentences on what may become wrong."""
        for worker in workers:
            for sentence in worker.because:
                yield f"{worker.address}: {sentence}"
            for watchdog in worker.watchdogs:
                if watchdog.near > NEAR:
                    yield f"{worker.address}: the watchdog {watchdog.watchdog} is at {100 * watchdog.near:.0f} %"
        silent = [key for key, activity in self.feed.segments.items() if activity.is_silent(self._now_ms())]
        if silent:
            yield f"no changes for much longer than usual: {', '.join(sorted(silent))}"

    def _stale(self) -> Iterable[str]:
        """The sentences on sources that were not read for too long, so that the page may show old values."""
        now = self._now_ms()
        if now - self.poller.polled_ms > STALE_MS:
            yield f"Redis was last read {_ago(now, self.poller.polled_ms)}"
        if now - self.feed.polled_ms > STALE_MS:
            yield f"the topic of changes was last read {_ago(now, self.feed.polled_ms)}"

    def _partition(self, partition: int) -> Partition:
        clock = self.poller.clocks.get(partition)
        owner, lag, outbox = self.workers.of_partition(partition)
        return Partition(
            partition=partition,
            owner=owner,
            clock=format_instant(clock) if clock else None,
            behind_s=None if clock is None else self.poller.behind_s(partition),
            lag=lag,
            outbox=outbox,
        )

    def _segment(self, segment: Segment, now: int, p99_ms: float | None) -> SegmentState:
        """The state of a segment: its size in Redis, and its changes on the topic."""
        activity = self.feed.segments.get(segment.key) or SegmentActivity()
        activity.forget(now)
        entered, exited = activity.per_minute(now)
        usual = activity.usual_ms()
        members = None if self.poller.members is None else self.poller.members.get(segment.key)
        return SegmentState(
            segment=segment.key,
            title=segment.title,
            members=members,
            entered_per_min=entered,
            exited_per_min=exited,
            p99_ms=p99_ms,
            last_change_at=format_instant(activity.last_ms) if activity.last_ms else None,
            usual_s=None if usual is None else usual / 1000,
            silent=activity.is_silent(now),
            spark=activity.spark(now),
        )


def _color(*, is_red: bool, is_amber: bool) -> StatusColour:
    if is_red:
        return "red"
    return "amber" if is_amber else "green"


def _ago(now_ms: int, then_ms: int) -> str:
    return f"{(now_ms - then_ms) / 1000:.0f} s ago" if then_ms else "never"
