"""The list of a partition's definition files, as it is stored with the partition.

See also `streams.state.definition_versions`, which decides and migrates by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rules.customer import Customer


class DefinitionVersion(msgspec.Struct, frozen=True):
    """One definition file: its number, and ``since`` when (ms) it decides.

    ``short``: segments whose history is not complete, and until when (ms) that makes a difference; ``None``: for ever.
    ``is_swept``: the backfill found no customer of a former file any more. ``rebuilt`` (ms): the wall clock at which
    every customer was rebuilt from all events, or from which all events were read into an empty store; 0: neither.
    ``document``: empty, except in a list of an older release, which has no key for documents and requires the field.
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
    """Whether the newest of its partition's files has decided a stored customer."""
    return customer.definition_version == int(meta.get("epoch", 0))


def short(meta: Mapping[str, str]) -> frozenset[str]:
    """The segments whose conditions look back further than the history that is stored, at the partition's clock."""
    versions, clock = decode(meta.get("epochs", "[]")), int(meta.get("clock", 0))
    return frozenset(
        key for version in versions for key, until in version.short.items() if until is None or until > clock
    )


def is_settled(meta: Mapping[str, str]) -> bool:
    """Whether a partition is settled: the newest of its files has decided every customer."""
    return all_are_newest(decode(meta.get("epochs", "[]")))


def all_are_newest(versions: Sequence[DefinitionVersion]) -> bool:
    """Whether the newest file of a list has decided every customer."""
    return len(versions) < 2 or versions[-1].is_swept
