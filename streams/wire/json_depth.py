"""Limits how deep objects and lists of a JSON text are nested, in linear time whatever the text is.

A regular expression that finds the strings of a value tries each quote as a beginning: for escaped quotes without an
end it takes quadratic time, half a second for 8,000 of them. Here NumPy counts brackets in whole arrays, and stops at
the first slice that is too deep.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_SLICE_BYTES: Final = 64 * 1024  # brackets and quotes of a slice: its arrays fit into a core's cache
_QUOTE: Final = ord('"')
_IGNORED: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1


def is_deeper(value: bytes, limit: int) -> bool:
    """Whether more than so many brackets are open at once; brackets within strings do not count."""
    if b"\\" in value:
        # Replaced by as many characters, so that no byte moves. The quotes that are left begin or end a string.
        value = value.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    marks = value.translate(None, delete=_IGNORED)
    depth, in_text = 0, False
    for start in range(0, len(marks), _SLICE_BYTES):
        slice_ = np.frombuffer(marks, np.uint8, min(_SLICE_BYTES, len(marks) - start), start)
        # After an odd number of quotes a byte is within a string; a string may go on from the slice before.
        texts = slice_ == _QUOTE
        texts[0] ^= in_text
        texts = np.logical_xor.accumulate(texts)
        steps = _STEPS[slice_]
        steps[texts] = 0
        depths = np.cumsum(steps, dtype=np.int32)
        if depth + int(depths.max()) > limit:
            return True
        depth += int(depths[-1])
        in_text = bool(texts[-1])
    return False
