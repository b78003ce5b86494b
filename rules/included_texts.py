"""Texts of events that are carried into changes, made safe to stand in a message to a person.

The one rule: the write key of a shop's pages is public, so any text may come. No text has control characters or more
than `TEXT_MAX_CHARS`, and an address is carried only if it leads to one of the shop's own hosts.

    "  Green\\nTea "                         "Green Tea"
    "https://shop.example/tea" as a url     itself, where shop.example is a host of the file
    "https://evil.example/tea"              nothing, whatever the name of the field
    "/tea" as a url                         nothing: it leads nowhere in a message

See also: `rules.definitions.include`, which says what a change carries, and `rules.hosts`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rules.hosts import HOST_FORM, is_within
from rules.untrusted_texts import ELLIPSIS, escaped
from rules.values import Json, shown

TEXT_MAX_CHARS = 200
# An address cannot be shortened: a longer one is left out.
ADDRESS_MAX_CHARS = 500
# The last part of the name of a field that holds an address, whatever stands before it: image_url, productLink.
_ADDRESS_NAMES = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:ur[il]|link|href|src|image|img|picture|photo|thumbnail)s?$", re.IGNORECASE
)
_LOOKS_LIKE_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*:/|(?:^|\s)//|\bwww\.|\b(?:javascript|data|vbscript|mailto|tel):\S", re.IGNORECASE
)
# Without the name of a user, and without what would end it where it stands in a message.
_ADDRESS = re.compile(
    rf"https?://({HOST_FORM})\.?(?::\d{{1,5}})?(?:[/?#][^\s\x00-\x1f\x7f\\\"'<>`{{}}|^]*)?", re.IGNORECASE
)


@lru_cache(maxsize=1_024)
def is_address_name(field: str) -> bool:
    """Whether a field of this name holds addresses."""
    return _ADDRESS_NAMES.search(field) is not None


def carried_text(value: Json, own_hosts: frozenset[str], *, is_address: bool) -> str | None:
    """A value as the text that a change carries; ``None`` if it has none that may stand there.

    ``is_address``: whether the field holds addresses. A number is its digits, a list its members.
    """
    if isinstance(value, dict):
        return None
    words = value if type(value) is str else shown(value)
    if not words:
        return None
    # Names of products come again and again.
    return (
        _usual_text(words, own_hosts, is_address)
        if len(words) <= TEXT_MAX_CHARS
        else _text(words, own_hosts, is_address)
    )


def _text(words: str, own_hosts: frozenset[str], is_address: bool) -> str | None:
    if is_address or _LOOKS_LIKE_ADDRESS.search(words):
        address = words.strip()
        return address if is_own_address(address, own_hosts) else None
    text = escaped(" ".join(words[: 8 * TEXT_MAX_CHARS].split()))
    return (text if len(text) <= TEXT_MAX_CHARS else text[: TEXT_MAX_CHARS - 1] + ELLIPSIS) or None


_usual_text = lru_cache(maxsize=4_096)(_text)


def is_own_address(text: str, own_hosts: frozenset[str]) -> bool:
    """Whether a text is an address of the web on one of these hosts, and short enough."""
    if len(text) > ADDRESS_MAX_CHARS or not text.isprintable():
        return False
    match = _ADDRESS.fullmatch(text)
    return match is not None and is_within(match[1].lower(), own_hosts)
