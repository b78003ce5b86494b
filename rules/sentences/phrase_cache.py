"""A cache of phrases, in which the observed moment is left open.

    reason 1    3 orders within 30 days, the last at 10:00    the phrase is built, 10:00 is replaced by a mark
    reason 2    3 orders within 30 days, the last at 11:00    the same shape: the cached phrase with 11:00

A phrase from the cache is the one that `rules.sentences.phrases` gives. Without the moment there are few
different shapes, so most phrases are found (1 µs against 7).
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from rules.languages.language import Language
from rules.reasons import Observed, Reason
from rules.sentences.phrases import PHRASES

_PHRASES_MAX = 4_096
# A larger reason seldom comes twice. All cached shapes take 16 MB at most, without the words.
_SHAPE_MAX_BYTES = 4_096
# The mark in the place of a moment: it has the form of one, and no such day exists.
_MOMENT = "0000-00-00T00:00:00.000Z"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
# A phrase may say whether time alone can turn the answer, never when.
_SOME_TIME = "then"
_NOTHING = Observed()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Reason)


def phrase(lang: Language, reason: Reason) -> str:
    """The phrase of a reason that is a condition's."""
    observed = reason.observed or _NOTHING
    at = observed.last_at
    if observed.values is not None or observed.since is not None or observed.first_at is not None:
        return _phrase(lang, reason)  # foreign texts or another moment, which hardly come again
    if at is not None and not _INSTANT.fullmatch(at):
        return _phrase(lang, reason)  # read from a topic, to which other programs may write
    masked = reason.observed if at is None else replace(observed, last_at=_MOMENT)
    try:
        shape = _encoder.encode(replace(reason, observed=masked, until=reason.until and _SOME_TIME))
    except UnicodeEncodeError:  # text that cannot be encoded cannot be published, but it can be shown
        return _phrase(lang, reason)
    if len(shape) > _SHAPE_MAX_BYTES:
        return _phrase(lang, reason)
    words = _phrase_of_shape(lang, shape)
    return words if at is None else words.replace(_MOMENT, at)


@lru_cache(maxsize=_PHRASES_MAX)
def _phrase_of_shape(lang: Language, shape: bytes) -> str:
    return _phrase(lang, _decoder.decode(shape))


def _phrase(lang: Language, reason: Reason) -> str:
    return PHRASES[reason.condition or ""](lang, reason)
