"""``segmenter erase``: asks for a customer to be erased, waits until it is done, and shows what is gone and what stays.

The one rule: what is reported as gone was searched for and not found, and what only expires with retention is reported
as remaining.

See also: `streams.cli.request`, which sends requests, and `rules.identity.erasure`, which the worker carries out.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from rules.customer import Customer
from rules.times import format_duration, format_instant
from streams.cli import request as requests
from streams.cli.input_files import visible, with_progress
from streams.cli.request import PROFILES, Request
from streams.cli.terminal import show
from streams.kafka import admin
from streams.kafka.admin import ClusterTopics, Retention
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.offline.customer_records import InRedis, everywhere, records
from streams.rights.process_rights import NEEDS
from streams.settings import Settings, of_triggers
from streams.wire.topics import MEMBERSHIPS, WORKERS


def run(settings: Settings, customer_id: str, wait_s: float) -> int:
    """Erase a customer and its former ids, and print what is gone; exit code 1 if it is not done within ``wait_s``.

    The exit code is 1 also for an id that no customer can have. Raises `Stop`.
    """
    reason = requests.refusal_of(settings, "erase", customer_id)
    if reason is not None:
        print(f"segmenter erase: {visible(customer_id)} is no customer's id ({reason})", file=sys.stderr)
        return 1
    use = NEEDS["erase"].topics
    topics = admin.find(settings, use)
    count = admin.verify(settings, use.of(WORKERS)).partitions[PROFILES]
    stored = [part.customer for part in asyncio.run(everywhere(settings, customer_id, count))]
    customers = [customer for customer in stored if customer is not None]
    with answering(settings):
        # Each id has a request of its own, so that reading everything again finds it before the events of that id.
        ids = (customer_id, *_linked(settings, customer_id, customers, count))
        outcomes = [_erase(settings, erased_id, topics, count, wait_s) for erased_id in ids]
    for customer in customers:
        if customer.merged_into is not None:
            other = visible(customer.merged_into[0])
            show([f"beside    {visible(customer_id)} is linked to {other}: data that moved there are erased there"])
    is_done = all(outcomes)
    if not is_done:
        requests.report_not_done("erase", wait_s)
    return 0 if is_done else 1


def _linked(settings: Settings, customer_id: str, customers: Iterable[Customer], count: int) -> list[str]:
    """The former ids that redirect to this customer; others that it linked may have refused the link."""
    formers: set[str] = set()
    for customer in customers:
        formers.update(customer.links or ())
        if customer.linkage is not None:
            formers.update(customer.linkage.aliases)
    return [former for former in sorted(formers) if _redirects_to(settings, former, customer_id, count)]


def _redirects_to(settings: Settings, former: str, customer_id: str, count: int) -> bool:
    stored = [part.customer for part in asyncio.run(everywhere(settings, former, count))]
    redirects = [customer.merged_into for customer in stored if customer is not None]
    return any(into is not None and into[0] == customer_id for into in redirects)


def _erase(settings: Settings, customer_id: str, topics: ClusterTopics, count: int, wait_s: float) -> bool:
    """Send a request for one id, wait, and print what is gone and what is not; whether it was done in time."""
    has_triggers = asyncio.run(_has_triggers(settings, customer_id, count))
    request = requests.send(settings, count, "erase", customer_id)
    show([f"requested erase {visible(customer_id)}, all up to {format_instant(request.at)}: {request.place}"])
    # Every process that stores something of the customer must have read the request.
    stores = [settings]
    if has_triggers:
        stores.append(of_triggers(settings))
    is_done = requests.wait(lambda: all(requests.is_read(store, request, count) for store in stores), wait_s)
    show(_of_redis(settings, request, count, triggers=has_triggers))
    show(_of_topics(settings, request, topics))
    return is_done


async def _has_triggers(settings: Settings, customer_id: str, count: int) -> bool:
    """Whether a process of triggers ever read the partitions of the customer."""
    return any(part.positions for part in await everywhere(of_triggers(settings), customer_id, count))


# --- what is gone, and what is not -------------------------------------------------------------


def _of_redis(settings: Settings, request: Request, count: int, *, triggers: bool) -> Iterator[str]:
    customer_id = request.customer_id
    stored = asyncio.run(everywhere(settings, customer_id, count))
    is_gone = all(part.is_gone(request.at) for part in stored)
    yield _line(is_gone, "Redis", _of_segmenter(stored, request.at))
    if any(part.erased for part in stored):
        yield _line(False, "Redis", "under a hash of the id: when it was erased, and how many changes there were")
    if triggers:
        persons = [part.person for part in asyncio.run(everywhere(of_triggers(settings), customer_id, count))]
        remains = any(person is not None and person.erased < request.at for person in persons)
        text = "traits and messages of triggers are there" if remains else "nothing of triggers: no traits, no messages"
        yield _line(not remains, "Redis", text)


def _of_segmenter(stored: Sequence[InRedis], since: int) -> str:
    """The data that the segmenter still stores of a customer whose events up to ``since`` (ms) are erased."""
    has_customer = any(part.customer is not None for part in stored)
    has_profile = any(part.customer is not None and not part.is_gone(since) for part in stored)
    has_due_times = any(part.due for part in stored)
    waiting = sum(part.waiting for part in stored)
    parts = [
        "a profile" if has_profile else "no profile",
        "due times" if has_due_times else "no due times",
        f"{waiting} records to be published" if waiting else "no records to be published",
    ]
    # The customer had an event after its erasure, so it is stored again, from that event on.
    addition = "; the customer came again since" if has_customer and not has_profile else ""
    return ", ".join(parts) + addition


def _of_topics(settings: Settings, request: Request, topics: ClusterTopics) -> Iterator[str]:
    retention = admin.retention(settings, list(topics.partitions))
    with closing(Logs(settings)) as logs:
        for name, count in topics.partitions.items():
            own = list(records(settings, logs, name, request.customer_id, count, with_progress))
            if name == MEMBERSHIPS:
                yield _table(name, own)
            else:
                yield _line(not own, name, _remaining(name, own, retention.get(name)))


def _table(name: str, own: Sequence[object]) -> str:
    """The line of a compacted topic, on which a row is deleted by a record without a value."""
    rows = [record for record in own if getattr(record, "value", None) is not None]
    is_deleted = not own or getattr(own[-1], "value", None) is None
    older = f"; {len(rows)} older rows go with the next compaction" if rows else ""
    return _line(is_deleted, name, ("no row" if is_deleted else "there is a row") + older)


def _remaining(name: str, own: Sequence[object], retention: Retention | None) -> str:
    """The records of a customer on a topic, and how long they remain there."""
    if not own:
        return "no record"
    newest = max(getattr(record, "timestamp", 0) for record in own)
    records = f"{len(own)} records, the newest of {format_instant(newest)}"
    if name == PROFILES:
        records += ", this request among them, so that a re-read erases again"
    if retention is None:
        return f"{records}; the retention of the topic is not known here"
    if retention.for_ms is None:
        return f"{records}; the topic keeps records for ever: delete them there if they must go"
    until = format_instant(newest + retention.for_ms)
    return f"{records}; retention ({format_duration(retention.for_ms)}) removes the last one some time after {until}"


def _line(is_gone: bool, where: str, text: str) -> str:
    return f"{'gone' if is_gone else 'remains':<9} {where}: {text}"
