"""The obvious loop: a Faust agent per input, for each event one GET, one SET and a send.

It is the loop that a developer writes on the first day. It decides the two segments that depend on orders alone, and
has no due times.
"""

import sys
import time
from datetime import datetime, timedelta
from typing import Any

import faust
import msgspec
import redis.asyncio

SEGMENTS = {"recently_purchased": (1, timedelta(days=30)), "repeat_buyer": (2, timedelta(days=365))}


def main(brokers: str, redis_url: str, prefix: str, count: int, partitions: int) -> None:
    app = faust.App(
        f"{prefix}obvious", broker=f"kafka://{brokers}", consumer_auto_offset_reset="earliest", web_enabled=False,
        topic_partitions=partitions, value_serializer="raw", datadir=sys.argv[6], topic_disable_leader=True,
    )  # fmt: skip
    store = redis.asyncio.Redis.from_url(redis_url)
    changes = app.topic(f"{prefix}segment-changes", value_serializer="raw", key_serializer="raw")
    counted = [0, 0.0]

    async def decide(events: Any) -> None:
        async for value in events:
            if not counted[0]:
                counted[1] = time.monotonic()
            event = msgspec.json.decode(value)
            name = f"{prefix}{event.get('userId') or event['anonymousId']}"
            stored = await store.get(name)
            customer = msgspec.json.decode(stored) if stored else {"orders": {}, "segments": []}
            if event.get("event") == "Order Completed":
                customer["orders"][event["properties"]["order_id"]] = event["timestamp"]
            now = datetime.fromisoformat(event["timestamp"])
            times = [datetime.fromisoformat(at) for at in customer["orders"].values()]
            before = set(customer["segments"])
            members = {
                segment for segment, (least, age) in SEGMENTS.items() if sum(now - age < at for at in times) >= least
            }
            customer["segments"] = sorted(members)
            await store.set(name, msgspec.json.encode(customer))
            for segment in sorted(members ^ before):
                change = {
                    "customer_id": event["userId"], "segment": segment, "segments": sorted(members),
                    "change": "entered" if segment in members else "exited", "occurred_at": event["timestamp"],
                }  # fmt: skip
                await changes.send(key=event["userId"].encode(), value=msgspec.json.encode(change))
            counted[0] += 1
            if counted[0] == count:
                print(f"DONE {time.monotonic() - counted[1]}", file=sys.__stdout__, flush=True)  # sys.stdout is Faust's

    for topic in ("profiles", "visits", "carts", "purchases"):
        app.agent(app.topic(prefix + topic, key_serializer="raw", value_serializer="raw"), name=topic)(decide)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
