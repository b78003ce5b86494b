"""``segmenter erase``: ask for a customer to be erased, wait until it is done, and show what is gone and what is not.

The one rule: what is said to be gone was looked for and not found; what only time takes is said plainly.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

from rules.standing import Customer
from rules.times import format_duration, format_instant
from streams import rights
from streams.cli import request as requests
from streams.cli.input_files import visible, with_progress
from streams.cli.request import PROFILES, Request
from streams.cli.terminal import show
from streams.kafka import admin
from streams.kafka.admin import FoundTopics, Retention
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.offline.customer_records import InRedis, everywhere, records
from streams.settings import Settings, of_triggers
from streams.wire.topics import MEMBERSHIPS, WORKERS


def run(settings: Settings, customer_id: str, wait_s: float) -> int:
    """Exit code 1 when it was asked for but not seen done within so long, or cannot be asked. Raises `Stop`."""
    if reason := requests.refusal_of(settings, "erase", customer_id):
        print(f"segmenter erase: {visible(customer_id)} is no customer's id ({reason})", file=sys.stderr)
        return 1
    use = rights.NEEDS["erase"].topics
    found = admin.find(settings, use)
    count = admin.verify(settings, use.of(WORKERS)).partitions[PROFILES]
    known = [one.customer for one in asyncio.run(everywhere(settings, customer_id, count)) if one.customer is not None]
    with answering(settings):
        # Each by a request of its own, so that reading everything again finds it before their events.
        linked = _linked(settings, customer_id, known, count)
        outcomes = [_erased(settings, one, found, count, wait_s) for one in (customer_id, *linked)]
    for one in known:
        if one.into is not None:
            other = visible(one.into[0])
            show([f"beside    {visible(customer_id)} is known as {other}: what moved there is erased there"])
    done = all(outcomes)
    if not done:
        requests.report_not_done("erase", wait_s)
    return 0 if done else 1


def _linked(settings: Settings, customer_id: str, known: Sequence[Customer], count: int) -> list[str]:
    """The former ids that are this customer: those which say so themselves. A link to others may have been refused."""
    formers = {
        former for one in known for former in (*(one.links or ()), *(one.linkage.aliases if one.linkage else ()))
    }
    return [
        former
        for former in sorted(formers)
        if any(
            one.customer is not None and one.customer.into is not None and one.customer.into[0] == customer_id
            for one in asyncio.run(everywhere(settings, former, count))
        )
    ]


def _erased(settings: Settings, customer_id: str, found: FoundTopics, count: int, wait_s: float) -> bool:
    """Ask, wait, and show what came of it; whether it was done."""
    has_triggers = asyncio.run(_has_triggers(settings, customer_id, count))
    request = requests.send(settings, count, "erase", customer_id)
    show([f"asked     erase {visible(customer_id)}, all up to {format_instant(request.at)}: {request.place}"])
    # Everybody who keeps something must have read it.
    stores = [settings, *([of_triggers(settings)] if has_triggers else [])]
    done = requests.wait(lambda: all(requests.is_read(store, request, count) for store in stores), wait_s)
    show(_of_redis(settings, request, count, triggers=has_triggers))
    show(_of_topics(settings, request, found))
    return done


async def _has_triggers(settings: Settings, customer_id: str, count: int) -> bool:
    """Whether triggers ever read here."""
    return any(one.positions for one in await everywhere(of_triggers(settings), customer_id, count))


# --- what is gone, and what is not -------------------------------------------------------------


def _of_redis(settings: Settings, request: Request, count: int, *, triggers: bool) -> Iterator[str]:
    customer_id = request.customer_id
    found = asyncio.run(everywhere(settings, customer_id, count))
    yield _line(all(one.is_gone(request.at) for one in found), "Redis", _segmenter(found, request.at))
    if any(one.erased for one in found):
        yield _line(False, "Redis", "under a hash of the id: when it was erased, and how many changes there were")
    if triggers:
        known = asyncio.run(everywhere(of_triggers(settings), customer_id, count))
        left = [one for one in known if one.person is not None and one.person.erased < request.at]
        said = "traits and messages of triggers are there" if left else "nothing of triggers: no traits, no messages"
        yield _line(not left, "Redis", said)


def _segmenter(found: Sequence[InRedis], since: int) -> str:
    left = [one for one in found if one.customer is not None]
    parts = [
        "a profile" if any(not one.is_gone(since) for one in left) else "no profile",
        "due times" if any(one.due for one in found) else "no due times",
        f"{sum(one.waiting for one in found) or 'no'} records to be published",
    ]
    came = "; the customer came again since" if left and all(one.is_gone(since) for one in left) else ""
    return ", ".join(parts) + came


def _of_topics(settings: Settings, request: Request, found: FoundTopics) -> Iterator[str]:
    kept = admin.retention(settings, list(found.partitions))
    with closing(Logs(settings)) as logs:
        for name, count in found.partitions.items():
            own = list(records(settings, logs, name, request.customer_id, count, with_progress))
            if name == MEMBERSHIPS:
                yield _table(name, own)
            else:
                yield _line(not own, name, _left(name, own, kept.get(name)))


def _table(name: str, own: Sequence[object]) -> str:
    rows = [record for record in own if getattr(record, "value", None) is not None]
    is_taken = not own or getattr(own[-1], "value", None) is None
    older = f"; {len(rows)} older rows go with the next compaction" if rows else ""
    return _line(is_taken, name, ("no row" if is_taken else "there is a row") + older)


def _left(name: str, own: Sequence[object], kept: Retention | None) -> str:
    if not own:
        return "no record"
    newest = max(getattr(record, "timestamp", 0) for record in own)
    records = f"{len(own)} records, the newest of {format_instant(newest)}"
    asks = ", this request among them, so that a re-read erases again" if name == PROFILES else ""
    if kept is None:
        return f"{records}{asks}; what the topic keeps is not known here"
    if kept.for_ms is None:
        return f"{records}{asks}; the topic keeps records for ever: only deleting them there takes them away"
    until = format_instant(newest + kept.for_ms)
    return f"{records}{asks}; retention ({format_duration(kept.for_ms)}) takes the last some time after {until}"


def _line(is_gone: bool, where: str, said: str) -> str:
    return f"{'gone' if is_gone else 'remains':<9} {where}: {said}"
