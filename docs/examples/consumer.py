"""Read segment changes once each: python consumer.py BROKERS. Keep `sequences` where your work is kept."""

import json
import sys

from kafka import KafkaConsumer

sequences: dict[str, int] = {}  # the newest sequence of each customer: what is not newer came before
consumer = KafkaConsumer(
    "segment-changes", bootstrap_servers=sys.argv[1], group_id="example", auto_offset_reset="earliest",
    isolation_level="read_committed",
)  # fmt: skip
for record in consumer:
    if record.value is None:
        continue  # a tombstone
    change = json.loads(record.value)
    customer_id = change["customer_id"]
    last = sequences.get(customer_id, 0)
    if change["sequence"] <= last:
        continue  # a repeat, under the id that it had
    if last and change["sequence"] != last + 1:
        print(f"a gap after {last} of {customer_id}", file=sys.stderr)
    sequences[customer_id] = change["sequence"]
    print(change["change_id"], customer_id, change["change"], change["segment"], change["said"].get("en"), flush=True)
