"""The segment repeat_buyer on Quix Streams, alone: no due times, as it has none over days.

It is written as in the guide of Quix Streams, with exactly-once processing as here. It is given the number of records,
and prints how long they took from the first one on. It runs in an environment of its own.
"""

import sys
import time
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application, State

WITHIN = timedelta(days=365)


def main(brokers: str, prefix: str, count: int) -> None:
    counted = [0, 0.0]

    def decide(event: dict[str, Any], state: State) -> list[dict[str, Any]]:
        if not counted[0]:
            counted[1] = time.monotonic()
        counted[0] += 1
        if counted[0] == count:
            print(f"DONE {time.monotonic() - counted[1]}", flush=True)
        if event["event"] != "Order Completed":
            return []
        now = datetime.fromisoformat(event["timestamp"])
        orders = state.get("orders", {})
        was_member = len(orders) >= 2
        orders[event["properties"]["order_id"]] = event["timestamp"]
        orders = {name: at for name, at in orders.items() if datetime.fromisoformat(at) > now - WITHIN}
        state.set("orders", orders)
        if was_member == (len(orders) >= 2):
            return []
        kind = "exited" if was_member else "entered"
        segments = [] if was_member else ["repeat_buyer"]
        return [
            {
                "customer_id": event["userId"], "segment": "repeat_buyer", "change": kind, "segments": segments,
                "occurred_at": event["timestamp"],
            }
        ]  # fmt: skip

    app = Application(
        brokers, consumer_group=f"{prefix}quix", auto_offset_reset="earliest", state_dir=sys.argv[4],
        processing_guarantee="exactly-once", loglevel="WARNING",
    )  # fmt: skip
    orders = app.topic(f"{prefix}purchases", value_deserializer="json")
    changes = app.topic(f"{prefix}segment-changes", value_serializer="json")
    frame = app.dataframe(orders)
    frame.apply(decide, stateful=True, expand=True).to_topic(changes)
    app.run(count=count, timeout=120)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
