"""Assembles a process that owns partitions: store, publisher, ownership, metrics, watchdogs, Faust app.

Code that decides gets the wall clock as an argument; here it is read.

See also `streams.worker.app` and `streams.triggers.app`, the composition roots of the two processes.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

import faust
import msgspec
from faust.types import TP

from streams import defects, logs
from streams.kafka.answer_watch import AnswerWatch
from streams.kafka.batch_schema import BatchPassthroughSchema
from streams.kafka.faust_transport import Transport
from streams.kafka.fetch import Batch
from streams.kafka.output_reader import KafkaOutputReader
from streams.kafka.publisher import FencedPublisher, UnfencedPublisher
from streams.runtime.assignment import ClaimPartitions, OwnerConfig
from streams.runtime.garbage import collect_seldom
from streams.runtime.health_endpoint import serve
from streams.runtime.metrics import Metrics, PartitionMeter
from streams.runtime.partition_task import Pace
from streams.runtime.readiness import Reachable, ReadinessSources
from streams.runtime.rebalance_listener import PartitionOwner
from streams.runtime.scraped_metrics import ScrapedMetrics
from streams.runtime.watchdog import FetchWatchdog, LoopWatchdog
from streams.settings import Settings, credentials
from streams.state.redis import RedisStore
from streams.stop import Stop, end_at_last, stop

log = logging.getLogger(__name__)

_ANSWERS_WITHIN_S = 0.15  # in addition to the time for which a broker holds an empty fetch
_VERIFY_EVERY_S = 60.0
_HEAL_EVERY_S = 1.0
# Kafka's client was observed not to end after it had lost its connections again and again.
_ENDS_WITHIN_S = 10.0


def now_ms() -> int:
    """The wall clock (ms, UTC)."""
    return time.time_ns() // 1_000_000


def assemble(
    settings: Settings,
    config: OwnerConfig,
    claim_partitions: ClaimPartitions,
    counted: Mapping[str, Mapping[tuple[str, ...], int]] | None = None,
    endpoints: Mapping[str, Reachable] | None = None,
) -> faust.App:
    """Assemble a Faust app that owns partitions of the config's topics, with a store and a publisher of its own.

    ``counted``: further counters for the metrics, by name and labels; ``endpoints``: those of triggers, by channel.
    """
    metrics = _metrics(settings, config)
    store = RedisStore.of(settings)
    if settings.http != "none":  # without the port the counters cannot be read
        config = msgspec.structs.replace(
            config, meter=lambda: PartitionMeter(metrics), claimed=metrics.claimed, let_go=metrics.let_go
        )
        store.stopwatch.took = metrics.called
    client = credentials.kafka(settings)
    publisher = _publisher(settings, client, config)
    outputs = KafkaOutputReader(client, settings.topic_prefix)
    ownership = PartitionOwner(config, store, publisher, outputs, claim_partitions)
    app = _faust(settings, client)
    watch = AnswerWatch(settings.unread_s)
    app.transport = Transport(app.conf.broker_consumer, app, ownership, settings.fetch_wait_ms, watch)
    collect_seldom()
    loop = LoopWatchdog(settings.stuck_s, stop)
    fetches = FetchWatchdog(
        settings.unread_s, lambda: ownership.fetching().values(), lambda: ownership.without_since, stop
    )
    sources = ReadinessSources(
        ownership=ownership,
        metrics=metrics,
        stopwatch=store.stopwatch,
        loop=loop,
        fetches=fetches,
        behind_s=settings.ready_behind_s,
        monotonic=config.monotonic,
        counted=counted or {},
        endpoints=endpoints or {},
    )
    _attach(app, config, ownership, publisher)
    _look_after(app, sources, settings)
    return app


def _metrics(settings: Settings, config: OwnerConfig) -> Metrics:
    names = {topic: topic.removeprefix(settings.topic_prefix) for topic in config.topics}
    return Metrics(config.now_ms, config.pace.grace_ms, names, config.segments)


def _publisher(
    settings: Settings, client: Mapping[str, Any], config: OwnerConfig
) -> FencedPublisher | UnfencedPublisher:
    if settings.broker == "kafka":
        return FencedPublisher(
            client, settings.topic_prefix, settings.group, config.outputs, config.identity.partitions
        )
    return UnfencedPublisher(client, settings.topic_prefix)


def pace(settings: Settings, grace_ms: int) -> Pace:
    """The sizes of steps, from the settings."""
    # An input that one fetch left out is requested by the next one, and the broker may hold each for this long.
    answer_s = 2 * settings.fetch_wait_ms / 1000 + _ANSWERS_WITHIN_S
    return Pace(settings.batch_max, settings.in_hand_max, settings.due_slice, grace_ms, answer_s)


def _faust(settings: Settings, client: Mapping[str, Any]) -> faust.App:
    return faust.App(
        settings.group,
        broker=[f"kafka://{address}" for address in settings.brokers.split(",")],
        broker_credentials=_credentials(client),
        datadir=tempfile.gettempdir(),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        broker_rebalance_timeout=max(30.0, settings.session_timeout_s),
        broker_max_poll_records=settings.in_hand_max,
        consumer_group_instance_id=settings.instance_id,
        consumer_auto_offset_reset="earliest",
        # Faust's own processing guarantees act per message; here the store gives the guarantees.
        processing_guarantee="at_least_once",
        stream_wait_empty=False,
        # At 0 Faust would use an assignor that may give the inputs of one partition to different workers.
        table_standby_replicas=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        logging_config=logs.config(settings.log_format),
        # Faust's own web server would be on by default, on every interface, without authentication.
        web_enabled=False,
    )


def _credentials(client: Mapping[str, Any]) -> faust.auth.Credentials | None:
    """The credentials in Faust's own classes; they apply to its consumer and its producer."""
    if "sasl_mechanism" in client:
        return faust.SASLCredentials(
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            mechanism=client["sasl_mechanism"],
            ssl_context=client.get("ssl_context"),
        )
    return faust.SSLCredentials(client["ssl_context"]) if "ssl_context" in client else None


