"""Moves profiles from a former id to the person: in parts that fit into records. `rules.engine` merges each once.

    phone  becomes a redirect to ann        `profiles_of` makes the records: the profile in one part or in several
    ann    part 0 of 2 comes                `join` keeps it (`ArrivingProfile`); nothing is decided by half of a profile
    ann    part 1 of 2 comes                whole: the engine merges it, and its move is noted (`Linkage.taken`)
    ann    part 1 of 2 comes again          its move is noted: nothing happens

A sum does not tell its contributions apart beyond its bound, so a profile that was merged twice would count twice.
That is why moves are named and remembered. The list of moves taken in travels with a profile that moves on.

See also: `rules.engine`, which merges a whole profile, fact by fact (`rules.facts.base`); and
`rules.identity.resolution`, which decides whether an id becomes a former id at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from rules.customer import ArrivingProfile, Customer, Linkage
from rules.event_names import ERASE
from rules.identity.events import Link, ProfileMerge

# The most moves of profiles that a customer lists as taken in; older ones count as taken in.
TAKEN_MAX = 256
# The most incomplete profiles of a customer, the newest by their links: each may be several megabytes.
ARRIVING_MAX = 16
# The most bytes of a moving profile in one record: far below a broker's limit (1 MiB), as a record has other fields.
PART_MAX_BYTES = 512 * 1024


def profiles_of(event: Link, customer: Customer, definitions: str) -> list[ProfileMerge]:
    """The events that move the profile, and the parts of other profiles that are incomplete here."""
    path, into = (event.customer,), event.into
    sent: list[ProfileMerge] = []
    linkage = customer.linkage or Linkage()
    if not customer.is_blank:
        profile = msgspec.msgpack.encode(customer.profile)
        first = ProfileMerge(
            into, ERASE, max(customer.instant, event.time), event.id, origin=event.origin, profile=profile,
            definitions=definitions, path=path, move=move_id(event.customer, into, event.id), linked=event.time,
            taken=dict(linkage.taken),
        )  # fmt: skip
        sent += parts_of(first)
    for arriving in linkage.arriving.values():
        sent += [
            ProfileMerge(
                into, ERASE, arriving.time, arriving.id, origin=event.origin, profile=chunk,
                definitions=arriving.definitions, path=(*arriving.path, event.customer), move=arriving.move,
                linked=arriving.linked, taken=arriving.taken, part=part, parts=arriving.count, digest=arriving.digest,
            )
            for part, chunk in sorted(arriving.chunks.items())
        ]  # fmt: skip
    return sent


def move_id(former: str, into: str, link: str) -> int:
    """The name of a move, by the link that caused it: the two ids, and the id of the linking event."""
    digest = blake2b(f"{link}\0{former}\0{into}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def parts_of(whole: ProfileMerge) -> list[ProfileMerge]:
    """Split a moving profile into parts that each fit into a record."""
    profile = whole.profile
    count = -(-len(profile) // PART_MAX_BYTES)
    if count <= 1:
        return [whole]
    digest = blake2b(profile, digest_size=8).digest()
    chunks = [profile[start : start + PART_MAX_BYTES] for start in range(0, len(profile), PART_MAX_BYTES)]
    return [
        msgspec.structs.replace(whole, profile=chunk, part=part, parts=count, digest=digest)
        for part, chunk in enumerate(chunks)
    ]


def join(event: ProfileMerge, linkage: Linkage) -> ProfileMerge | None:
    """Store a part. Returns the whole profile once all parts are there; an incomplete one decides nothing.

    A sender that lost its last writes sends the profile again, maybe with another content: parts are stored by content.
    """
    if event.parts == 1:
        return event
    arriving = linkage.arriving.get(content := _content_id(event))
    if arriving is None:
        arriving = ArrivingProfile(
            event.digest, event.definitions, event.parts, event.time, event.id, event.linked, event.path, event.move,
            dict(event.taken),
        )  # fmt: skip
        newest = sorted({**linkage.arriving, content: arriving}.items(), key=lambda item: (item[1].linked, item[0]))
        linkage.arriving = dict(newest[-ARRIVING_MAX:])
    arriving.chunks[event.part] = event.profile
    if len(arriving.chunks) < arriving.count:
        return None
    profile = b"".join(arriving.chunks[part] for part in range(arriving.count))
    return msgspec.structs.replace(event, profile=profile, taken=arriving.taken, part=0, parts=1)


def _content_id(event: ProfileMerge) -> int:
    content = f"{event.move}\0{event.definitions}\0".encode() + event.digest
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def drop_parts(linkage: Linkage, move: int) -> None:
    """Drop the parts of a move that is taken in, or refused."""
    linkage.arriving = {content: arriving for content, arriving in linkage.arriving.items() if arriving.move != move}


def note_taken(linkage: Linkage, taken: Mapping[int, int]) -> None:
    """Note moves as taken in: the newest of them, and the time from which the list is complete."""
    linkage.taken.update(taken)
    if len(linkage.taken) > TAKEN_MAX:
        newest = sorted(linkage.taken.items(), key=lambda move: (move[1], move[0]))
        linkage.taken = dict(newest[-TAKEN_MAX:])
        linkage.taken_since = max(linkage.taken_since, newest[-TAKEN_MAX - 1][1])
