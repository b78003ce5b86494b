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


def audit(evidence: Evidence) -> list[str]:
    """Find what is wrong with a run: a sentence for each invariant that does not hold."""
    return [
        *stops(evidence),
        *owners(evidence),
        *claims(evidence),
        *ends(evidence),
        *repeats(evidence),
        *table(
            (json.loads(record.value or b"") for record in evidence.published if record.topic == CHANGES),
            {
                (record.key or b"").decode(): None if record.value is None else json.loads(record.value)
                for record in evidence.published
                if record.topic == MEMBERSHIPS
            },
            erased=erased(evidence),
        ),
        *dead_letters(evidence),
        *changes(evidence),
        *order(evidence),
    ]


def stops(evidence: Evidence) -> Iterator[str]:
    """A worker stops only for what is the case: nothing is lost unless Redis lost it, and there is no defect."""
    may_be_lost = evidence.lost_writes or group_was_reset(evidence)
    for stop in evidence.stops:
        allowed_texts = FAULTS + OVERTAKEN + (LOST if may_be_lost else ())
        if not any(text in stop.sentence for text in allowed_texts):
            yield f"stop: {stop.process} at {stop.at:.3f}: {stop.sentence}"


def group_was_reset(evidence: Evidence) -> bool:
    """Whether a claim followed one of a higher generation: the group was deleted, and counted from 1 again."""
    for entries in evidence.history.values():
        generations = [entry.generation for entry in entries if isinstance(entry, Claimed)]
        if any(after < before for before, after in pairwise(generations)):
            return True
    return False


def owners(evidence: Evidence) -> Iterator[str]:
    """In the end each partition is held by one worker."""
    if sorted(partition for _, partition in evidence.assignments) != sorted(evidence.left):
        yield f"held: {evidence.assignments}"


def claims(evidence: Evidence) -> Iterator[str]:
    """I9: a partition is never claimed by a generation older than the one that had it.

    Of a deleted group a member that was not heard of may still claim, as its number is higher
    than those of the group that began anew: the store knows numbers only.
    """
    for partition, history in evidence.history.items():
        taken = [entry for entry in history if isinstance(entry, Claimed)]
        for before, after in pairwise(taken):
            if after.epoch < before.epoch and after.generation <= before.generation:
                yield f"I9: p{partition} was claimed by {before} and then by {after}"


def ends(evidence: Evidence) -> Iterator[str]:
    """I6, I10: everything is read, and everything that was put into the outbox has left it."""
    for partition, left in evidence.left.items():
        right = {topic: evidence.ends[topic, partition] for topic in TOPICS}
        if dict(left.positions) != right:
            yield f"I6: p{partition} stands at {dict(left.positions)}, its inputs end at {right}"
        if left.outbox:
            yield f"I10: {left.outbox} entries are left in the outbox of p{partition}"


def repeats(evidence: Evidence) -> Iterator[str]:
    """I4: nothing comes twice; a row may come as often as it likes."""
    names: set[object] = set()
    for record in evidence.published:
        if record.topic == MEMBERSHIPS:
            continue
        name = identity(record)
        if name in names:
            yield f"I4: {name} came twice"
        names.add(name)


def dead_letters(evidence: Evidence) -> Iterator[str]:
    """I8: each bad record is a dead letter, no other is, and it is as it came."""
    came = {record[:3]: record for record in evidence.records}
    right = {(*bad, came[bad[:3]].key, came[bad[:3]].value) for bad in evidence.bad}
    published = set()
    for letter in once(evidence, DEAD_LETTERS):
        headers = {name: text.decode() for name, text in letter.headers.items()}
        published.add(
            (
                headers["topic"],
                int(headers["partition"]),
                int(headers["offset"]),
                headers["reason"],
                letter.key,
                letter.value,
            )
        )
    if published != right:
        yield f"I8: not told {sorted(right - published, key=repr)}, told {sorted(published - right, key=repr)}"
