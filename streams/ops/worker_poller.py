"""Polls the workers' metrics and readiness every two seconds.

A worker that does not answer is shown as such, and nothing waits for it.

See also: `streams.runtime.health_endpoint`, which answers in the worker.
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

from rules.event_names import INPUTS
from streams.ops.responses import Near, Rates, Series, WorkerState
from streams.runtime.health_endpoint import where
from streams.runtime.readiness import Ready
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

# A label of workers alone: a process of triggers, which owns the same partitions, does not read this input.
_WORKERS_ONLY = ("topic", INPUTS[1])

LabelSet = frozenset[tuple[str, str]]
SampleValues = Mapping[str, Mapping[LabelSet, float]]
# A histogram: by upper bound (s), how many values are at most that.
Buckets = Mapping[float, float]


class WorkerReport(msgspec.Struct, frozen=True):
    """The answers of one worker."""

    at_s: float
    samples: SampleValues
    ready: Ready


class WorkerPoller:
    """The last reports of the workers, and the rates that follow from them."""

    def __init__(
        self,
        addresses: Sequence[str],
        now_s: Callable[[], float],
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``addresses``: host:port of every worker that may run. ``token``: sent with every request.

        ``tls``: requests go over TLS, and a worker needs a certificate for the host of its address.
        """
        self._token = token
        self._tls = tls
        self._addresses = addresses
        self._now_s = now_s
        self.reports: dict[str, WorkerReport] = {}
        self.lost: set[str] = set()
        self._history: dict[str, deque[WorkerReport]] = defaultdict(deque)
        self._points: deque[tuple[float, Rates]] = deque(maxlen=_POINTS)

    async def run(self) -> None:
        """Poll all workers every `EVERY_S` seconds until cancelled."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)
        # Requests go straight to the worker, whatever proxies the environment names.
        async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session:
            while True:
                began = monotonic()
                hosts = await resolved(self._addresses)
                await asyncio.gather(*(self._ask(session, address, host) for address, host in hosts.items()))
                self._points.append((self._now_s(), self.rates()))
                await asyncio.sleep(max(0.1, EVERY_S - (monotonic() - began)))

    async def _ask(self, session: aiohttp.ClientSession, address: str, host: str) -> None:
        """Poll one worker; if it does not answer, its report and its history are dropped, so that no rate uses them."""
        try:
            text = (await self._read(session, address, "/metrics", host)).decode()
            ready = msgspec.json.decode(await self._read(session, address, "/ready", host), type=Ready)
            samples = await asyncio.to_thread(parsed, text)
        except (aiohttp.ClientError, TimeoutError, ValueError, msgspec.DecodeError):
            if self.reports.pop(address, None) is not None:
                self.lost.add(address)
            self._history.pop(address, None)
            return
        self._note(address, WorkerReport(monotonic(), samples, ready))

    def _note(self, address: str, report: WorkerReport) -> None:
        self.reports[address] = report
        self.lost.discard(address)
        history = self._history[address]
        history.append(report)
        # The oldest report is the last one from before the window, so that the rates are of the whole window.
        while len(history) > 2 and history[1].at_s <= report.at_s - _WINDOW_S:
            history.popleft()

    async def _read(self, session: aiohttp.ClientSession, address: str, path: str, host: str) -> bytes:
        """Read a whole answer. Raises `ValueError` for a status that is not expected, or for too many bytes.

        Redirects are not followed, as the token would go with them.
        """
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
        """The workers that answer, then those that did before and do not any more."""
        answering = [_state(address, report) for address, report in sorted(self.reports.items())]
        lost = [WorkerState(address, False, ["it does not answer"], None, []) for address in sorted(self.lost)]
        return answering + lost

    def rates(self) -> Rates:
        """The rates of all workers together."""
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
        """By segment, the p99 from event to change since the start of the workers that answer."""
        histograms: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for report in self.reports.values():
            for labels, count in report.samples.get(_BY_EVENT, {}).items():
                label = dict(labels)
                histograms[label["segment"]][float(label["le"])] += count
        return {segment: quantile_ms(buckets, 0.99) for segment, buckets in histograms.items()}

    def of_partition(self, partition: int) -> tuple[str | None, dict[str, int] | None, int | None]:
        """The address of the worker that owns a partition, its lag by input, and its outbox; `None` where not known."""
        for address, report in self.reports.items():
            lags = _of_partition(report, "segmenter_lag_records", partition)
            if any(_WORKERS_ONLY in labels for labels in lags):
                lag_by_input = {dict(labels)["topic"]: int(lag) for labels, lag in lags.items()}
                outboxes = _of_partition(report, "segmenter_outbox_entries", partition).values()
                return address, lag_by_input, next(map(int, outboxes), None)
        return None, None, None

    def series(self) -> Series:
        """The rates of the last five minutes."""
        rates = [rates for _, rates in self._points]
        return Series(
            at=[at for at, _ in self._points],
            events=[rate.events_per_s for rate in rates],
            changes=[rate.changes_per_s for rate in rates],
            p99_ms=[rate.p99_ms for rate in rates],
            late_p99_ms=[rate.late_p99_ms for rate in rates],
        )


def _of_partition(report: WorkerReport, name: str, partition: int) -> Mapping[LabelSet, float]:
    """The samples of a metric that are those of a partition."""
    label = ("partition", str(partition))
    return {labels: value for labels, value in report.samples.get(name, {}).items() if label in labels}


async def resolved(addresses: Iterable[str]) -> dict[str, str]:
    """Resolve names to addresses; give each address once, with the name that stood for it.

    A name may stand for many workers, and for others each time. A name that cannot be resolved stands for none.
    """
    hosts: dict[str, str] = {}
    for address in addresses:
        host, port = host_of(address), address.rpartition(":")[2]
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=SOCK_STREAM)
        except OSError:
            continue
        for *_, (ip, *_) in entries:
            hosts.setdefault(where(str(ip), port), host)
    return hosts


def parsed(text: str) -> SampleValues:
    """Parse Prometheus's exposition format: samples by name and labels. Raises `ValueError`."""
    samples: dict[str, dict[LabelSet, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return samples


def _state(address: str, report: WorkerReport) -> WorkerState:
    near = report.samples.get("segmenter_watchdog_near_ratio", {})
    memory = report.samples.get("process_resident_memory_bytes", {})
    watchdogs = [Near(dict(labels)["watchdog"], value) for labels, value in near.items()]
    return WorkerState(
        address=address,
        ready=report.ready.ready,
        because=report.ready.because,
        memory_bytes=next(iter(memory.values()), None),
        watchdogs=sorted(watchdogs, key=lambda entry: entry.watchdog),
    )


# By worker, the first and the last report of the window.
Spans = Sequence[tuple[WorkerReport, WorkerReport]]


def _rate(spans: Spans, name: str) -> float:
    """The rate (1/s) of a counter over all workers; a worker that was started again counts from 0."""
    rate = 0.0
    for old, new in spans:
        added = sum(new.samples.get(name, {}).values()) - sum(old.samples.get(name, {}).values())
        rate += max(0.0, added) / (new.at_s - old.at_s)
    return rate


def _between(spans: Spans, name: str) -> Buckets:
    """The histogram of the values within the window, over all workers."""
    added: dict[float, float] = defaultdict(float)
    for old, new in spans:
        before = _buckets(old.samples, name)
        for bound, count in _buckets(new.samples, name).items():
            added[bound] += max(0.0, count - before.get(bound, 0.0))
    return added


def _buckets(samples: SampleValues, name: str) -> Buckets:
    buckets: dict[float, float] = defaultdict(float)
    for labels, count in samples.get(name, {}).items():
        buckets[float(dict(labels)["le"])] += count
    return buckets


def quantile_ms(buckets: Buckets, share: float) -> float | None:
    """The quantile (ms) of a histogram, computed as Prometheus's ``histogram_quantile`` does.

    It is linear within a bucket. Values beyond the last bound count as that bound.
    """
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
    """Parse a list of ``host:port`` or ``host:9101-9109`` with commas between. Raises `ValueError`."""
    return [address for part in text.split(",") for address in _range(part.strip())]


def _range(part: str) -> Iterable[str]:
    host, _, ports = part.rpartition(":")
    first, _, last = ports.partition("-")
    return [f"{host}:{port}" for port in range(int(first), int(last or first) + 1)]
