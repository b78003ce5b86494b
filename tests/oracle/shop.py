"""The visits of a customer, as the oracle reads them: sessions, the last and first touch.

Each is computed from all known events of the customer, in (time, messageId) order.
"""

from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from urllib.parse import urlsplit

from tests.oracle.names import ACTIVITY
from tests.oracle.reading import Fact
from tests.oracle.values import Json, lookup

SEARCH_ENGINES = {
    "google", "bing", "yahoo", "duckduckgo", "yandex", "baidu", "ecosia", "startpage", "qwant", "naver",
    "seznam", "ask", "aol", "kagi", "zarebin", "parsijoo", "gerdoo",
}  # fmt: skip
BEFORE_THE_ENGINE = {"www", "m", "search"}
ATTRIBUTES = {
    "device": "device.type",
    "source": "campaign.source",
    "medium": "campaign.medium",
    "campaign": "campaign.name",
    "country": "location.country",
    "city": "location.city",
    "locale": "locale",
}


# --- sessions ----------------------------------------------------------------------------------


def session_starts(facts: Sequence[Fact], gap: int) -> list[int]:
    """An activity at least `gap` after the one before starts a session."""
    times = [what.time for what in facts if what.name in ACTIVITY]
    return times[:1] + [time for before, time in pairwise(times) if time - before >= gap]


# --- touches -----------------------------------------------------------------------------------

DIRECT = "$direct"  # what some senders write where nothing referred


def attribute(what: Fact, name: str, hosts: Collection[str] = ()) -> str | None:
    """What an event carries of its context: a text that is not empty."""
    if name == "channel":
        return channel(what, hosts)
    if name == "referrer":
        return next((url for url in referrers(what) if host_of(url) not in hosts), None)
    return text_at(what.context, ATTRIBUTES[name])


def referrers(what: Fact) -> list[str]:
    """The addresses told as referrers; the one in the context's own field counts first."""
    told = (text_at(what.context, "referrer.url"), text_at(what.context, "page.referrer"))
    return [url for url in told if url is not None and url != DIRECT]


def text_at(context: Json, path: str) -> str | None:
    value = lookup(context, path)
    return value if isinstance(value, str) else None


def channel(what: Fact, hosts: Collection[str] = ()) -> str | None:
    """Where a visit came from, as far as the event tells; going on within the shop tells nothing."""
    if any(attribute(what, name) for name in ("source", "medium", "campaign")):
        return "campaign"
    referrer = attribute(what, "referrer", hosts)
    if referrer is None:
        return "direct" if what.name == "page" and not referrers(what) else None
    host = host_of(referrer)
    if host is None or host == host_of(text_at(what.context, "page.url") or ""):
        return None
    return "search" if is_search_engine(host) else "referral"


@cache
def host_of(url: str) -> str | None:
    """The host of an address in lower case, without a leading www."""
    try:
        host = urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None
    return host.removeprefix("www.") if host else None


def is_search_engine(host: str) -> bool:
    labels = host.split(".")
    while labels and (labels[0] in BEFORE_THE_ENGINE or len(labels[0]) == 2):
        labels = labels[1:]
    return bool(labels) and labels[0] in SEARCH_ENGINES
