"""The auditor of persons with several ids: the membership of each in the end, and the changes of each id.

The one rule: a person's membership is that of its undivided history under one id. Which changes lead there is not
claimed, as the owners of two ids do not wait for each other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.support.audit import claims, owners, stops
from tests.support.audit_changes import consistent
from tests.support.evidence import CHANGES, DEAD_LETTERS, Evidence, events, once

DEVICE = "device-"


def audit(evidence: Evidence) -> Iterator[str]:
    """Find what is wrong with a run of persons that have several ids."""
    yield from stops(evidence)
    yield from owners(evidence)
    yield from claims(evidence)
    for partition, left in evidence.left.items():
        right = {topic: evidence.ends[topic, partition] for topic in left.positions}
        if dict(left.positions) != right:
            yield f"I6: p{partition} stands at {dict(left.positions)}, its inputs end at {right}"
        if left.outbox:
            yield f"I10: {left.outbox} entries are left in the outbox of p{partition}"
    if letters := once(evidence, DEAD_LETTERS):
        yield f"dead letters: {letters[:3]}"
    yield from _everybody(evidence)


def _everybody(evidence: Evidence) -> Iterator[str]:
    bodies: dict[str, list[Json]] = defaultdict(list)
    for record in once(evidence, CHANGES):
        body = json.loads(record.value or b"")
        bodies[body["customer_id"]].append(body)
    own = [event for partition in evidence.history for event in events(evidence, partition)]
    linked = {person(event) for event in own if "userId" in event and "anonymousId" in event}
    whole = [{**event, "userId": person(event) if person(event) in linked else oracle.customer(event)} for event in own]
    unique = list({(event["userId"], event["messageId"]): event for event in whole}.values())
    right: dict[str, set[str]] = {}
    for left in evidence.left.values():
        assert all(oracle.fact(event).time <= left.clock for event in whole), "the run ended before its last event"
        members = oracle.membership(unique, evidence.definitions, left.clock)
        right |= {customer_id: set(members[customer_id]) for customer_id in left.members if members.get(customer_id)}
    stored = {name: set(own) for left in evidence.left.values() for name, own in left.members.items() if own}
    if stored != right:
        yield f"I1: stored {stored}, by one id each {right}"
    for name, changes in bodies.items():
        yield from consistent(name, changes)
        folded: set[str] = set()
        for change in changes:
            folded ^= {str(change["segment"])}
        if folded != stored.get(name, set()):
            yield f"I2: {name} is in {stored.get(name)}, the changes add up to {sorted(folded)}"


def person(event: Json) -> str:
    """The person that an event belongs to, whichever id it has."""
    return str(event.get("userId") or event["anonymousId"]).removeprefix(DEVICE)
