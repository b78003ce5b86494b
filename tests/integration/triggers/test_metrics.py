"""The metrics of triggers, on real parts.

Each metric of an alert on triggers changes when its endpoint does.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest

from local.processes import Worker
from local.receivers import Hook, Mailbox, now_ms
from streams.triggers.endpoint import BREAKS_AFTER, BROKEN_MOST_MS, Endpoint
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import cart
from tests.support.operations import exposed
from tests.support.patience import eventually
from tests.support.trigger_processes import Sender, environment, leave_a_cart, write


class Failing:
    """A channel that fails so often, and then sends."""

    def __init__(self, times: int) -> None:
        self._times = times

    async def send(self, _: Message) -> AttemptResult:
        self._times -= 1
        return AttemptResult(Outcome.FAILED if self._times >= 0 else Outcome.SENT)

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_breaker_is_told_open_until_an_attempt_succeeds() -> None:
    """The metric stays 1 after the pause, while an attempt tries whether the endpoint works again."""
    (way,) = cart().channels.values()
    endpoint = Endpoint(way, Failing(BREAKS_AFTER))
    states = []
    for attempt in range(BREAKS_AFTER + 1):
        now = attempt * BROKEN_MOST_MS
        assert endpoint.take(now) == 0
        states.append(endpoint.is_broken)
        await endpoint.send(cast(Message, None), partial(int, now))
        endpoint.give_back()
    assert states == [False] * BREAKS_AFTER + [True]
    assert not endpoint.is_broken


@pytest.mark.kafka
def test_what_alerts_ask_for_is_told(parts: dict[str, Any]) -> None:
    """Decisions count from 0; the breaker and the endpoints that answer 410 are reported."""
    status = [500]
    with Hook(lambda _: (status[0], 0.0)) as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="1s")
        with (
            Worker({**parts, "http": "127.0.0.1:0"}) as worker,
            environment({**parts, "http": "127.0.0.1:0"}) as triggers,
        ):
            worker.wait_ready()
            triggers.wait_ready()

            def metric(name: str, **labels: str) -> float:
                (sample,) = [
                    sample for sample in exposed(triggers.http)[f"segmenter_{name}"].samples if sample.labels == labels
                ]
                return float(sample.value)

            assert {
                metric("trigger_decisions_total", trigger="call", decision=kind) for kind in ("sent", "failed")
            } == {0}
            assert metric("endpoint_broken", channel="bot") == metric("endpoint_gone", channel="bot") == 0
            to = Sender(parts)
            for number in range(6):
                leave_a_cart(to, f"u{number}", now_ms())
            to.flush()
            eventually(lambda: metric("endpoint_broken", channel="bot") == 1, 30, triggers.tail(40))
            assert metric("endpoint_broken", channel="mail") == 0
            status[0] = 200
            eventually(
                lambda: metric("trigger_decisions_total", trigger="call", decision="sent") == 6, 30, triggers.tail(40)
            )
            assert metric("endpoint_broken", channel="bot") == 0
            status[0] = 410
            leave_a_cart(to, "gone", now_ms())
            to.flush()
            eventually(lambda: metric("trigger_decisions_total", trigger="call", decision="failed") == 1, 30)
            assert (metric("endpoint_gone", channel="bot"), metric("endpoint_gone", channel="mail")) == (1, 0)