def _attach(
    app: faust.App,
    config: OwnerConfig,
    ownership: PartitionOwner,
    publisher: FencedPublisher | UnfencedPublisher,
) -> None:
    inputs = app.topic(*config.topics, schema=BatchPassthroughSchema())

    async def segment(batches: faust.StreamT[Batch]) -> None:
        async for batch in batches:
            # An exception that left an agent would ack the batch and go on with the next one.
            try:
                await ownership.receive(batch)
            except Exception as error:  # noqa: BLE001  # none may escape, and none is survived
                stop(defects.report(f"the taking in of a batch of {batch.topic}-{batch.partition}", error))

    async def assigned(_app: Any, tps: Collection[TP], **__: Any) -> None:
        ownership.assigned(tps)

    async def revoked(_app: Any, *_: Any, **__: Any) -> None:
        await ownership.release()

    async def shut_down(_app: Any, *_: Any, **__: Any) -> None:
        await ownership.release()
        await publisher.close()
        end_at_last(_ENDS_WITHIN_S)

    app.agent(inputs)(segment)
    # The library `mode` declares a keyword of receivers that it does not pass.
    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)
    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
    app.on_before_shutdown.connect(cast(Any, shut_down), weak=False)


def _look_after(app: faust.App, sources: ReadinessSources, settings: Settings) -> None:
    """Add the tasks of the app: watchdogs, the endpoint, and checks that are repeated."""

    async def watch_loop(_app: Any = None) -> None:
        await sources.loop.run()

    async def watch_fetches(_app: Any = None) -> None:
        await sources.fetches.run()

    async def tell(_app: Any = None) -> None:
        """Serve metrics and health until the end. Without them the process works on, so a failure is only logged."""
        sources.metrics.registry.register(ScrapedMetrics(sources))
        try:
            server = await serve(sources, settings)
        except Exception as error:  # noqa: BLE001  # without metrics the worker still segments
            expected = isinstance(error, (OSError, Stop))
            reason = str(error) if expected else defects.report("the serving of metrics", error)
            log.warning(
                "metrics and health are not served (see `error`); remove its cause, such as a port in use, or set "
                "another SEGMENTER_HTTP, then restart",
                extra={"address": settings.http, "error": reason},
            )
            return
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    app.task(watch_loop)
    app.task(watch_fetches)
    if settings.http != "none":
        app.task(tell)
    app.task(_every(_VERIFY_EVERY_S, sources.ownership.verify))
    app.task(_every(_HEAL_EVERY_S, sources.ownership.heal))


def _every(seconds: float, action: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def repeat(_app: Any = None) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await action()
            except Exception as error:  # noqa: BLE001  # Faust would take the worker down with its own exit code
                stop(defects.report("a task", error))

    return repeat
