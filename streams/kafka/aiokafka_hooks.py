"""Hooks into aiokafka for what it learns from Kafka and does not pass on: ends of logs, refused logins.

The one rule: aiokafka goes on as it would, and only what it learns is passed on. The exception is how a fetch is
cancelled, which aiokafka passes to those that should not learn of it.

Written against aiokafka 0.14. No version promises these seams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.kafka.fetch import Answers, FetchResponse
from streams.kafka.refusals import missing_right


def answers(fetcher: Fetcher, heard: Answers) -> None:
    """Note when each fetch was asked for, once its answer has set the end offset."""
    send = fetcher._proc_fetch_request

    async def proc_fetch_request(assignment: Any, node: Any, request: Any) -> Any:
        asked = int(time.time() * 1000), time.monotonic()
        states = {
            TP(topic, partition): assignment.state_value(TopicPartition(topic, partition))
            for topic, partitions in request.topics
            for partition, _, _ in partitions
        }
        # aiokafka stamps the state of each partition that was answered, and of no other.
        for state in states.values():
            state.timestamp = None
        answered = await send(assignment, node, request)
        for tp, state in states.items():
            if state.timestamp is not None:
                heard.came(tp, _answer(state, *asked))
            else:
                # An answer from before a broker went away would let its input count as read to its end, and
                # what stands there be passed over by what another input gives first.
                heard.failed(tp)
        return answered

    fetcher._proc_fetch_request = proc_fetch_request


def any_answer(client: AIOKafkaClient, answered: Callable[[], None]) -> None:
    """Tell of each answer, whatever was asked."""
    send = client.send

    async def send_and_tell(*args: Any, **options: Any) -> Any:
        answer = await send(*args, **options)
        answered()
        return answer

    client.send = send_and_tell


def _answer(state: Any, asked_ms: int, asked_monotonic: float) -> FetchResponse:
    # An open transaction keeps the last stable offset below the end; old brokers answer -1 for it.
    stable = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
    return FetchResponse(state.highwater, min(stable, state.highwater), asked_ms, asked_monotonic)


def cancellations(consumer: AIOKafkaConsumer) -> None:
    """Let a cancelled fetch end in one way, whatever it was waiting for.

    aiokafka's ``close`` awaits what it cancels. A fetch that failed and waits to be tried again would raise
    there: what is closed after it would stay open, and who stops the consumer would seem to be cancelled.
    """
    fetcher = consumer._fetcher
    send = fetcher._proc_fetch_request

    async def proc_fetch_request(assignment: Any, node: Any, request: Any) -> Any:
        try:
            return await send(assignment, node, request)
        except asyncio.CancelledError:
            return False

    fetcher._proc_fetch_request = proc_fetch_request


def refusals(coordinator: GroupCoordinator, lost: Callable[[str], None]) -> None:
    """Tell that the group cannot be joined: aiokafka keeps it for the next fetch, and Faust fetches as a member."""
    push = coordinator._push_error_to_user

    def push_error_to_user(error: Exception) -> Any:
        lost(
            missing_right(error, "READ")
            or f"the group cannot be joined ({error!r}); see SEGMENTER_GROUP and SEGMENTER_SESSION_TIMEOUT_S"
        )
        return push(error)

    coordinator._push_error_to_user = push_error_to_user
