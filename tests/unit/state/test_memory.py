"""What the store in memory does alone; the contract of all stores is in tests/integration/state."""

from __future__ import annotations

from streams.state.memory import MemoryStore


async def test_the_memory_store_has_nothing_to_refuse() -> None:
    """The memory store cannot evict and has no clock of its own."""
    await MemoryStore().verify(lambda: 0)
