"""The context of an event: device, software, traffic source and place, as the Segment Spec carries them.

The one rule: an attribute is text or it is not carried; nothing in a context can make an event
unusable. Fields: https://segment.com/docs/connections/spec/common/#context

| `channel`  | the event                                                                 |
|------------|---------------------------------------------------------------------------|
| `campaign` | has a `campaign` with a source, medium or name                            |
| `search`   | has a referrer on a search engine                                         |
| `social`   | has a referrer on a social site                                           |
| `referral` | has a referrer on any other host, but the page's own and those of `hosts` |
| `direct`   | is a page view without a referrer, or with `$direct`                      |

An attribute is derived when a rule asks for it: a device is parsed, and a referrer looked up, for no other reason.

See also: `rules.facts.attribute_facts` (the facts about it), `rules.devices` (kinds of devices), `rules.software`
(operating systems and browsers), `rules.referrers` (search engines and social sites) and `rules.hosts` (the shop's own
hosts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec.structs import force_setattr

from rules.devices import KINDS, KindedText, kind_of_agent, kind_of_app, kind_of_hints, kind_of_name
from rules.hosts import NO_HOSTS, host_of, is_within, path_of_address
from rules.referrers import channel_of
from rules.software import browser_of, browser_of_name, system_of, system_of_name
from rules.values import Real, read_any

ATTRIBUTES = (
    "device", "channel", "source", "medium", "campaign", "referrer", "country", "city", "locale",
    "os", "browser", "timezone", "region", "page",
)  # fmt: skip
CHANNELS = ("campaign", "search", "social", "referral", "direct")
DEVICE = "device"
# The attributes whose text also has a kind, and how the text alone names it.
KIND_OF_TEXT: Mapping[str, Callable[[str], str | None]] = {
    DEVICE: kind_of_name,
    "os": system_of_name,
    "browser": browser_of_name,
}
# The attributes that depend on the shop's own hosts.
OF_REFERRER = frozenset({"channel", "referrer"})

# RudderStack's and Jitsu's word for a visit without a referrer.
_NO_REFERRER_WORD = "$direct"


class Context(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One event's context, parsed at its first use. ``of_page``: of a page view; only page views can be direct."""

    raw: Any  # msgspec.Raw, or bytes
    of_page: bool
    parsed: Any = None

    def get(self, attribute: str, own_hosts: frozenset[str] = NO_HOSTS) -> str | None:
        """The text of an attribute, which is one of `ATTRIBUTES`. ``own_hosts``: the shop's."""
        if attribute in KIND_OF_TEXT:
            kinded = self.with_kind(attribute)
            return None if kinded is None else kinded.text
        if attribute == "channel":
            return _channel(self._fields, own_hosts, of_page=self.of_page)
        if attribute == "referrer":
            return _foreign_referrer(self._fields, own_hosts)
        if attribute == "timezone":
            return self.timezone or None
        return _PLAIN[attribute](self._fields) or None

    def with_kind(self, attribute: str) -> KindedText | None:
        """The text of an attribute, which is one of `KIND_OF_TEXT`, with its kind."""
        if attribute == DEVICE:
            return self.device
        hardware = self._hardware
        if attribute == "os":
            hints = hardware.hints or hardware.ua_ch or _NO_HINTS
            return system_of((hardware.os or _NO_SYSTEM).name, hints.platform, hardware.agent)
        return browser_of((hardware.browser or _NO_BROWSER).name, hardware.agent)

    @property
    def device(self) -> KindedText | None:
        """The device, by the first of these that names one: its type, client hints, and the user agent."""
        stated = (self._fields.device or _NO_DEVICE).type
        if stated in KINDS:
            return KindedText(stated, stated)
        # Nothing else needs these parts of a context, which is why they are decoded apart.
        hardware = self._hardware
        model, system = (hardware.device or _NO_MODEL).model, (hardware.os or _NO_SYSTEM).name
        if stated:
            return KindedText(stated, kind_of_app(stated, model, system))
        hints = hardware.hints or hardware.ua_ch or _NO_HINTS
        kind = kind_of_hints(hints.mobile, hints.platform)
        if kind is None and hardware.agent:
            kind = kind_of_agent(hardware.agent)
        return None if kind is None else KindedText(kind, kind)

    @property
    def _hardware(self) -> _Hardware:
        return _decoded(_hardware_decoder, _Hardware, self.raw)

    @property
    def timezone(self) -> str | None:
        """The time zone that the sender's clock shows, by whatever name it gave."""
        return _decoded(_clock_decoder, _Clock, self.raw).timezone

    @property
    def _fields(self) -> _Fields:
        if self.parsed is None:
            force_setattr(self, "parsed", _decoded(_decoder, _Fields, self.raw))
        return cast("_Fields", self.parsed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (bytes(self.raw), self.of_page) == (bytes(other.raw), other.of_page)

    def __hash__(self) -> int:
        return hash(bytes(self.raw))


NO_CONTEXT = Context(b"{}", of_page=False)
PAGE_WITHOUT_CONTEXT = Context(b"{}", of_page=True)


# --- the fields that are read


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
    path: str | None = None


class _Location(msgspec.Struct, gc=False):
    country: str | None = None
    city: str | None = None
    region: str | None = None


class _Fields(msgspec.Struct, gc=False):
    device: _Device | None = None
    campaign: _Campaign | None = None
    referrer: _Referrer | None = None
    page: _Page | None = None
    location: _Location | None = None
    locale: str | None = None


class _Model(msgspec.Struct, gc=False):
    model: str | None = None


class _System(msgspec.Struct, gc=False):
    name: str | None = None


class _Browser(msgspec.Struct, gc=False):
    name: str | None = None


class _Hints(msgspec.Struct, gc=False):
    mobile: bool | None = None
    platform: str | None = None


class _Hardware(msgspec.Struct, gc=False):
    """What tells the device and its software; ``hints``: as analytics.js sends them, ``ua_ch``: as RudderStack does."""

    device: _Model | None = None
    os: _System | None = None
    browser: _Browser | None = None
    agent: str | None = msgspec.field(default=None, name="userAgent")
    hints: _Hints | None = msgspec.field(default=None, name="userAgentData")
    ua_ch: _Hints | None = msgspec.field(default=None, name="ua-ch")


class _Clock(msgspec.Struct, gc=False):
    timezone: str | None = None


_decoder, _hardware_decoder = msgspec.json.Decoder(_Fields), msgspec.json.Decoder(_Hardware)
_clock_decoder = msgspec.json.Decoder(_Clock)
_NO_DEVICE, _NO_CAMPAIGN, _NO_REFERRER, _NO_PAGE, _NO_PLACE = _Device(), _Campaign(), _Referrer(), _Page(), _Location()
_NO_MODEL, _NO_SYSTEM, _NO_BROWSER, _NO_HINTS = _Model(), _System(), _Browser(), _Hints()

StructT = TypeVar("StructT", bound=msgspec.Struct)


def _decoded(decoder: msgspec.json.Decoder[StructT], struct: type[StructT], raw: msgspec.Raw | bytes) -> StructT:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        # Some field is of another type; the others are still read.
        return msgspec.convert(_only_right(read_any(raw), struct), struct)


def _only_right(given: object, struct: type[msgspec.Struct]) -> dict[str, object]:
    """The fields of a mapping that a struct can take, without those of another type."""
    mapping = given if isinstance(given, dict) else {}
    right: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        members = get_args(field.type)
        inner = _struct_among(members)
        value = mapping.get(field.encode_name)
        if inner is not None:
            right[field.encode_name] = _only_right(value, inner)
        elif isinstance(value, members) and not isinstance(value, Real):
            right[field.encode_name] = value
    return right


def _struct_among(members: Iterable[object]) -> type[msgspec.Struct] | None:
    """The struct among the members of a union, if there is one."""
    return next((member for member in members if isinstance(member, type) and issubclass(member, msgspec.Struct)), None)


# --- the attributes

_PLAIN: Mapping[str, Callable[[_Fields], str | None]] = {
    "source": lambda fields: (fields.campaign or _NO_CAMPAIGN).source,
    "medium": lambda fields: (fields.campaign or _NO_CAMPAIGN).medium,
    "campaign": lambda fields: (fields.campaign or _NO_CAMPAIGN).name,
    "country": lambda fields: (fields.location or _NO_PLACE).country,
    "city": lambda fields: (fields.location or _NO_PLACE).city,
    "locale": lambda fields: fields.locale,
    "region": lambda fields: (fields.location or _NO_PLACE).region,
    "page": lambda fields: _path(fields.page or _NO_PAGE),
}


def _path(page: _Page) -> str | None:
    """The path of a page, without the query; else that of its address."""
    return page.path or path_of_address(page.url or "")


def _channel(fields: _Fields, own_hosts: frozenset[str], *, of_page: bool) -> str | None:
    """The channel; ``None`` within the shop, and for a text that is no address.

    A campaign takes precedence over the referrer, which it often comes with.
    """
    campaign = fields.campaign or _NO_CAMPAIGN
    if campaign.source or campaign.medium or campaign.name:
        return "campaign"
    referrer = _foreign_referrer(fields, own_hosts)
    if referrer is None:
        return "direct" if of_page and not _referrers(fields) else None
    host, page = host_of(referrer), (fields.page or _NO_PAGE).url
    if host is None:
        return None
    return None if page and _same(host, host_of(page)) else channel_of(host)


def _foreign_referrer(fields: _Fields, own_hosts: frozenset[str]) -> str | None:
    """The first referrer which is not on one of the shop's own hosts."""
    for referrer in _referrers(fields):
        host = host_of(referrer) if own_hosts else None
        if host is None or not is_within(host, own_hosts):
            return referrer
    return None


def _referrers(fields: _Fields) -> list[str]:
    """The addresses that are stated as referrers; the one in the field of its own comes first."""
    stated = ((fields.referrer or _NO_REFERRER).url, (fields.page or _NO_PAGE).referrer)
    return [referrer for referrer in stated if referrer and referrer != _NO_REFERRER_WORD]


def _same(host: str, other: str | None) -> bool:
    """Whether two hosts are one, but for a leading www."""
    return other is not None and host.removeprefix("www.") == other.removeprefix("www.")
