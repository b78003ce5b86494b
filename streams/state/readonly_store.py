"""A store opened for commands that only read which customers a worker has stored in Redis.

The one rule: nothing is written, and a Redis that cannot be read stops the command with a sentence.

See also `streams.wire.customer_codec` for the bytes of a customer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from streams.errors import StoreFailed, StoreRefused
from streams.settings import Settings
from streams.state.redis import RedisStore
from streams.stop import Stop


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[tuple[RedisStore, Mapping[str, str]]]:
    """Open the store, with the fields of its first partition that hold for all: their number and definitions.

    Raises `Stop` when nothing is stored, or when Redis does not answer, then or later.
    """
    async with opened(settings) as store:
        first = await store.meta(0, ("definitions", "partitions"))
        if not first:
            raise Stop(
                "Redis holds no state of the segmenter; see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX, and whether a "
                "worker ran"
            )
        yield store, first


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[RedisStore]:
    """Open the store, also if nothing is stored. Raises `Stop` when Redis does not answer, then or later."""
    store = RedisStore.of(settings)
    try:
        yield store
    except StoreRefused as refused:
        raise Stop(str(refused)) from None
    except StoreFailed as error:
        raise Stop(f"Redis does not answer ({error}); see SEGMENTER_REDIS") from None
    finally:
        await store.close()
