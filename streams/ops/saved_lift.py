"""Reads the lift that ``segmenter lift --save`` saved, for the page.

The page computes nothing of it: a lift reads whole topics, which an operations process must not do at each look.

See also: `streams.cli.lift`, which saves it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from streams.offline.lift import Lift
from streams.ops.responses import Lifts

# A file has about 1 KiB for each trigger and variant; a larger one is another file.
_MAX_BYTES = 4 * 1024 * 1024


def saved_lifts(path: Path | None) -> Lifts:
    """The lifts in a file, or why they are not known. Without a path there are none."""
    if path is None:
        return Lifts(None, [])
    try:
        with path.open("rb") as file:
            document = file.read(_MAX_BYTES + 1)
    except OSError as error:
        return Lifts(f"{path} cannot be read ({error.strerror or error}); see segmenter lift --save", [])
    wrong = Lifts(f"{path} is no file of segmenter lift --save", [])
    if len(document) > _MAX_BYTES:
        return wrong
    try:
        return Lifts(None, msgspec.json.decode(document, type=list[Lift]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return wrong
