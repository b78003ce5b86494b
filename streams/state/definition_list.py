"""The list of a partition's definition files, as it is stored with the partition.

See also `streams.state.definition_versions`, which decides and migrates by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rules.customer import Customer


class DefinitionVersion(msgspec.Struct, frozen=True):
    """One file: its number, and from when on (ms) it decides.

    ``short``: segments whose history is not known in full, and until when (ms) that makes a difference; ``None``: for
    good. ``is_swept``: the backfill found no customer of a former file any more. ``rebuilt`` (ms): the wall clock by
    which every customer was as all events make it, or from which all events were read into an empty store; 0: neither.
    ``document``: empty, but in a list of a former version, which had no key for documents and requires the field.
    """

    number: int
    fingerprint: str
    since: int
    short: dict[str, int | None] = {}
    is_swept: bool = False
    rebuilt: int = 0
    document: dict[str, object] = {}


_DECODER = msgspec.json.Decoder(list[DefinitionVersion])


def decode(encoded: str | bytes) -> list[DefinitionVersion]:
    """Decode a stored list, the newest last."""
    return _DECODER.decode(encoded)


def is_current(customer: Customer, meta: Mapping[str, str]) -> bool:
    """Whether a stored customer was decided last by the newest of its partition's files."""
    return customer.definition_version == int(meta.get("epoch", 0))


def short(meta: Mapping[str, str]) -> frozenset[str]:
    """The segments of which, at the partition's clock, not all history is known that their conditions ask for."""
    versions, clock = decode(meta.get("epochs", "[]")), int(meta.get("clock", 0))
    return frozenset(
        key for version in versions for key, until in version.short.items() if until is None or until > clock
    )


def is_settled(meta: Mapping[str, str]) -> bool:
    """Whether every customer of a partition is decided by the newest of its files."""
    return all_are_newest(decode(meta.get("epochs", "[]")))


def all_are_newest(versions: Sequence[DefinitionVersion]) -> bool:
    """Whether every customer is decided by the newest file of a list."""
    return len(versions) < 2 or versions[-1].is_swept
