"""Referrers: which hosts are search engines and social sites, by a list that others maintain.

The list is ``referrers.json`` beside this module; `scripts/lists/referrers.py` makes it anew. A host of a search engine
is matched as it stands, since an engine's mail or documents are no search; one of a social site with its subdomains.

    www.google.co.uk       google.{}             a search engine: country, and co before it, are {}
    de.search.yahoo.com    {}.search.yahoo.com   the same, with the country first
    mail.google.com                              no search engine, so a referral
    l.facebook.com         facebook.com          a social site

See also: `rules.context`, which derives the channel of a visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from rules.hosts import HOST_MAX_CHARS, is_within

SEARCH, SOCIAL, REFERRAL = "search", "social", "referral"
COUNTRY = "{}"

# The labels that do not count before the host of an engine.
_PREFIXES = frozenset({"www", "m", "search", *(f"www{number}" for number in range(1, 10))})
# The labels which stand before a country, as in google.com.au.
_BEFORE_COUNTRY = frozenset({"com", "org", "net", "co", "it", "edu"})
_COUNTRY_CHARS = 2


class Referrers(msgspec.Struct, frozen=True):
    """The hosts of ``referrers.json``; ``source``, ``commit``, ``date`` and ``license`` say where they come from."""

    source: str
    commit: str
    date: str
    license: str
    search: frozenset[str]
    social: frozenset[str]


@cache
def listed() -> Referrers:
    """The list, read at its first use."""
    return msgspec.json.decode(files("rules").joinpath("referrers.json").read_bytes(), type=Referrers)


def channel_of(host: str) -> str:
    """The channel of a referrer on this host, which is in lower case: ``search``, ``social`` or ``referral``."""
    return REFERRAL if len(host) > HOST_MAX_CHARS else _channel(host)


# Most visits come from a few hosts (0.1 µs against 4 µs).
@lru_cache(maxsize=4_096)
def _channel(host: str) -> str:
    referrers = listed()
    if any(form in referrers.search for form in _forms(host)):
        return SEARCH
    return SOCIAL if is_within(host, referrers.social) else REFERRAL


def _forms(host: str) -> Iterator[str]:
    """The forms in which the list may have the host of an engine."""
    labels = host.split(".")
    while True:
        yield ".".join(labels)
        if len(labels) > 1:
            yield ".".join(_without_country(labels))
            if len(labels[0]) == _COUNTRY_CHARS:
                yield ".".join([COUNTRY, *labels[1:]])
        if labels[0] not in _PREFIXES:
            return
        del labels[0]
        if not labels:
            return


def _without_country(labels: list[str]) -> list[str]:
    if len(labels[-1]) != _COUNTRY_CHARS:
        return labels
    rest = labels[:-1]
    if len(rest) > 1 and rest[-1] in _BEFORE_COUNTRY:
        del rest[-1]
    return [*rest, COUNTRY]
