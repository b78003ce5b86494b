"""Hooks into aiokafka that report what it learns from Kafka and does not pass on: ends of logs, refused logins.

A hook changes nothing in aiokafka's own behaviour. The exception is `absorb_cancellations`: aiokafka
raises the cancellation of a fetch in callers which were not cancelled.

Written against aiokafka 0.14. No version promises these seams.

See also: `streams.kafka.fetch.Answers` (where reports are collected), `streams.kafka.record_batches` (unpacking).
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

from streams.kafka.answer_watch import AnswerWatch
from streams.kafka.fetch import Answers, FetchResponse
from streams.kafka.refusals import missing_right


def report_responses(fetcher: Fetcher, answers: Answers) -> None:
    """Report the response to each fetch, with the time of its request, once it has set the end offset.

    The time of the request bounds which records the response may lack: the broker appended those later.
    """
    send = fetcher._proc_fetch_request

    async def proc_fetch_request(assignment: Any, node: Any, request: Any) -> Any:
        requested_ms, requested_monotonic = int(time.time() * 1000), time.monotonic()
        states = {
            TP(topic, partition): assignment.state_value(TopicPartition(topic, partition))
            for topic, partitions in request.topics
            for partition, _, _ in partitions
        }
        # aiokafka stamps the state of each partition that the response covers, and of no other.
        for state in states.values():
            state.timestamp = None
        result = await send(assignment, node, request)
        for tp, state in states.items():
            if state.timestamp is not None:
                answers.answered(tp, _response(state, requested_ms, requested_monotonic))
            else:
                # The broker is gone. With its former response the input would still count as read to its end, and
                # records of another input would be applied before those that wait at this end.
                answers.failed(tp)
        return result

    fetcher._proc_fetch_request = proc_fetch_request


def report_any_response(client: AIOKafkaClient, watch: AnswerWatch) -> None:
    """Tell the watch of each response of a broker, whatever the request was, and give it a way to request one."""
    send = client.send

    async def send_and_report(*args: Any, **options: Any) -> Any:
        response = await send(*args, **options)
        watch.answered()
        return response

    client.send = send_and_report
    watch.request = _metadata_request(client, watch.answered)


def _metadata_request(client: AIOKafkaClient, answered: Callable[[], None]) -> Callable[[], None]:
    """A request that Kafka answers at once, whatever else it is doing; it may be called from any thread."""

    def request() -> None:
        client.force_metadata_update().add_done_callback(report)

    def report(update: asyncio.Future[bool]) -> None:
        if not update.cancelled() and update.exception() is None and update.result():
            answered()

    def request_on_its_loop() -> None:
        if not client._loop.is_closed():
            client._loop.call_soon_threadsafe(request)

    return request_on_its_loop


def _response(state: Any, requested_ms: int, requested_monotonic: float) -> FetchResponse:
    # An open transaction holds the last stable offset below the end; old brokers answer -1 for it.
    stable = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
    return FetchResponse(state.highwater, min(stable, state.highwater), requested_ms, requested_monotonic)


def absorb_cancellations(consumer: AIOKafkaConsumer) -> None:
    """End a cancelled fetch without an exception, whatever it was waiting for.

    aiokafka's ``close`` cancels fetches and awaits them. A fetch that failed and waits for its next attempt would raise
    ``CancelledError`` there: ``close`` would leave open what it closes later, and its caller would seem cancelled.
    """
    fetcher = consumer._fetcher
    send = fetcher._proc_fetch_request

    async def proc_fetch_request(assignment: Any, node: Any, request: Any) -> Any:
        try:
            return await send(assignment, node, request)
        except asyncio.CancelledError:
            return False

    fetcher._proc_fetch_request = proc_fetch_request


def report_refusals(coordinator: GroupCoordinator, lost: Callable[[str], None]) -> None:
    """Call ``lost`` with a sentence when the group cannot be joined.

    aiokafka raises such an error at the next fetch, and Faust does not fetch before it has joined.
    """
    push = coordinator._push_error_to_user

    def push_error_to_user(error: Exception) -> Any:
        lost(
            missing_right(error, "READ")
            or f"the group cannot be joined ({error!r}); see SEGMENTER_GROUP and SEGMENTER_SESSION_TIMEOUT_S"
        )
        return push(error)

    coordinator._push_error_to_user = push_error_to_user
