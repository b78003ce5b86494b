"""The context of an event: device, traffic source and place, as the Segment Spec carries them.

The one rule: an attribute is text or it is not carried; nothing in a context can make an event
unusable. Fields: https://segment.com/docs/connections/spec/common/#context

See also: `rules.facts.attribute_facts`, the facts about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast, get_args

import msgspec
from msgspec.structs import force_setattr

from rules.values import Real, read_any

ATTRIBUTES = (
    "device", "channel", "source", "medium", "campaign", "referrer", "country", "city", "locale",
)  # fmt: skip
CHANNELS = ("campaign", "search", "referral", "direct")

# Search engines by the first label of their host once www, m, search and country labels are off.
_ENGINES = frozenset({
    "google", "bing", "yahoo", "duckduckgo", "yandex", "baidu", "ecosia", "startpage", "qwant", "naver", "seznam",
    "ask", "aol", "kagi", "zarebin", "parsijoo", "gerdoo",
})  # fmt: skip
# scheme://user@host: RFC 3986, 3.2; the host of an address in brackets stays in them
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)?(\[[0-9a-f:.]+\]|[^/?#:@\[\]]+)", re.IGNORECASE)
_PREFIXES = frozenset({"www", "m", "search"})
_COUNTRY_CHARS = 2


class Context(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One event's context, parsed at its first use. ``of_page``: of a page view; only page views can be direct."""

    raw: Any  # msgspec.Raw, or bytes
    of_page: bool
    parsed: Any = None

    def get(self, attribute: str) -> str | None:
        """The text of an attribute, which is one of `ATTRIBUTES`."""
        if self.parsed is None:
            force_setattr(self, "parsed", _attributes(_read(self.raw), of_page=self.of_page))
        return cast("str | None", self.parsed[attribute])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (bytes(self.raw), self.of_page) == (bytes(other.raw), other.of_page)

    def __hash__(self) -> int:
        return hash(bytes(self.raw))


NO_CONTEXT = Context(b"{}", of_page=False)
PAGE_WITHOUT_CONTEXT = Context(b"{}", of_page=True)


class _Device(msgspec.Struct, gc=False):
    type: str | None = None


class _Campaign(msgspec.Struct, gc=False):
    source: str | None = None
    medium: str | None = None
    name: str | None = None


class _Referrer(msgspec.Struct, gc=False):
    url: str | None = None


class _Page(msgspec.Struct, gc=False):
    referrer: str | None = None
    url: str | None = None


class _Location(msgspec.Struct, gc=False):
    country: str | None = None
    city: str | None = None


class _Fields(msgspec.Struct, gc=False):
    device: _Device | None = None
    campaign: _Campaign | None = None
    referrer: _Referrer | None = None
    page: _Page | None = None
    location: _Location | None = None
    locale: str | None = None


_decoder = msgspec.json.Decoder(_Fields)
_NO_DEVICE, _NO_CAMPAIGN, _NO_REFERRER, _NO_PAGE, _NO_PLACE = _Device(), _Campaign(), _Referrer(), _Page(), _Location()


def _read(raw: msgspec.Raw | bytes) -> _Fields:
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError:
        # Some field is of another type; the others are still read.
        return msgspec.convert(_only_right(read_any(raw), _Fields), _Fields)


def _only_right(given: object, struct: type[msgspec.Struct]) -> dict[str, object]:
    """The fields of a mapping that a struct can take, without those of another type."""
    mapping = given if isinstance(given, dict) else {}
    right: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        inner = _struct_among(get_args(field.type))
        value = mapping.get(field.name)
        if inner is not None:
            right[field.name] = _only_right(value, inner)
        elif isinstance(value, str) and not isinstance(value, Real):
            right[field.name] = value
    return right


def _struct_among(members: Iterable[object]) -> type[msgspec.Struct] | None:
    """The struct among the members of a union, if there is one."""
    return next((member for member in members if isinstance(member, type) and issubclass(member, msgspec.Struct)), None)


def _attributes(fields: _Fields, *, of_page: bool) -> dict[str, str | None]:
    """All attributes of a context. A campaign takes precedence over the referrer, which it often comes with."""
    campaign, page = fields.campaign or _NO_CAMPAIGN, fields.page or _NO_PAGE
    referrer = (fields.referrer or _NO_REFERRER).url or page.referrer or None
    place = fields.location or _NO_PLACE
    if campaign.source or campaign.medium or campaign.name:
        channel: str | None = "campaign"
    elif referrer is None:
        channel = "direct" if of_page else None
    else:
        channel = _channel(referrer, page.url)
    return {
        "device": (fields.device or _NO_DEVICE).type or None,
        "channel": channel,
        "source": campaign.source or None,
        "medium": campaign.medium or None,
        "campaign": campaign.name or None,
        "referrer": referrer,
        "country": place.country or None,
        "city": place.city or None,
        "locale": fields.locale or None,
    }


def _channel(referrer: str, page: str | None) -> str | None:
    """The channel of a referrer; ``None`` for a page of the shop itself, and for a text that is no address."""
    host = _host(referrer)
    if host is None or (page and host == _host(page)):
        return None
    return "search" if _is_search(host) else "referral"


def _host(url: str) -> str | None:
    """The host in lower case, without a leading www; ``None`` if the text is no address with a host."""
    match = _HOST.match(url)
    return match[1].lower().removeprefix("www.") if match else None


def _is_search(host: str) -> bool:
    labels = host.split(".")
    while len(labels) > 1 and (labels[0] in _PREFIXES or len(labels[0]) == _COUNTRY_CHARS):
        labels = labels[1:]
    return labels[0] in _ENGINES
