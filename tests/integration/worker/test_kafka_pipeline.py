"""The whole pipeline on real parts: Kafka, Redis and worker processes.

The published changes are compared with the oracle, which recomputes them from the history.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from typing import Any

import pytest

from local.processes import Worker
from local.server_process import Server
from local.servers import Redis
from streams.kafka import admin
from streams.settings import Settings
from tests.oracle import oracle
from tests.support import live

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
PHASES = ("after_load", "after_save", "after_publish")
# A step for each record: most deaths fall into one, and the backlog outlasts them.
SLOW = {"SEGMENTER_BATCH_MAX": "1", "SEGMENTER_IN_HAND_MAX": "1"}
NIGHTLY_ON_TANSU = pytest.mark.parametrize(
    "parts",
    [pytest.param("tansu", marks=pytest.mark.nightly), pytest.param("kafka", marks=pytest.mark.kafka)],
    indirect=True,
)


@pytest.fixture(scope="module")
def history() -> list[dict[str, Any]]:
    """The real events of one night in 2019: every due time of theirs has passed long ago."""
    return live.real_events()


_names = (f"live{number}" for number in itertools.count())


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def parts(request: pytest.FixtureRequest, redis_server: Redis) -> dict[str, Any]:
    """Settings of a worker with topics, a group and Redis keys of its own."""
    broker: Server = request.getfixturevalue(request.param)
    name = next(_names)
    settings = {
        "brokers": broker.address,
        "redis": redis_server.url,
        "partitions": live.PARTITIONS,
        "session_timeout_s": 3,
        "broker": request.param,
        "definitions": live.FOUR,
        "topic_prefix": f"{name}-",
        "group": name,
        "redis_prefix": f"{name}:",
    }
    admin.create(Settings(**settings))
    return settings


def publish(parts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    live.publish(parts["brokers"], history, {name: parts["topic_prefix"] + to for name, to in live.TOPICS.items()})


def changes(parts: dict[str, Any]) -> list[live.ReadChange]:
    return live.changes(parts["brokers"], parts["topic_prefix"], exact_ends=parts["broker"] == "kafka")


def wait_until_quiet(parts: dict[str, Any], wanted: list[oracle.OracleChange], timeout_s: float) -> None:
    live.wait_until_quiet(parts["brokers"], len(wanted), timeout_s, parts["topic_prefix"])


def expected(history: list[dict[str, Any]]) -> list[oracle.OracleChange]:
    """All changes of the history up to a time that the worker's clock has passed, and before it."""
    times = [oracle.milliseconds(event["timestamp"]) for event in history]
    assert times == sorted(times), "a backlog in time order has no late event"
    return oracle.changes(history, oracle.BUILT_IN, times[-1] + YEAR_MS)


def assert_equal(parts: dict[str, Any], wanted: list[oracle.OracleChange]) -> list[live.ReadChange]:
    """The topic says exactly what the oracle says, once; sequences have no gaps."""
    published = changes(parts)
    assert len({change.change_id for change in published}) == len(published)
    assert not any(change.late for change in published), "no event is late, so no change is"
    assert live.per_customer(published) == live.per_customer(wanted)
    assert live.gaps(published) == []
    return published


