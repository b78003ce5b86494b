"""The API's responses: the types of its JSON, from which its OpenAPI document is generated.

The one rule: fields are added, never renamed. Times are RFC 3339, durations are in the unit that their name ends with,
and ``null`` stands for a value that is not known.

See also: `streams.ops.api`, which serves these, and ``docs/reference/openapi.json``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from streams.offline.lift import Lift

StatusColour = Literal["green", "amber", "red"]


class Rates(msgspec.Struct, frozen=True):
    """Rates of all workers together, over the last ten seconds; ``null`` without a worker or without an event."""

    events_per_s: float | None = None
    changes_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    late_p99_ms: float | None = None


class Partition(msgspec.Struct, frozen=True):
    """A partition: the worker that owns it, its clock, and how far that is behind the wall clock."""

    partition: int
    owner: str | None
    clock: str | None
    behind_s: float | None
    lag: dict[str, int] | None
    outbox: int | None


class Near(msgspec.Struct, frozen=True):
    """A watchdog of a worker, and the used share of its time; at 1 it stops the worker."""

    watchdog: str
    near: float


class WorkerState(msgspec.Struct, frozen=True):
    """A worker that answers, or that did before; ``because``: why it is not ready."""

    address: str
    ready: bool
    because: list[str]
    memory_bytes: float | None
    watchdogs: list[Near]


class Series(msgspec.Struct, frozen=True):
    """The last five minutes, a point every two seconds; ``at`` in seconds since 1970."""

    at: list[float]
    events: list[float | None]
    changes: list[float | None]
    p99_ms: list[float | None]
    late_p99_ms: list[float | None]


class Status(msgspec.Struct, frozen=True):
    """The state of everything. ``stale``: some of it may be older than it should be; the sentences say what."""

    at: str
    state: StatusColour
    sentences: list[str]
    stale: bool
    rates: Rates
    partitions: list[Partition]
    workers: list[WorkerState]
    series: Series


class SegmentState(msgspec.Struct, frozen=True):
    """A segment. ``usual_s``: usual time between minutes with changes. ``spark``: changes per minute, oldest first."""

    segment: str
    title: str
    members: int | None
    entered_per_min: float
    exited_per_min: float
    p99_ms: float | None
    last_change_at: str | None
    usual_s: float | None
    silent: bool
    spark: list[int]


class Segments(msgspec.Struct, frozen=True):
    """All segments; ``counted_at``: when the last count of all members ended."""

    at: str
    counted_at: str | None
    segments: list[SegmentState]


class SegmentMembership(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment of a customer, whether the customer is in it, and why; see `streams.offline.explain`."""

    segment: str
    title: str
    member: bool
    said: dict[str, str]
    held: bool = False
    since: str | None = None
    due_at: str | None = None


class CustomerState(msgspec.Struct, frozen=True):
    """A stored customer. ``changes``: published since ``changes_since``. ``stale``: its partition is behind."""

    customer_id: str
    partition: int
    instant: str
    sequence: int
    clock: str
    next_due: str | None
    stale: bool
    segments: list[SegmentMembership]
    changes: list[dict[str, Any]]
    changes_since: str


class Then(msgspec.Struct, frozen=True):
    """A segment that the customer was in at a past time, and since when."""

    segment: str
    since: str


class Past(msgspec.Struct, frozen=True):
    """Membership at a past time, from published changes; ``complete``: the topic still has the customer's first one."""

    customer_id: str
    time: str
    sequence: int
    complete: bool
    segments: list[Then]


class Letter(msgspec.Struct, frozen=True):
    """A dead letter: where the message was read, its wrong field if it is one, and its place on ``dead-letters``."""

    at: str
    reason: str
    field: str
    topic: str
    partition: int
    offset: int
    where_partition: int
    where_offset: int
    size: int


class Letters(msgspec.Struct, frozen=True):
    """The newest dead letters, newest first."""

    letters: list[Letter]


class LetterBytes(msgspec.Struct, frozen=True):
    """The bytes of a rejected message, at most the first 64 KiB."""

    reason: str
    key: str | None
    base64: str
    headers: dict[str, str]


class Lifts(msgspec.Struct, frozen=True):
    """The lift of each trigger, as `segmenter lift --save` saved it; ``problem``: why it is not known."""

    problem: str | None
    lifts: list[Lift]


class Wrong(msgspec.Struct, frozen=True):
    """The reason for which a request is refused."""

    error: str
