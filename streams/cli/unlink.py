"""``segmenter unlink``: parts two ids that are not one person, waits until it is done, and reports the result.

    segmenter unlink ann bob     1. the event `unlink` goes to ann's owner, on ``profiles``
                                 2. ann's owner ends a link of the two, and sends it on to bob's
                                 3. once both owners have noted it, the command reports it

The two ids may still be one person by a third id that both are linked to. Then the command reports that, and fails.

See also: `rules.identity.resolution`, which parts them; `streams.cli.request`, which sends the event.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from rules.customer import Customer
from rules.identity.dispatch import HOPS_MAX
from rules.times import format_instant
from streams.cli import request
from streams.cli.input_files import visible
from streams.cli.request import PROFILES, Request
from streams.cli.terminal import show
from streams.kafka import admin
from streams.kafka.client import answering
from streams.offline.customer_records import everywhere
from streams.rights.process_rights import NEEDS
from streams.settings import Settings


def run(settings: Settings, customer_id: str, other_id: str, wait_s: float) -> int:
    """Unlink two ids, and print the result. Raises `Stop`.

    The exit code is 1 if the request is refused, not carried out within ``wait_s``, or does not part the ids.
    """
    names = f"{visible(customer_id)} and {visible(other_id)}"
    reason = request.refusal_of(settings, "unlink", customer_id, previousId=other_id)
    if reason is not None:
        print(f"segmenter unlink: {names} are not the ids of two customers ({reason})", file=sys.stderr)
        return 1
    if settings.partitioner == "none":
        print("segmenter unlink: with SEGMENTER_PARTITIONER=none no ids are linked", file=sys.stderr)
        return 1
    count = admin.verify(settings, NEEDS["unlink"].topics).partitions[PROFILES]
    with answering(settings):
        sent = request.send(settings, count, "unlink", customer_id, previousId=other_id)
    show([f"requested unlink {names}, effective {format_instant(sent.at)}: {sent.place}"])
    if not request.wait(lambda: _is_carried_out(settings, sent, other_id, count), wait_s):
        request.report_not_done("unlink", wait_s)
        return 1
    return _report(settings, sent, other_id, count)


def _report(settings: Settings, sent: Request, other_id: str, count: int) -> int:
    """Print what the two ids are now; the exit code."""
    ids = sent.customer_id, other_id
    names = f"{visible(sent.customer_id)} and {visible(other_id)}"
    persons = [_person(settings, customer_id, count) for customer_id in ids]
    if persons[0] == persons[1]:
        person = visible(persons[0])
        show([f"still     {names} are one person, {person}, by links of other ids: unlink those, too"])
        return 1
    show(_parted(names, sent.at))
    for customer_id, person in zip(ids, persons, strict=True):
        if person != customer_id:
            show([f"beside    {visible(customer_id)} is linked to {visible(person)}, which has all its data"])
    return 0


def _parted(names: str, at: int) -> Iterator[str]:
    yield f"parted    {names} are two persons from here on"
    yield "stays     data merged before the unlink are not moved back"
    yield f"links     no anonymousId links them again, only an alias on {PROFILES} of a time after {format_instant(at)}"


def _is_carried_out(settings: Settings, sent: Request, other_id: str, count: int) -> bool:
    """Whether both owners have noted the request, and neither id redirects to the other."""
    return (
        request.is_read(settings, sent, count)
        and _is_parted(_customer(settings, sent.customer_id, count), other_id)
        and _is_parted(_customer(settings, other_id, count), sent.customer_id)
    )


def _is_parted(customer: Customer | None, other_id: str) -> bool:
    """Whether the owner of an id has noted that it is unlinked from the other, and it does not redirect to that."""
    if customer is None or customer.linkage is None or other_id not in customer.linkage.separated:
        return False
    return customer.merged_into is None or customer.merged_into[0] != other_id


def _person(settings: Settings, customer_id: str, count: int) -> str:
    """Follow redirects from an id to the id under which all its data are stored now."""
    for _ in range(HOPS_MAX):
        customer = _customer(settings, customer_id, count)
        if customer is None or customer.merged_into is None:
            break
        customer_id = customer.merged_into[0]
    return customer_id


def _customer(settings: Settings, customer_id: str, count: int) -> Customer | None:
    """The stored customer, or what an erasure has left of it."""
    stored = asyncio.run(everywhere(settings, customer_id, count))
    return next((part.standing for part in stored if part.standing is not None), None)
