"""Devices: what an event says about the device that sent it. The first row that fits decides.

| the event has                                                                             | `device` is              |
|-------------------------------------------------------------------------------------------|--------------------------|
| `device.type` iOS, and a `device.model` iPad… or an `os.name` iPadOS                      | the text, also `tablet`  |
| `device.type` iOS, and a `device.model` AppleTV… or an `os.name` tvOS                     | the text, also `tv`      |
| `device.type` mobile, mobile phone, phone, smartphone, iPhone, iOS or Android             | the text, also `mobile`  |
| `device.type` tablet, iPad or iPadOS                                                      | the text, also `tablet`  |
| `device.type` desktop, laptop, computer, PC, macOS, Windows or Linux                      | the text, also `desktop` |
| `device.type` TV, smart TV, tvOS, Apple TV or Android TV                                  | the text, also `tv`      |
| any other `device.type`                                                                   | the text                 |
| `userAgentData` or `ua-ch`: `mobile` is true                                              | `mobile`                 |
| the same: `mobile` is false, `platform` is Android                                        | `tablet`                 |
| the same: `mobile` is false, `platform` is Windows, macOS, Linux or Chrome OS             | `desktop`                |
| `userAgent` of a television, or of a box or stick for one                                 | `tv`                     |
| `userAgent` of an iPad, of Android without `Mobile`, or with the word Tablet              | `tablet`                 |
| `userAgent` of an iPhone, of Android with `Mobile` or in an app, or of another phone      | `mobile`                 |
| `userAgent` of Windows, macOS, Linux, Chrome OS or BSD                                    | `desktop`                |
| `userAgent` of a crawler, console or program, unknown, or above 1,024 characters; nothing | not carried              |

See also: `rules.context`, which reads a device only when a rule asks for one.
"""

from __future__ import annotations

from functools import cache, lru_cache

import msgspec
from ua_parser import Domain, Matchers, PartialResult, load_builtins
from ua_parser.re2 import Resolver

MOBILE, TABLET, DESKTOP, TV = "mobile", "tablet", "desktop", "tv"
KINDS = (MOBILE, TABLET, DESKTOP, TV)

# A longer user agent is not parsed. Browsers send up to about 300 characters.
AGENT_MAX_CHARS = 1_024
AGENTS_MAX = 4_096

_NAMES = {
    MOBILE: ("mobile", "phone", "mobilephone", "smartphone", "iphone", "ios", "android"),
    TABLET: ("tablet", "ipad", "ipados"),
    DESKTOP: ("desktop", "laptop", "computer", "pc", "macos", "windows", "linux"),
    TV: ("tv", "smarttv", "tvos", "appletv", "androidtv"),
}
_KIND_OF_NAME = {name: kind for kind, names in _NAMES.items() for name in names}
_WITHOUT_SEPARATORS = str.maketrans("", "", " -_")
NAME_MAX_CHARS = 20

_COMPUTERS = frozenset({
    "windows", "macos", "linux", "chromeos", "chromiumos", "macosx", "freebsd", "openbsd", "netbsd", "solaris",
    "ubuntu", "kubuntu", "debian", "fedora", "redhat", "centos", "gentoo", "mandriva", "pclinuxos", "slackware", "suse",
    "linuxmint", "archlinux", "puppy", "vectorlinux",
})  # fmt: skip
_PHONES = frozenset({
    "windowsphone", "windowsmobile", "windowsce", "kaios", "firefoxos", "symbianos", "symbian^3", "symbian^3anna",
    "symbian^3belle", "nokiaseries40", "nokiaseries30plus", "blackberryos", "bada", "tizen", "meego", "maemo", "brew",
    "brewmp", "palmwebos",
})  # fmt: skip
# Parts of user agents, in lower case, which only televisions and what is plugged into one have.
_OF_TV = (
    "smart-tv", "smarttv", "smart tv", "hbbtv", "netcast", "web0s", "webostv", "appletv", "apple tv", "googletv",
    "google tv", "android tv", "bravia", "crkey", "roku/", "; aft",
)  # fmt: skip
_PHONE_FAMILIES = frozenset({"Generic Smartphone", "Generic Feature Phone"})
_CRAWLER, _ANY_TABLET = "Spider", "Generic Tablet"


