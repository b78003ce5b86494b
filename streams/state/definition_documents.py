"""Documents of former definitions, as they are stored: compressed JSON without short forms.

Definitions that are built of a document must be the same as those that were stored; their fingerprint shows it.

See also: `streams.state.definition_versions` (when former definitions are needed).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from rules.definitions.segments_file import DefinitionsError, build
from rules.engine import Engine
from rules.forms.form import FIRST_READING
from streams.errors import ClaimRefused
from streams.stop import REBUILD

_ANOTHER_VERSION = f"go back to the version of segmenter that wrote it, or {REBUILD}"


def compress(document: Mapping[str, object]) -> bytes:
    """Compress a document for the store."""
    return zlib.compress(msgspec.json.encode(document))


@lru_cache(maxsize=8)  # partitions share their definitions
def engine_of(document: bytes, fingerprint: str) -> Engine:
    """Build the engine of a stored document. Raises `ClaimRefused` if its fingerprint is no longer this one."""
    try:
        # A document that does not tell how its customers were read is of the first reading.
        stored = {"reading": FIRST_READING, **msgspec.json.decode(zlib.decompress(document))}
        definitions = build(stored, "the former definitions")
    except DefinitionsError as error:
        raise ClaimRefused(
            f"the former definitions are no longer understood ({error.problems[0]}); {_ANOTHER_VERSION}"
        ) from None
    if definitions.fingerprint != fingerprint:
        raise ClaimRefused(
            "this version reads the former definitions in another way than the version that wrote Redis; "
            f"{_ANOTHER_VERSION}"
        )
    return Engine(definitions)
