"""The context of an event: device, traffic source and place, as the Segment Spec carries them.

The one rule: an attribute is text or it is not carried; nothing in a context can make an event
unusable. Fields: https://segment.com/docs/connections/spec/common/#context
"""

from __future__ import annotations

from urllib.parse import urlsplit

from rules.values import NO_DOCUMENT, Document, Json, Path, path_of, reach

ATTRIBUTES = (
    "device", "channel", "source", "medium", "campaign", "referrer", "country", "city", "locale",
)  # fmt: skip
CHANNELS = ("campaign", "search", "referral", "direct")

_PATHS: dict[str, tuple[Path, ...]] = {
    "device": (("device", "type"),),
    "source": (("campaign", "source"),),
    "medium": (("campaign", "medium"),),
    "campaign": (("campaign", "name"),),
    "referrer": (("referrer", "url"), ("page", "referrer")),
    "country": (("location", "country"),),
    "city": (("location", "city"),),
    "locale": (("locale",),),
}
_CAMPAIGN = ("source", "medium", "campaign")
_PAGE_URL = path_of("page.url")
# Search engines by the first label of their host once www, m, search and country labels are off.
_ENGINES = frozenset({
    "google", "bing", "yahoo", "duckduckgo", "yandex", "baidu", "ecosia", "startpage", "qwant", "naver", "seznam",
    "ask", "aol", "kagi", "zarebin", "parsijoo", "gerdoo",
})  # fmt: skip
_PREFIXES = frozenset({"www", "m", "search"})
_COUNTRY_CHARS = 2


class Context:
    """One event's context, read when it is first asked for."""

    __slots__ = ("_document", "_known", "_of_page")

    def __init__(self, document: Document, *, of_page: bool) -> None:
        """``of_page``: of a page view, which alone can be a direct visit."""
        self._document = document
        self._of_page = of_page
        self._known: dict[str, str | None] = {}

    def get(self, attribute: str) -> str | None:
        """An attribute's text, one of `ATTRIBUTES`."""
        known = self._known
        if attribute not in known:
            known[attribute] = self._channel() if attribute == "channel" else self._text(attribute)
        return known[attribute]

    def _text(self, attribute: str) -> str | None:
        fields: Json = self._document.fields
        for path in _PATHS[attribute]:
            value = reach(fields, path)
            if isinstance(value, str):
                return value
        return None

    def _channel(self) -> str | None:
        if any(self._text(attribute) for attribute in _CAMPAIGN):
            return "campaign"
        referrer = self._text("referrer")
        if referrer is None:
            return "direct" if self._of_page else None
        host = _host(referrer)
        page = reach(self._document.fields, _PAGE_URL)
        if host is None or (isinstance(page, str) and host == _host(page)):
            return None  # a step inside the shop, or no address
        return "search" if _is_search(host) else "referral"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (self._document, self._of_page) == (other._document, other._of_page)

    def __hash__(self) -> int:
        return hash(self._document)


NO_CONTEXT = Context(NO_DOCUMENT, of_page=False)
PAGE_WITHOUT_CONTEXT = Context(NO_DOCUMENT, of_page=True)


def _host(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


def _is_search(host: str) -> bool:
    labels = host.split(".")
    while len(labels) > 1 and (labels[0] in _PREFIXES or len(labels[0]) == _COUNTRY_CHARS):
        labels = labels[1:]
    return labels[0] in _ENGINES
