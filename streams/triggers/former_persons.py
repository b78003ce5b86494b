"""What triggers know of a person under all ids: caps, cool-downs, suppression and contacts follow a merge.

    u1 was sent a cart mail, and unsubscribed     by triggers' own state of u1, in u1's partition
    u1 becomes u2                                 u2 enters abandoned_cart anew
    u2 is due                                     the mail to u1 counts, and so does that u1 unsubscribed

The state of a former id is read at each look and is never written here. It is as new as the process of its partition
has saved it: an attempt is saved before it is made, and an identify once it is read.

See also: `streams.triggers.linked_ids` (which ids these are).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from streams.triggers import customer_state
from streams.triggers.customer_state import SENT_MAX, Person
from streams.triggers.membership_lookup import LookupResult
from streams.triggers.traits import bounded, newest

NOT_ANY: Sequence[Person] = ()


class PersonLook(msgspec.Struct, frozen=True):
    """The memberships of customers, and by customer what is known of their former ids."""

    result: LookupResult
    former: Mapping[str, Sequence[Person]]

    def former_of(self, customer: str) -> Sequence[Person]:
        """What is known of a customer's former ids."""
        return self.former.get(customer, NOT_ANY)


class PersonStore(Protocol):
    """The part of the store of triggers that is read here."""

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        """The stored customers of a partition, in this order."""


async def load(store: PersonStore, former: Mapping[str, Iterable[tuple[int, str]]]) -> Mapping[str, Sequence[Person]]:
    """Load the former ids of customers, each with its partition, as triggers know them."""
    by_partition: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for customer, ids in former.items():
        for partition, former_id in ids:
            by_partition[partition][former_id].append(customer)
    loads = [store.load(partition, list(names)) for partition, names in by_partition.items()]
    persons: dict[str, list[Person]] = defaultdict(list)
    for names, values in zip(by_partition.values(), await asyncio.gather(*loads), strict=True):
        for customers, value in zip(names.values(), values, strict=True):
            for customer in customers if value is not None else ():
                persons[customer].append(customer_state.decode(value))
    return persons


def joined(person: Person, former: Sequence[Person]) -> Person:
    """The person of all these ids, to decide by and not to be saved: of each trait the newest value, all messages."""
    if not former:
        return person
    traits = person.traits
    for each in former:
        traits = newest(traits, {name: trait for name, trait in each.traits.items() if trait.time > person.erased})
    sent = {message.key: message for each in (*former, person) for message in each.sent if message.time > person.erased}
    messages = sorted(sent.values(), key=lambda message: message.time)[-SENT_MAX:]
    # After an erasure only what is still there tells that a former id was sent something.
    former_keys = [key for each in former for key in each.acted if not person.erased]
    triggers = dict.fromkeys([*person.acted, *former_keys, *(message.trigger for message in messages if person.erased)])
    return msgspec.structs.replace(person, traits=bounded(traits), sent=messages, acted=list(triggers))
