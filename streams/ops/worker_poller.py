"""What the workers tell of themselves, asked for every two seconds.

The one rule: a worker that does not answer is told as such, and nothing waits for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from socket import SOCK_STREAM
from time import monotonic

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from rules.events import INPUTS
from streams.ops.responses import Near, Rates, Series, WorkerState
from streams.runtime.health_endpoint import Ready, where
from streams.settings import host_of

EVERY_S = 2.0
_ANSWERS_WITHIN_S = 1.5
_WINDOW_S = 10.0
_POINTS = 150
# A worker of a thousand partitions answers with about a megabyte.
_ANSWER_MAX_BYTES = 16 * 1024 * 1024
_PART_BYTES = 64 * 1024
_EVENTS, _CHANGES = "segmenter_events_total", "segmenter_changes_total"
_BY_EVENT, _BY_TIME = "segmenter_event_change_seconds_bucket", "segmenter_due_late_seconds_bucket"

# An input that a process of triggers, which has the same partitions, does not read.
_A_WORKERS_OWN = ("topic", INPUTS[1])

Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, float]]
# By upper bound (s), how many were at most that.
Buckets = Mapping[float, float]


class WorkerReport(msgspec.Struct, frozen=True):
    """One worker's answer."""

    at_s: float
    samples: Samples
    ready: Ready


class Workers:
    """The newest answers, and what follows from them and the ones before."""

    def __init__(
        self,
        addresses: Sequence[str],
        now_s: Callable[[], float],
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``addresses``: host:port of each, of those that may be there. ``token``: the workers', sent to each.

        ``tls``: they are asked over it, and must have a certificate for the host of their address.
        """
        self._token = token
        self._tls = tls
        self._addresses = addresses
        self._now_s = now_s
        self.told: dict[str, WorkerReport] = {}
        self.lost: set[str] = set()
        self._history: dict[str, deque[WorkerReport]] = defaultdict(deque)
        self._points: deque[tuple[float, Rates]] = deque(maxlen=_POINTS)

    async def run(self) -> None:
        """Ask now and then until cancelled."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)
        # Which proxies the environment names is no matter between these two processes.
        async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session:
            while True:
                began = monotonic()
                places = await resolved(self._addresses)
                await asyncio.gather(*(self._ask(session, address, host) for address, host in places.items()))
                self._points.append((self._now_s(), self.rates()))
                await asyncio.sleep(max(0.1, EVERY_S - (monotonic() - began)))

    async def _ask(self, session: aiohttp.ClientSession, address: str, host: str) -> None:
        try:
            text = (await self._read(session, address, "/metrics", host)).decode()
            ready = msgspec.json.decode(await self._read(session, address, "/ready", host), type=Ready)
            samples = await asyncio.to_thread(parsed, text)
        except (aiohttp.ClientError, TimeoutError, ValueError, msgspec.DecodeError):
            if self.told.pop(address, None) is not None:
                self.lost.add(address)
            self._history.pop(address, None)
            return
        told = WorkerReport(monotonic(), samples, ready)
        self.told[address] = told
        self.lost.discard(address)
        history = self._history[address]
        history.append(told)
        while len(history) > 2 and history[1].at_s <= told.at_s - _WINDOW_S:
            history.popleft()

    async def _read(self, session: aiohttp.ClientSession, address: str, path: str, host: str) -> bytes:
        """An answer, whole; nothing is followed elsewhere, and too long a one is a `ValueError`."""
        scheme = "http" if self._tls is None else "https"
        async with session.get(
            f"{scheme}://{address}{path}",
            allow_redirects=False,
            ssl=True if self._tls is None else self._tls,
            server_hostname=None if self._tls is None else host,
        ) as answer:
            if answer.status not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
                raise ValueError(f"{address} answers {path} with status {answer.status}")
            parts, size = [], 0
            async for part in answer.content.iter_chunked(_PART_BYTES):
                parts.append(part)
                size += len(part)
                if size > _ANSWER_MAX_BYTES:
                    raise ValueError(f"{address} answers {path} with more than {_ANSWER_MAX_BYTES} bytes")
            return b"".join(parts)

    def states(self) -> list[WorkerState]:
        """Those that answer, and those that did and do no longer."""
        here = [_state(address, told) for address, told in sorted(self.told.items())]
        gone = [WorkerState(address, False, ["it does not answer"], None, []) for address in sorted(self.lost)]
        return here + gone

    def rates(self) -> Rates:
        """Of all workers."""
        spans = [(history[0], history[-1]) for history in self._history.values() if len(history) > 1]
        if not spans:
            return Rates()
        by_event = _between(spans, _BY_EVENT)
        return Rates(
            events_per_s=_rate(spans, _EVENTS),
            changes_per_s=_rate(spans, _CHANGES),
            p50_ms=quantile_ms(by_event, 0.5),
            p99_ms=quantile_ms(by_event, 0.99),
            late_p99_ms=quantile_ms(_between(spans, _BY_TIME), 0.99),
        )

    def p99s_ms(self) -> Mapping[str, float | None]:
        """By segment, since its workers started, as far as they answer; in one pass over what they told."""
        found: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for told in self.told.values():
            for labels, count in told.samples.get(_BY_EVENT, {}).items():
                by = dict(labels)
                found[by["segment"]][float(by["le"])] += count
        return {segment: quantile_ms(buckets, 0.99) for segment, buckets in found.items()}

    def of_partition(self, partition: int) -> tuple[str | None, dict[str, int] | None, int | None]:
        """Who holds it, its lag by input, its outbox."""
        place = ("partition", str(partition))
        for address, told in self.told.items():
            lags = told.samples.get("segmenter_lag_records", {})
            if not any({place, _A_WORKERS_OWN} <= labels for labels in lags):
                continue
            outbox = told.samples.get("segmenter_outbox_entries", {})
            return (
                address,
                {dict(labels)["topic"]: int(value) for labels, value in lags.items() if place in labels},
                next((int(value) for labels, value in outbox.items() if place in labels), None),
            )
        return None, None, None

    def series(self) -> Series:
        """The last five minutes."""
        return Series(
            at=[at for at, _ in self._points],
            events=[rates.events_per_s for _, rates in self._points],
            changes=[rates.changes_per_s for _, rates in self._points],
            p99_ms=[rates.p99_ms for _, rates in self._points],
            late_p99_ms=[rates.late_p99_ms for _, rates in self._points],
        )


async def resolved(addresses: Iterable[str]) -> dict[str, str]:
    """Each address once, with the host that it was named by.

    A name may be that of many workers: it is all that it stands for now; a name that is not known gives none.
    """
    places: dict[str, str] = {}
    for address in addresses:
        host, port = host_of(address), address.rpartition(":")[2]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=SOCK_STREAM)
        except OSError:
            continue
        for *_, (name, *_) in found:
            places.setdefault(where(str(name), port), host)
    return places


