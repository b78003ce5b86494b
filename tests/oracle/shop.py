"""The visits of a customer, as the oracle reads them: sessions, the last and first touch.

Each is computed from all known events of the customer, in (time, messageId) order.
"""

from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from urllib.parse import urlsplit

from tests.oracle.facts import Fact
from tests.oracle.names import ACTIVITY
from tests.oracle.values import Json, lookup

SEARCH_ENGINES = {
    "google", "bing", "yahoo", "duckduckgo", "yandex", "baidu", "ecosia", "startpage", "qwant", "naver",
    "seznam", "ask", "aol", "kagi", "zarebin", "parsijoo", "gerdoo",
}  # fmt: skip
SOCIAL_SITES = ("facebook.com", "instagram.com", "t.co", "reddit.com")
BEFORE_THE_ENGINE = {"www", "m", "search"}
# Of a phone, a tablet, a computer: what names one in capitals or not, and what a user agent of one contains.
DEVICE_NAMES = {
    "mobile": {"mobile", "mobile phone", "phone", "smartphone", "iphone", "ios", "android"},
    "tablet": {"tablet", "ipad", "ipados"},
    "desktop": {"desktop", "laptop", "computer", "pc", "macos", "windows", "linux"},
    "tv": {"tv", "smart tv", "tvos", "apple tv", "android tv"},
}
AGENT_PARTS = (
    ("SmartTV", "tv"), ("iPad", "tablet"), ("iPhone", "mobile"), ("Mobile", "mobile"), ("Android", "tablet"),
    ("Windows", "desktop"), ("Macintosh", "desktop"), ("X11", "desktop"),
)  # fmt: skip
ATTRIBUTES = {
    "source": "campaign.source",
    "medium": "campaign.medium",
    "campaign": "campaign.name",
    "country": "location.country",
    "city": "location.city",
    "locale": "locale",
    "timezone": "timezone",
    "region": "location.region",
}
# Of systems and browsers: their names in other words, and what a user agent of one contains; the first that fits.
SYSTEM_NAMES = {
    "iOS": {"ios", "ipados", "iphone os", "iphone", "ipad"},
    "macOS": {"macos", "mac os", "mac os x", "os x", "darwin"},
    "Windows": {"windows", "windows 10", "windows 11"},
    "Linux": {"linux", "ubuntu", "debian"},
    "Android": {"android"},
}
SYSTEM_PARTS = (
    ("iPhone", "iOS"), ("iPad", "iOS"), ("Android", "Android"), ("Windows", "Windows"), ("Macintosh", "macOS"),
    ("X11", "Linux"),
)  # fmt: skip
BROWSER_NAMES = {
    "Chrome": {"chrome", "google chrome", "chrome mobile", "chrome mobile ios"},
    "Safari": {"safari", "mobile safari"},
    "Firefox": {"firefox", "firefox mobile"},
    "Edge": {"edge", "microsoft edge"},
}
BROWSER_PARTS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
KINDED = ("device", "os", "browser")


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
    if name == "device":
        return text_at(what.context, "device.type") or device_kind(what)
    if name in KINDED:
        return text_at(what.context, f"{name}.name") or kind_of(what, name)
    if name == "page":
        return text_at(what.context, "page.path") or path_of(text_at(what.context, "page.url") or "")
    if name == "referrer":
        return next((url for url in referrers(what) if host_of(url) not in hosts), None)
    return text_at(what.context, ATTRIBUTES[name])


def referrers(what: Fact) -> list[str]:
    """The addresses told as referrers; the one in the context's own field counts first."""
    stated = (text_at(what.context, "referrer.url"), text_at(what.context, "page.referrer"))
    return [url for url in stated if url is not None and url != DIRECT]


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
    if is_search_engine(host):
        return "search"
    return "social" if any(host == site or host.endswith("." + site) for site in SOCIAL_SITES) else "referral"


def device_kind(what: Fact) -> str | None:
    """The kind of an event's device: of its own name and model, else of its browser."""
    name = text_at(what.context, "device.type")
    if name:
        model = text_at(what.context, "device.model") or ""
        if name.lower() == "ios" and model.startswith("iPad"):
            return "tablet"
        return next((kind for kind, names in DEVICE_NAMES.items() if name.lower() in names), None)
    mobile = lookup(what.context, "userAgentData.mobile")
    if mobile is True:
        return "mobile"
    if mobile is False:
        return "tablet" if lookup(what.context, "userAgentData.platform") == "Android" else "desktop"
    agent = text_at(what.context, "userAgent") or ""
    return next((kind for part, kind in AGENT_PARTS if part in agent), None)


def kind_of(what: Fact, name: str) -> str | None:
    """The kind of what an event's device, system or browser calls itself, else of its user agent."""
    if name == "device":
        return device_kind(what)
    names, parts = (SYSTEM_NAMES, SYSTEM_PARTS) if name == "os" else (BROWSER_NAMES, BROWSER_PARTS)
    stated = text_at(what.context, f"{name}.name")
    platform = text_at(what.context, "userAgentData.platform") if name == "os" else None
    text = stated or platform or ""
    by_name = next((kind for kind, spellings in names.items() if text.lower() in spellings), None)
    if stated or by_name:
        return by_name
    agent = text_at(what.context, "userAgent") or ""
    return next((kind for part, kind in parts if part in agent), None)


def path_of(url: str) -> str | None:
    """The path of an address that has a host."""
    return None if host_of(url) is None else urlsplit(url).path or "/"


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
