"""The auditor of orders: whether records were read, and due times fired, as the contract allows.

The one rule: what Kafka would have given away in time is never passed over. An input counts as
read to its end for what others give up to `REPORTED_WITHIN_MS` after it was asked; the clock moves only over
what every input was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.support.evidence import Evidence, In, Read, Saved, steps

REPORTED_WITHIN_MS = 350


def order(evidence: Evidence) -> Iterator[str]:
    """Find records that were read, and due times that were fired, too early."""
    for partition in evidence.history:
        taken = list(steps(evidence, partition))
        punctual = _in_time_order([read for _, reads in taken for read in reads])
        for index, (step, reads) in enumerate(taken):
            yield from _too_early(evidence, partition, step)
            unread = [read for _, later in taken[index + 1 :] for read in later if read.record in punctual]
            yield from _passed_over(evidence, partition, step, reads, unread)
            yield from _fired_over(evidence, partition, step, unread)


def _too_early(evidence: Evidence, partition: int, step: Saved) -> Iterator[str]:
    """I7: the clock stays behind the wall clock by the grace, so nothing is fired before it is due."""
    stepped_ms = evidence.start_ms + step.stepped * 1000
    if step.clock > stepped_ms + evidence.skew_ms - evidence.grace_ms:
        yield f"I7: the clock of p{partition} was at {step.clock - evidence.start_ms} at {step.stepped:.3f}"


def _in_time_order(reads: Sequence[Read]) -> set[In]:
    """The records up to which their input was in time order: promises are made for these alone."""
    newest: dict[str, int] = {}
    punctual = set()
    for read in reads:
        topic = read.record.topic
        if read.event is not None and read.time >= newest.get(topic, 0):
            newest[topic] = read.time
            punctual.add(read.record)
    return punctual


def _passed_over(
    evidence: Evidence, partition: int, step: Saved, reads: Sequence[Read], unread: Sequence[Read]
) -> Iterator[str]:
    """A step takes nothing behind a record that could be had long before what it takes."""
    newest_ms = max((taken.record.given_ms for taken in reads), default=0)
    for read in unread:
        if not reads or read.order > reads[-1].order or read.record.visible_ms + REPORTED_WITHIN_MS >= newest_ms:
            continue
        for taken in reads:
            if read.order < taken.order and read.record.visible_ms + REPORTED_WITHIN_MS < taken.record.given_ms:
                yield f"order: p{partition} read {taken.record[:3]} at {step.stepped:.3f}, before {read.record[:3]}"
                break


def _fired_over(evidence: Evidence, partition: int, step: Saved, unread: Sequence[Read]) -> Iterator[str]:
    """I7: the clock passes no record that could be had when, by the clock, everything was asked for."""
    for read in unread:
        if read.order[0] < step.clock and read.record.visible_ms + evidence.skew_ms < step.clock + evidence.grace_ms:
            yield (
                f"I7: the clock of p{partition} was at {step.clock - evidence.start_ms} at {step.stepped:.3f}, "
                f"before {read.record[:3]} of {read.time - evidence.start_ms} was read"
            )