def parsed(text: str) -> Samples:
    """An exposition; samples by name and labels. Raises `ValueError`."""
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return samples


def _state(address: str, told: WorkerReport) -> WorkerState:
    near = told.samples.get("segmenter_watchdog_near_ratio", {})
    memory = told.samples.get("process_resident_memory_bytes", {})
    watchdogs = [Near(dict(labels)["watchdog"], value) for labels, value in near.items()]
    return WorkerState(
        address,
        told.ready.ready,
        told.ready.because,
        next(iter(memory.values()), None),
        sorted(watchdogs, key=lambda one: one.watchdog),
    )


Spans = Sequence[tuple[WorkerReport, WorkerReport]]


def _rate(spans: Spans, name: str) -> float:
    return sum(
        max(0.0, sum(new.samples.get(name, {}).values()) - sum(old.samples.get(name, {}).values()))
        / (new.at_s - old.at_s)
        for old, new in spans
    )


def _between(spans: Spans, name: str) -> Buckets:
    found: dict[float, float] = defaultdict(float)
    for old, new in spans:
        before = _buckets(old.samples, name)
        for bound, count in _buckets(new.samples, name).items():
            found[bound] += max(0.0, count - before.get(bound, 0.0))
    return found


def _buckets(samples: Samples, name: str) -> Buckets:
    found: dict[float, float] = defaultdict(float)
    for labels, count in samples.get(name, {}).items():
        found[float(dict(labels)["le"])] += count
    return found


def quantile_ms(buckets: Buckets, share: float) -> float | None:
    """As Prometheus's histogram_quantile: linear within the bucket; of what is beyond the last bound, that bound."""
    ordered = sorted(buckets.items())
    total = ordered[-1][1] if ordered else 0
    if not total:
        return None
    below_s, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= share * total:
            if bound == float("inf"):
                return below_s * 1000
            return 1000 * (below_s + (bound - below_s) * (share * total - below) / max(count - below, 1e-9))
        below_s, below = bound, count
    return below_s * 1000


def addresses(text: str) -> list[str]:
    """``host:port`` or ``host:9101-9109``, one after the other with commas. Raises `ValueError`."""
    return [address for part in text.split(",") for address in _range(part.strip())]


def _range(part: str) -> Iterable[str]:
    host, _, ports = part.rpartition(":")
    first, _, last = ports.partition("-")
    return [f"{host}:{port}" for port in range(int(first), int(last or first) + 1)]
