"""Runs one claimed partition: its task, which processes steps, and its outbox, which publishes them.

The one rule: a runner ends by release, by a newer owner, or with the process. If it ended in another way without a
sign, no process would read its partition.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine

from streams import defects
from streams.errors import ClaimRefused, Fenced, ProducerFenced, PublishFailed, StoreFailed, StoreRefused
from streams.failpoints import reach
from streams.runtime.outbox import Outbox
from streams.runtime.partition_task import PartitionTask
from streams.state.contract import Claim, Store
from streams.stop import Stop

log = logging.getLogger(__name__)

RELEASE_WAIT_S = 5.0
CLEAR_WAIT_S = 1.0
# A newer owner follows from a rebalance, of which this worker learns within the group's timeouts.
NEWER_OWNER_WAIT_S = 120.0


class PartitionRunner:
    """Runs a partition task and its outbox until released."""

    def __init__(
        self, claim: Claim, task: PartitionTask, outbox: Outbox, store: Store, stop: Callable[[str], None]
    ) -> None:
        self.task = task
        self._claim = claim
        self.outbox = outbox
        self._store = store
        self._stop = stop
        self._releasing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read and to publish."""
        self._tasks = [asyncio.create_task(self._guard(run)) for run in (self.task.run(), self.outbox.run())]

    async def _guard(self, run: Coroutine[None, None, None]) -> None:
        partition = self._claim.partition
        try:
            await self._until_fenced(run)
        except (Stop, StoreRefused, ClaimRefused) as stopped:
            self._stop(str(stopped))
        except StoreFailed as error:
            self._stop(f"Redis failed ({error}); when it is back, start the worker again")
        except PublishFailed as error:
            self._stop(f"publishing failed: {error}")
        except Exception as error:  # noqa: BLE001  # nothing else may end a partition unseen
            self._stop(defects.report(f"partition {partition}", error))

    async def _until_fenced(self, run: Coroutine[None, None, None]) -> None:
        try:
            await run
        except Fenced as fenced:
            await self._fenced(fenced)

    async def _fenced(self, fenced: Fenced) -> None:
        """Handle a claim that is not in the store: a newer owner has replaced it, or the store has lost it."""
        partition = self._claim.partition
        if self._releasing:
            return
        # A newer generation is normal in a rebalance, so this process waits to hear of it. Without one, the store has
        # lost the claim, or another producer has fenced this one.
        generation = await self._store.generation(partition)
        if generation <= self._claim.generation:
            self._stop(
                f"Kafka fenced this process's producer of partition {partition}: {fenced}; start the worker again"
                if isinstance(fenced, ProducerFenced)
                else f"Redis no longer knows the claim of partition {partition}: it lost its last writes or all of "
                "them, or the consumer group was deleted and another worker has claimed the partition since; start "
                "the worker again, it says what to do"
            )
        log.warning(
            "a newer owner has claimed a partition; this process stops processing it and waits for the rebalance",
            extra={"partition": partition, "generation": generation},
        )
        await asyncio.sleep(NEWER_OWNER_WAIT_S)
        self._stop(
            f"partition {partition} has a newer owner but the group did not say so, or Redis lost its last writes; "
            "start the worker again"
        )

    async def release(self) -> None:
        """Finish the present step and publish its records, within seconds; then release the partition.

        A step that is not finished is not lost: the next owner goes on from the last checkpoint.
        """
        reach("before_release")
        self._releasing = True
        self.task.release()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_WAIT_S):
                    await asyncio.wait(self._tasks[:1])
                    reach("mid_release")
                    if not any(task.done() for task in self._tasks[1:]):
                        await self.outbox.drained()
        finally:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # This end was requested, so the positions must not count as those at which the process died.
        with contextlib.suppress(TimeoutError, StoreFailed):
            async with asyncio.timeout(CLEAR_WAIT_S):
                await self._store.set_attempt(self._claim.partition, self._claim.fencing_token, b"")
