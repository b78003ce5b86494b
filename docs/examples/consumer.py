"""Read segment changes once each: python consumer.py BROKERS. Keep `seen` where your work is kept."""

import json
import sys

from kafka import KafkaConsumer

seen: dict[str, int] = {}  # the newest sequence of each customer: what is not newer came before
consumer = KafkaConsumer(
    "segment-changes", bootstrap_servers=sys.argv[1], group_id="example", auto_offset_reset="earliest",
    isolation_level="read_committed",
)  # fmt: skip
for record in consumer:
    if record.value is None:
        continue  # a tombstone
    change = json.loads(record.value)
    who, last = change["customer_id"], seen.get(change["customer_id"], 0)
    if change["sequence"] <= last:
        continue  # a repeat, under the id that it had
    if last and change["sequence"] != last + 1:
        print(f"a gap after {last} of {who}", file=sys.stderr)
    seen[who] = change["sequence"]
    print(change["change_id"], who, change["change"], change["segment"], change["said"].get("en"), flush=True)
