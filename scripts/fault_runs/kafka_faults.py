"""Faults of Kafka: a broker that is gone or frozen, changed topics, upstream transactions.

While the broker is away no present event is sent, as an event that waits in the sender would be late through no fault
of the segmenter.
"""

import random
import time
from typing import Any

from kafka import TopicPartition
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError

from fault_runs import evidence
from fault_runs import traffic as fault_traffic
from fault_runs.kinds import KAFKA_AWAY, NEWER_OWNER, kind
from fault_runs.redis_faults import frozen, pause
from fault_runs.scene import INPUTS, OUTPUTS, PARTITIONS, Scene, TimedOut
from fault_runs.traffic import TrafficRecord

FROZEN_S = 8.0
WITHHELD_S = 8.0  # longer than an answer about an input counts, which is 5 s


def restart(scene: Scene) -> None:
    """Kill the broker (kill -9), and start it on the same data."""
    with scene.traffic.paused():
        scene.lane.kafka.kill9()
        pause(scene.rng.uniform(0.1, 3.0))
        scene.lane.kafka.start()


def freeze(scene: Scene) -> None:
    """Freeze the broker: its connections stay, and it does not answer."""
    with scene.traffic.paused(), frozen(scene.lane.kafka.pid):
        pause(FROZEN_S)


@kind("broker-kill", "kill -9 of the broker and a restart", stops=KAFKA_AWAY)
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.8))
    restart(scene)


@kind("broker-frozen", f"the broker does nothing for {FROZEN_S:.0f} s", stops=KAFKA_AWAY)
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.8))
    freeze(scene)


# --- faults that must stop the workers ---------------------------------------------------------


def refused(scene: Scene, text: str) -> None:
    """Check that workers stop with this sentence, one after the other, and apply nothing more."""
    scene.wait_stopped(text, 1)
    before = scene.positions()
    scene.wait_stopped(text, 3)
    if scene.positions() != before:
        raise TimedOut(f"workers that say {text!r} went on all the same: {before}, {scene.positions()}")


