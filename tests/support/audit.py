"""The auditor: whether what a run left behind is what the contract promises.

The one rule: it shares nothing with what it checks. From bytes and positions (tests/support/evidence.py)
and the tests' oracle it works out what should be there; every invariant is a function that says
what is wrong with it, one sentence each. Changes are in audit_changes, orders in audit_order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

from tests.support.audit_changes import changes, erased
from tests.support.audit_order import order
from tests.support.audit_table import table
from tests.support.evidence import CHANGES, DEAD_LETTERS, MEMBERSHIPS, TOPICS, Claimed, Evidence, identity, once

# What a worker may say while the world is broken.
FAULTS = ("Redis failed", "claiming failed", "publishing failed", "claiming took over")
LOST = ("or Redis lost its last writes", "Redis no longer knows the claim")
OVERTAKEN = ("a newer owner has the partition", "another producer has its transactional id")


def audit(found: Evidence) -> list[str]:
    """What is wrong."""
    return [
        *stops(found),
        *held(found),
        *claims(found),
        *ends(found),
        *repeats(found),
        *table(
            (json.loads(one.value or b"") for one in found.published if one.topic == CHANGES),
            {
                (one.key or b"").decode(): None if one.value is None else json.loads(one.value)
                for one in found.published
                if one.topic == MEMBERSHIPS
            },
            erased=erased(found),
        ),
        *dead_letters(found),
        *changes(found),
        *order(found),
    ]


def stops(found: Evidence) -> Iterator[str]:
    """A worker stops only for what is the case: nothing is lost unless Redis lost it, and there is no defect."""
    for stop in found.stops:
        known = FAULTS + OVERTAKEN + (LOST if found.lost_writes else ())
        if not any(text in stop.sentence for text in known):
            yield f"stop: {stop.process} at {stop.at:.3f}: {stop.sentence}"


def held(found: Evidence) -> Iterator[str]:
    """In the end each partition is held by one worker."""
    if sorted(partition for _, partition in found.held) != sorted(found.left):
        yield f"held: {found.held}"


def claims(found: Evidence) -> Iterator[str]:
    """I9: a partition is never claimed by a generation older than the one that had it.

    Of a deleted group a member that was not heard of may still claim, as its number is higher
    than those of the group that began anew: the store knows numbers only.
    """
    for partition, history in found.history.items():
        taken = [one for one in history if isinstance(one, Claimed)]
        for before, after in pairwise(taken):
            if after.epoch < before.epoch and after.generation <= before.generation:
                yield f"I9: p{partition} was claimed by {before} and then by {after}"


def ends(found: Evidence) -> Iterator[str]:
    """I6, I10: everything is read, and everything that was put into the outbox has left it."""
    for partition, left in found.left.items():
        right = {topic: found.ends[topic, partition] for topic in TOPICS}
        if dict(left.positions) != right:
            yield f"I6: p{partition} stands at {dict(left.positions)}, its inputs end at {right}"
        if left.outbox:
            yield f"I10: {left.outbox} entries are left in the outbox of p{partition}"


def repeats(found: Evidence) -> Iterator[str]:
    """I4: nothing comes twice; a row may come as often as it likes."""
    seen: set[object] = set()
    for record in found.published:
        if record.topic == MEMBERSHIPS:
            continue
        name = identity(record)
        if name in seen:
            yield f"I4: {name} came twice"
        seen.add(name)


def dead_letters(found: Evidence) -> Iterator[str]:
    """I8: each bad record is a dead letter, no other is, and it is as it came."""
    came = {one[:3]: one for one in found.records}
    right = {(*bad, came[bad[:3]].key, came[bad[:3]].value) for bad in found.bad}
    told = set()
    for letter in once(found, DEAD_LETTERS):
        said = {name: text.decode() for name, text in letter.headers.items()}
        told.add((said["topic"], int(said["partition"]), int(said["offset"]), said["reason"], letter.key, letter.value))
    if told != right:
        yield f"I8: not told {sorted(right - told, key=repr)}, told {sorted(told - right, key=repr)}"
