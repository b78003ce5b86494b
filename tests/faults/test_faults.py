"""Faults on real Kafka, Redis and workers: what CI runs of `scripts/faults`, and whether its auditor would tell.

A run is judged by its findings alone: a run without any is good. Its name and its seed are those of the test.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fault_runs import evidence, main
from fault_runs import traffic as fault_traffic
from fault_runs.audit import audit
from fault_runs.kinds import KINDS
from fault_runs.scene import PARTITIONS, Lane, Scene
from fault_runs.supervisor import Crew, Member
from fault_runs.traffic import TrafficRecord
from fault_runs.worker_faults import CHAINS
from local.processes import Worker
from soak_runs import audit as soak_audit
from streams.failpoints import NAMES

EVENTS = 500


@pytest.fixture(scope="session")
def lane() -> Iterator[Lane]:
    """A Kafka of these tests' own, since some of them kill it."""
    with Lane() as lane:
        yield lane


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_faults() -> None:
    """Whatever goes wrong, what is left is what the events ask for.

    In one test, as they mostly wait: three at a time take a third of the time.
    """
    todo = main.quick(1)
    results = main.run_all(todo, EVENTS, lanes=3)
    print(main.table(results))  # noqa: T201  # pytest shows it with a failure
    assert {f"{result.kind} --seed {result.seed}": result.findings for result in results if result.findings} == {}
    assert len(results) == len(todo)


def test_ci_has_at_least_twenty() -> None:
    """CI runs at least twenty faults; the whole matrix has kinds that it leaves out."""
    quick = main.quick(1)
    assert len(quick) >= 20
    assert set(KINDS) - {fault.name for fault, _ in quick}


def test_every_fail_point_is_deadly_somewhere() -> None:
    """Each fail point kills in some chain of faults, so a new one must be put into one."""
    # of a record that says so itself: tests/integration/worker/test_poison_pills.py
    of_records = {"mid_decode", "mid_apply"}
    assert {point for chain in CHAINS.values() for point in chain} == set(NAMES) - of_records


# --- the auditor -------------------------------------------------------------------------------


@pytest.mark.parametrize("auditor", ["scripts/*/audit.py", "scripts/*/evidence.py", "scripts/soak_runs/fold.py",
                                     "tests/oracle/*.py", "tests/support/audit*.py",
                                     "tests/support/evidence.py"])  # fmt: skip
def test_what_checks_shares_nothing_with_what_is_checked(auditor: str) -> None:
    """The auditor imports neither the rules nor the streams."""
    files = sorted(Path(__file__).parents[2].glob(auditor))
    assert files
    for file in files:
        assert re.findall(r"^ *(?:from|import) (?:rules|streams)\b.*", file.read_text(), re.MULTILINE) == [], file


@pytest.fixture(scope="module")
def quiet(lane: Lane) -> Iterator[Scene]:
    """A run in which nothing went wrong, with some events of now, and dead letters."""
    with Scene(lane, "quiet", 5, 300) as scene:
        scene.begin(1)
        scene.wait(lambda: scene.traffic.sent > 40, "events of now")
        scene.settle()
        yield scene


@pytest.mark.kafka
def test_nothing_went_wrong(quiet: Scene) -> None:
    """All is equal, and there was something to compare."""
    audited = audit(quiet)
    assert audited.findings == []
    assert quiet.crew.findings == []
    assert audited.counts["events"] > 340
    assert min(audited.counts[name] for name in ("changes", "due times", "dead letters", "customers")) > 0


def member(scene: Scene) -> tuple[str, bytes, bytes]:
    """The hash, the name and the value of a customer that is in a segment."""
    for partition in range(PARTITIONS):
        where = scene.key(partition, "customers")
        for name, value in scene.client.hgetall(where).items():
            if msgspec.msgpack.decode(value, strict=False)[2]:
                return where, name, value
    raise AssertionError("no customer is in a segment")


