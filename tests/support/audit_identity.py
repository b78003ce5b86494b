"""The auditor of persons with several ids: where everybody is in the end, and whether each id's story can be followed.

The one rule: a person is what their undivided history says under one id. Which changes lead there is not claimed, as
the owners of two ids do not wait for each other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.support.audit import claims, held, stops
from tests.support.audit_changes import consistent
from tests.support.evidence import CHANGES, DEAD_LETTERS, Evidence, events, once

DEVICE = "device-"


def audit(found: Evidence) -> Iterator[str]:
    """What is wrong."""
    yield from stops(found)
    yield from held(found)
    yield from claims(found)
    for partition, left in found.left.items():
        right = {topic: found.ends[topic, partition] for topic in left.positions}
        if dict(left.positions) != right:
            yield f"I6: p{partition} stands at {dict(left.positions)}, its inputs end at {right}"
        if left.outbox:
            yield f"I10: {left.outbox} entries are left in the outbox of p{partition}"
    if letters := once(found, DEAD_LETTERS):
        yield f"dead letters: {letters[:3]}"
    yield from _everybody(found)


def _everybody(found: Evidence) -> Iterator[str]:
    told: dict[str, list[Json]] = defaultdict(list)
    for record in once(found, CHANGES):
        body = json.loads(record.value or b"")
        told[body["customer_id"]].append(body)
    own = [event for partition in found.history for event in events(found, partition)]
    linked = {person(event) for event in own if "userId" in event and "anonymousId" in event}
    whole = [{**event, "userId": person(event) if person(event) in linked else oracle.customer(event)} for event in own]
    unique = list({(one["userId"], one["messageId"]): one for one in whole}.values())
    right: dict[str, set[str]] = {}
    for left in found.left.values():
        assert all(oracle.fact(one).time <= left.clock for one in whole), "the run ended before its last event"
        members = oracle.membership(unique, found.definitions, left.clock)
        right |= {who: set(members[who]) for who in left.members if members.get(who)}
    stored = {name: set(own) for left in found.left.values() for name, own in left.members.items() if own}
    if stored != right:
        yield f"I1: stored {stored}, by one id each {right}"
    for name, changes in told.items():
        yield from consistent(name, changes)
        folded: set[str] = set()
        for one in changes:
            folded ^= {str(one["segment"])}
        if folded != stored.get(name, set()):
            yield f"I2: {name} is in {stored.get(name)}, the changes add up to {sorted(folded)}"


def person(event: Json) -> str:
    """Whose it is, whichever id it has."""
    return str(event.get("userId") or event["anonymousId"]).removeprefix(DEVICE)