@kind("retention", "retention has passed the position: stops", stops=("were removed by retention", NEWER_OWNER),
      audited=False, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(1)
    scene.wait_applied(scene.rng.uniform(0.1, 0.5))
    scene.crew.freeze(scene.crew.members[0])
    delete_records(scene, scene.ends())
    scene.publish_history()
    scene.crew.thaw(scene.crew.members[0])
    refused(scene, "longer retention")


def delete_records(scene: Scene, before: dict[tuple[str, int], int]) -> None:
    """Delete records as retention does."""
    admin = scene.admin()
    admin.delete_records({TopicPartition(scene.prefix + name, at): end for (name, at), end in before.items()})
    admin.close()


@kind("topic-anew", "an input is deleted and created again: stops", stops=("was deleted and recreated", *KAFKA_AWAY),
      audited=False, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(1)
    scene.wait_applied(1.0)
    scene.traffic.end()
    scene.crew.freeze(scene.crew.members[0])
    topic = scene.prefix + "carts"
    scene.delete_topics([topic])
    admin = scene.admin()
    scene.wait(lambda: topic not in admin.list_topics(), "the topic is gone")
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    admin.close()
    scene.crew.thaw(scene.crew.members[0])
    refused(scene, "was deleted and recreated")


@kind("more-partitions", "topics get more partitions: stops at the next start", stops=("number of partitions changed",),
      audited=False, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(1)
    scene.wait_applied(0.5)
    admin = scene.admin()
    names = (*INPUTS, *OUTPUTS, "merges")
    admin.create_partitions({scene.prefix + name: NewPartitions(2 * PARTITIONS) for name in names})
    admin.close()
    scene.crew.kill(scene.crew.members[0])
    refused(scene, "number of partitions changed")


# --- upstream ----------------------------------------------------------------------------------


def transaction(scene: Scene, name: str) -> Any:
    """Give a producer with an open transaction."""
    sender = fault_traffic.producer(scene.lane.kafka.address, transactional_id=scene.prefix + name)
    sender.init_transactions()
    sender.begin_transaction()
    return sender


@kind("upstream-aborts", "upstream uses transactions, and takes most of them back")
def _(scene: Scene) -> None:
    records = fault_traffic.history(scene.seed, scene.events, int(time.time() * 1000) - 1_000)
    rng = random.Random(f"aborted {scene.seed}")
    lies = [
        TrafficRecord(record.topic, record.key, record.value.replace(b'"messageId":"', b'"messageId":"lie-'))
        for record in records
    ]
    for index in range(0, len(records), 300):
        for part, keep in ((lies[index : index + 300], False), (records[index : index + 300], True)):
            sender = transaction(scene, f"part-{rng.randrange(4)}")
            fault_traffic.publish(sender, scene.prefix, PARTITIONS, part)
            (sender.commit_transaction if keep else sender.abort_transaction)()
            sender.close()
    scene.crew.hire()
    scene.crew.hire()
    scene.traffic.start()
    scene.wait_applied(0.5)
    scene.crew.kill(scene.crew.members[0])


@kind("input-withheld", "purchases wait for a transaction to end, all else can be read: no cart is abandoned for it")
def _(scene: Scene) -> None:
    records = fault_traffic.history(scene.seed, scene.events, int(time.time() * 1000) - 1_000)
    open_transaction = transaction(scene, "held")
    fault_traffic.publish(
        open_transaction, scene.prefix, PARTITIONS, [record for record in records if record.topic == "purchases"]
    )
    scene.publish([record for record in records if record.topic != "purchases"])
    scene.crew.hire()
    scene.crew.hire()
    scene.crew.wait_ready()
    scene.traffic.start()
    pause(WITHHELD_S)
    decided = len(evidence.read(scene, "segment-changes"))
    open_transaction.commit_transaction()
    open_transaction.close()
    if decided:
        raise TimedOut(f"{decided} changes were decided before any purchase could be read")


@kind("offsets-lost", "the group and its committed offsets are deleted while no worker runs", quick=False)
def _(scene: Scene) -> None:
    scene.forgets = True  # the generations of a new group begin at 1
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.5))
    scene.crew.replaces = False
    for member in tuple(scene.crew.members):
        scene.crew.kill(member)
    scene.crew.tend()
    scene.wait(lambda: group_deleted(scene), "its members forgotten and the group deleted")
    scene.crew.replaces = True
    scene.crew.hire()
    scene.crew.hire()


def group_deleted(scene: Scene) -> bool:
    """Delete the group; whether Kafka did. It refuses while the group has members, also dead ones."""
    admin = scene.admin()
    try:
        admin.delete_groups([scene.prefix])
        return scene.prefix not in str(admin.list_groups())
    except KafkaError:
        return False
    finally:
        admin.close()


@kind("outage", "workers are away while two hours are published to all inputs at once, one after the other")
def _(scene: Scene) -> None:
    now = int(time.time() * 1000)
    before = fault_traffic.history(scene.seed, 2 * scene.events, now - fault_traffic.HISTORY_MS)
    scene.publish(before)
    scene.crew.hire()
    scene.crew.hire()
    scene.wait_applied(scene.rng.uniform(0.1, 0.3))
    scene.crew.replaces = False
    for member in scene.crew.members:
        scene.crew.kill(member)
    scene.crew.tend()
    scene.crew.replaces = True
    clocks = [int(scene.meta(partition).get("clock", 0)) for partition in range(PARTITIONS)]
    assert max(clocks) < now - fault_traffic.HISTORY_MS, "some worker had read everything, so what comes now comes late"
    records = fault_traffic.history(scene.seed + 1_000, scene.events, now)
    for topic in scene.rng.sample(INPUTS, len(INPUTS)):
        scene.publish([record for record in records if record.topic == topic])
    scene.crew.hire()
    scene.crew.hire()
    scene.traffic.start()