def changed(scene: Scene, index: int, change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Change a field of a stored customer; gives what puts it back."""
    where, name, value = member(scene)
    fields = msgspec.msgpack.decode(value, strict=False)
    fields[index] = change(fields[index])
    scene.client.hset(where, name, msgspec.msgpack.encode(fields))
    return lambda: scene.client.hset(where, name, value)


def gone(scene: Scene) -> Callable[[], Any]:
    where, name, value = member(scene)
    scene.client.hdel(where, name)
    return lambda: scene.client.hset(where, name, value)


def unlisted(scene: Scene) -> Callable[[], Any]:
    """Remove a due time from the list, so that it would never fire; gives what puts it back."""
    place = next(
        scene.key(partition, "due")
        for partition in range(PARTITIONS)
        if scene.client.zcard(scene.key(partition, "due"))
    )
    ((name, due),) = scene.client.zrange(place, 0, 0, withscores=True)
    scene.client.zrem(place, name)
    return lambda: scene.client.zadd(place, {name: due})


def moved(scene: Scene, field: str, by: int) -> Callable[[], Any]:
    key = scene.key(0, "meta")
    scene.client.hincrby(key, field, by)
    return lambda: scene.client.hincrby(key, field, -by)


def left_behind(scene: Scene, name: str) -> Callable[[], Any]:
    scene.client.rpush(scene.key(0, name), msgspec.msgpack.encode([]))
    return lambda: scene.client.delete(scene.key(0, name))


DAMAGES: dict[str, tuple[str, Callable[[Scene], Callable[[], Any]]]] = {
    "in a segment since another time": ("I1", lambda scene: changed(scene, 2, lambda since: dict.fromkeys(since, 5))),
    "in no segment": ("I2", lambda scene: changed(scene, 2, lambda _: {})),
    "a change more": ("I5", lambda scene: changed(scene, 1, lambda sequence: sequence + 1)),
    "a customer less": ("I1", gone),
    "a due time not listed": ("I10", unlisted),
    "a position too far": ("I6", lambda scene: moved(scene, f"position:{scene.prefix}visits", 1)),
    "a clock that ran ahead": ("I7", lambda scene: moved(scene, "clock", 3_600_000)),
    "an entry in the outbox": ("I10", lambda scene: left_behind(scene, "outbox")),
    "a key that nobody knows": ("I10", lambda scene: left_behind(scene, "other")),
}


@pytest.mark.kafka
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_auditor_tells_a_damaged_redis(damage: str, quiet: Scene) -> None:
    """Each damage is reported under the invariant that it breaks; repaired, all is equal again."""
    invariant, do = DAMAGES[damage]
    undo = do(quiet)
    findings = audit(quiet).findings
    undo()
    assert any(finding.startswith(f"{invariant}:") for finding in findings), findings


@pytest.mark.kafka
@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_auditor_of_the_soak_tells_it_too(damage: str, quiet: Scene) -> None:
    """In one pass, with the oracle for some, the same invariant is reported, and nothing without the damage."""
    invariant, do = DAMAGES[damage]
    undo = do(quiet)
    findings = soak_audit.audit(quiet, 1_000).findings
    undo()
    assert any(finding.startswith(f"{invariant}:") for finding in findings), findings
    assert soak_audit.audit(quiet, 20).findings == []


@pytest.mark.kafka
def test_the_auditor_tells_what_was_published_wrongly(lane: Lane) -> None:
    """An additional, a repeated, a different and a missing change or dead letter are reported."""
    with Scene(lane, "published", 6, 200) as scene:
        scene.publish_history()
        scene.crew.hire()
        scene.settle()
        assert audit(scene).findings == []
        (first, *_, last) = (record.value for record in evidence.read(scene, "segment-changes"))
        body = json.loads(first)
        name, partition = body["customer_id"], fault_traffic.partition_of(body["customer_id"].encode(), PARTITIONS)
        assert broken_invariants(scene, "segment-changes", partition, first) == {"I4"}
        another = {**json.loads(last), "customer_id": "nobody", "change_id": "0" * 32}
        assert "I1" in broken_invariants(scene, "segment-changes", partition, json.dumps(another).encode())
        different = {**body, "segment": "spender"}
        assert "I4" in broken_invariants(scene, "segment-changes", partition, json.dumps(different).encode())
        again = {**body, "change_id": "1" * 32}
        assert {"I3", "I5"} <= broken_invariants(scene, "segment-changes", partition, json.dumps(again).encode())
        row = evidence.read(scene, "segment-memberships")[0].value
        assert broken_invariants(scene, "segment-memberships", partition, row) > {"I11"}  # under another's key
        headers = [("reason", b"not_json"), ("topic", b"carts"), ("partition", b"0"), ("offset", b"0")]
        assert "I8" in broken_invariants(scene, "dead-letters", 0, b"{", headers)
        lost = TrafficRecord("carts", name.encode(), b"{", "not_json")
        scene.publish([lost])
        assert any(finding.startswith("I8: no dead letter") for finding in audit(scene).findings)


def broken_invariants(scene: Scene, topic: str, partition: int, value: bytes, headers: Any = ()) -> set[str]:
    """The invariants that are broken once this record is on the topic too."""
    sender = fault_traffic.producer(scene.lane.kafka.address)
    sender.send(scene.prefix + topic, key=b"k", value=value, partition=partition, headers=list(headers)).get(30)
    sender.close()
    return {finding.partition(":")[0] for finding in audit(scene).findings}


# --- the supervisor ----------------------------------------------------------------------------


class Ended(Worker):
    """A worker that has ended in some way."""

    def __init__(self, code: int, log_text: str, folder: Any) -> None:
        super().__init__({}, log=folder / f"{time.monotonic_ns()}.log")
        self.log.write_text(log_text)
        self._code = code

    @property
    def exit_code(self) -> int:
        return self._code


@pytest.mark.parametrize(
    ("code", "log_text", "good"),
    [
        (75, "segmenter stopped: Redis failed (gone); when it is back, start the worker again\n", True),
        (75, "segmenter stopped: a defect ended a claim (KeyError(0))\n", False),
        (75, "", False),
        (1, "Traceback\n", False),
        (0, "", False),
        (-9, "", False),
    ],
)
def test_a_death_is_judged(code: int, log_text: str, good: bool, tmp_path: Any) -> None:
    """Only a stop that the fault may cause, with its sentence, is good; no member was told to end or killed."""
    crew = Crew({}, tmp_path, [r"^Redis failed"])
    crew.replaces = False
    crew.members.append(Member(Ended(code, log_text, tmp_path)))
    crew.tend()
    assert (crew.findings == []) is good
    assert len(crew.deaths) == good


def test_a_death_that_did_not_happen_is_the_successors(tmp_path: Any) -> None:
    """A worker that stops for safety before its fail point leaves it to the next one."""
    crew = Crew({}, tmp_path, [r"^Redis failed"])
    crew.replaces = False
    crew.successors = ["after_read_back:1"]
    crew.members.append(Member(Ended(75, "segmenter stopped: Redis failed (gone)\n", tmp_path), "mid_read_back:1"))
    crew.tend()
    assert crew.successors == ["mid_read_back:1", "after_read_back:1"]
