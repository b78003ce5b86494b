"""Steps of a store: claims, saves and customers, and what can be read back of a partition."""

from typing import Any

import msgspec

from streams.state.contract import Claim, Identity, PartitionState, Save, Store, StoredCustomer

IDENTITY = Identity("cluster-a", "segmenter", 4, "abc123")
POSITIONS = {"visits": 10, "carts": 20}
PERSIAN = "مشتری-۱"
NOTHING = PartitionState({}, 0, 0, 0, [], 0)


def claim(fencing_token: str = "t1", generation: int = 5, **more: Any) -> Claim:
    return Claim(
        **{"partition": 0, "generation": generation, "fencing_token": fencing_token, "identity": IDENTITY, **more}
    )


def step(number: int = 1, **more: Any) -> Save:
    """A save from the first positions to one record further in each input."""
    parts: dict[str, Any] = {
        "fencing_token": "t1",
        "number": number,
        "digest": b"d%d" % number,
        "clock": 1_000 * number,
    }
    parts |= {"starts": {name: at + number - 1 for name, at in POSITIONS.items()}, "customers": [], "outbox": []}
    parts |= {"positions": {name: at + number for name, at in POSITIONS.items()}}
    return Save(**{**parts, **more})


def stored_customer(name: str, value: bytes = b"v", due: int | None = None) -> StoredCustomer:
    return StoredCustomer(name, value, due)


async def claimed(store: Store, **more: Any) -> PartitionState:
    """A partition that is claimed and has its first positions."""
    await store.claim(claim(**more))
    await store.begin(claim(**more), POSITIONS)
    return await store.claim(claim(**more))


async def visible_state(store: Store, customers: tuple[str, ...] = ("a", "b"), **more: Any) -> tuple[object, ...]:
    """All that can be seen of the partition under the claim that holds it."""
    partition = more.get("partition", 0)
    state = await store.claim(claim(**more))
    loaded = await store.load(partition, customers)
    dues = await store.due(partition, 10**15, 100)
    return msgspec.structs.replace(state, outbox=list(state.outbox)), loaded, dues