@NIGHTLY_ON_TANSU
def test_history_read_by_two_workers(parts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """A history that was published first, then read by two workers, gives the oracle's changes, each once."""
    publish(parts, history)
    wanted = expected(history)
    with Worker(parts) as first, Worker(parts) as second:
        wait_until_quiet(parts, wanted, timeout_s=90)
        assert (first.exit_code, second.exit_code) == (None, None), first.tail() + second.tail()
    assert_equal(parts, wanted)


@NIGHTLY_ON_TANSU
def test_second_worker_joins_in_mid_backlog(parts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """A rebalance while records are in flight loses and repeats nothing that matters."""
    publish(parts, history)
    wanted = expected(history)
    slow = {**parts, "batch_max": 10, "in_hand_max": 50}
    with Worker(slow) as first:
        first.wait_ready()
        time.sleep(1)
        with Worker(slow) as second:
            second.wait_ready()
            wait_until_quiet(parts, wanted, timeout_s=120)
            assert (first.exit_code, second.exit_code) == (None, None), first.tail() + second.tail()
    assert_equal(parts, wanted)


class Mortal:
    """A worker that dies at a fail point, or from outside, and is started again."""

    def __init__(self, settings: dict[str, Any], rng: random.Random, deaths: Counter[str]) -> None:
        self._settings, self._rng, self._deaths = settings, rng, deaths
        self.worker = Worker(settings)
        self._phase = ""

    def live_on(self, planned: str | None) -> None:
        """Start the worker, to die at ``planned`` (a fail point), from outside ("anywhere"), or to finish."""
        self._phase = planned or ""
        # Most steps of this history change nothing, so few of them publish.
        steps = self._rng.randint(2, 8) if planned == "after_publish" else self._rng.randint(150, 400)
        point = f"{planned}:{steps}" if planned in PHASES else ""
        self.worker.start(SEGMENTER_FAIL_POINT=point, **(SLOW if planned else {}))

    def died(self) -> bool:
        """Whether the worker is dead; it is killed here where that was planned."""
        if self._phase == "anywhere" and self.worker.exit_code is None:
            time.sleep(self._rng.uniform(2, 4))
            self.worker.kill()
        if self.worker.exit_code is None:
            return False
        assert self.worker.exit_code == -9, self.worker.tail()
        self._deaths[self._phase] += 1
        return True


def of_phases(deaths: Counter[str]) -> int:
    """The number of deaths at a fail point."""
    return sum(deaths[phase] for phase in PHASES)


@pytest.mark.kafka
@pytest.mark.parametrize("parts", ["kafka"], indirect=True)
@pytest.mark.parametrize(("dying_s", "nights"), [(8.0, 2), pytest.param(95.0, 7, marks=pytest.mark.nightly)])
def test_kill_9_while_a_backlog_drains(
    parts: dict[str, Any], history: list[dict[str, Any]], dying_s: float, nights: int
) -> None:
    """Two workers die again and again, mostly between load and trim: nothing is lost, nothing
    is said twice but under the id that it already had."""
    seed = 20191001
    rng = random.Random(seed)
    print(f"seed {seed}")  # noqa: T201  # pytest shows it with a failure
    later = [event for night in range(2, nights + 1) for event in live.another_night(history, night)]
    history = history + later  # long enough to die in, on a fast machine too
    publish(parts, history)
    wanted = expected(history)
    deaths: Counter[str] = Counter()
    workers = [Mortal(parts, rng, deaths) for _ in range(2)]
    began = time.monotonic()
    try:
        for mortal in workers:
            mortal.live_on(rng.choice(PHASES))
        while time.monotonic() - began < dying_s or sum(deaths.values()) < 10 or of_phases(deaths) < 8:
            for mortal in workers:
                if mortal.died():
                    mortal.live_on(rng.choice((*PHASES, *PHASES, "anywhere")))
            assert time.monotonic() - began < 900, f"{deaths}: {workers[0].worker.tail()}"
            time.sleep(0.05)
        for mortal in workers:
            mortal.worker.kill()
            mortal.live_on(None)
        unread = len(wanted) - len(live.without_repeats(changes(parts)))
        wait_until_quiet(parts, wanted, timeout_s=240)
        lasted = time.monotonic() - began
    finally:
        for mortal in workers:
            mortal.worker.stop()
    published = assert_equal(parts, wanted)
    summary = f"{dict(deaths)} in {lasted:.0f} s, {len(published)} changes on the topic"
    print(summary)  # noqa: T201  # the figures of the run
    assert unread > 0, "every death came while the backlog drained"
    assert lasted >= dying_s