class KindedText(msgspec.Struct, frozen=True, gc=False):
    """The text that names the device, operating system or browser of an event, and its kind if that is known.

    The text is the sender's, else the kind.
    """

    text: str
    kind: str | None


def kind_of_name(name: str) -> str | None:
    """The kind that a text of a shop or an SDK names, such as ``Smart TV`` or ``ios``."""
    return _KIND_OF_NAME.get(folded_name(name)) if len(name) <= NAME_MAX_CHARS else None


def kind_of_app(name: str, model: str | None, system: str | None) -> str | None:
    """The kind of a device that names itself so, by its model and operating system, too."""
    kind = kind_of_name(name)
    if kind == MOBILE:
        model = model or ""
        if model.startswith("iPad") or system == "iPadOS":
            return TABLET
        if model.startswith("AppleTV") or system == "tvOS":
            return TV
    return kind


def kind_of_hints(mobile: bool | None, platform: str | None) -> str | None:
    """The kind by the client hints of a browser: whether it wants pages for phones, and its platform."""
    if mobile:
        return MOBILE
    if mobile is None or platform is None or len(platform) > NAME_MAX_CHARS:
        return None
    system = folded_name(platform)
    if system == "android":
        return TABLET
    return DESKTOP if system in _COMPUTERS else None


def kind_of_agent(agent: str) -> str | None:
    """The kind by a user agent. A text that is too long is neither parsed nor cached."""
    return _parsed(agent) if len(agent) <= AGENT_MAX_CHARS else None


def is_crawler(agent: str) -> bool:
    """Whether a user agent is that of a known crawler. A text that is too long is none."""
    return len(agent) <= AGENT_MAX_CHARS and _is_crawler(agent)


def family_of_system(agent: str) -> str | None:
    """The operating system that a user agent names, in the words of ua-parser; ``None`` for that of a crawler."""
    return _family_of_system(agent) if len(agent) <= AGENT_MAX_CHARS else None


@lru_cache(maxsize=AGENTS_MAX)
def _is_crawler(agent: str) -> bool:
    try:
        device = _resolver()(agent, Domain.DEVICE).device
    except ValueError:  # as below
        return False
    return device is not None and device.family == _CRAWLER


@lru_cache(maxsize=AGENTS_MAX)
def _family_of_system(agent: str) -> str | None:
    try:
        system = _resolver()(agent, Domain.OS).os
    except ValueError:  # as below
        return None
    return None if system is None or is_crawler(agent) else system.family


# Half a million browsers have some thousand user agents between them: most were parsed before.
@lru_cache(maxsize=AGENTS_MAX)
def _parsed(agent: str) -> str | None:
    try:
        parts = _resolver()(agent, Domain.OS | Domain.DEVICE)
    except ValueError:  # half a surrogate is no text for RE2; or the expression that fits names no device after all
        return None
    family = parts.device.family if parts.device else ""
    lower = agent.lower()
    if family == _CRAWLER:
        return None
    if any(part in lower for part in _OF_TV):
        return TV
    if family == _ANY_TABLET or family.startswith("iPad"):
        return TABLET
    if family in _PHONE_FAMILIES:
        return MOBILE
    return _of_system(parts, agent)


def _of_system(parts: PartialResult, agent: str) -> str | None:
    system = folded_name(parts.os.family) if parts.os else ""
    if system == "android":
        # An app's own agent, such as Dalvik's, never says Mobile; most of them run on phones.
        return MOBILE if "Mobile" in agent or agent.startswith("Dalvik/") else TABLET
    if system == "ios" or system in _PHONES:
        return MOBILE
    if system == "blackberrytabletos":
        return TABLET
    if system in _COMPUTERS:
        return None if "Xbox" in agent else DESKTOP
    return None


def folded_name(name: str) -> str:
    """A name in lower case, without white space, hyphens and underscores."""
    return name.casefold().translate(_WITHOUT_SEPARATORS)


@cache
def _resolver() -> Resolver:
    """The parser, built at the first user agent: 0.2 s. RE2 finds the expression that fits, in linear time."""
    _, systems, devices = load_builtins()
    matchers: Matchers = ([], systems, devices)
    return Resolver(matchers)
