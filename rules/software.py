"""Operating systems and browsers: what an event says about the software that sent it. The first row that fits decides.

| the event has                                                                           | `os` is                   |
|-----------------------------------------------------------------------------------------|---------------------------|
| `os.name` iOS, iPadOS, iPhone OS, iPhone or iPad                                        | the text, also `iOS`      |
| `os.name` Mac OS, Mac OS X, OS X or Darwin                                              | the text, also `macOS`    |
| `os.name` Windows with a version, such as Windows 11                                    | the text, also `Windows`  |
| `os.name` ChromeOS or Chromium OS                                                       | the text, also `Chrome OS`|
| `os.name` of a Linux distribution, such as Ubuntu                                       | the text, also `Linux`    |
| any other `os.name`                                                                     | the text                  |
| `userAgentData` or `ua-ch`: a `platform` of these                                       | its name as above         |
| `userAgent` of one of these, of Android, Tizen, webOS or KaiOS                          | its name as above         |
| `userAgent` of a crawler, unknown, or above 1,024 characters; nothing                   | not carried               |

| the event has                                                                           | `browser` is              |
|-----------------------------------------------------------------------------------------|---------------------------|
| `browser.name`, also of a phone, such as Mobile Safari or Chrome Mobile iOS             | the text, also the name   |
| `userAgent` of a crawler, or above 1,024 characters                                     | not carried               |
| `userAgent` with `FBAN/` or `FBAV/`                                                     | `Facebook`                |
| `userAgent` with `Instagram `                                                           | `Instagram`               |
| `userAgent` with `Edg/`, `EdgA/`, `EdgiOS/` or `Edge/`                                  | `Edge`                    |
| `userAgent` with `OPR/`, `OPT/` or `Opera`                                              | `Opera`                   |
| `userAgent` with `SamsungBrowser/`                                                      | `Samsung Internet`        |
| `userAgent` with `YaBrowser/`                                                           | `Yandex`                  |
| `userAgent` with `UCBrowser/`                                                           | `UC Browser`              |
| `userAgent` with `MiuiBrowser/`                                                         | `MIUI`                    |
| `userAgent` with `HuaweiBrowser/`                                                       | `Huawei`                  |
| `userAgent` with `Vivaldi/`                                                             | `Vivaldi`                 |
| `userAgent` with `DuckDuckGo/` or `Ddg/`                                                | `DuckDuckGo`              |
| `userAgent` with `Firefox/` or `FxiOS/`                                                 | `Firefox`                 |
| `userAgent` with `Chrome/` or `CriOS/`                                                  | `Chrome`                  |
| `userAgent` with `Trident/` or `MSIE `                                                  | `Internet Explorer`       |
| `userAgent` with `Safari/`, without Android                                             | `Safari`                  |
| any other `userAgent`; nothing                                                          | not carried               |

See also: `rules.devices`, which does this for devices, and `rules.context`, which reads each only when a rule asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from rules.devices import (
    AGENT_MAX_CHARS,
    AGENTS_MAX,
    NAME_MAX_CHARS,
    KindedText,
    family_of_system,
    folded_name,
    is_crawler,
)

IOS, MACOS, WINDOWS, CHROME_OS, LINUX = "iOS", "macOS", "Windows", "Chrome OS", "Linux"
_SYSTEM_NAMES: dict[str, tuple[str, ...]] = {
    IOS: ("ios", "ipados", "iphoneos", "iphone", "ipad"),
    MACOS: ("macos", "macosx", "osx", "darwin"),
    WINDOWS: ("windows", "windowsnt", "windows7", "windows8", "windows8.1", "windows10", "windows11"),
    CHROME_OS: ("chromeos", "chromiumos"),
    LINUX: (
        "linux", "ubuntu", "kubuntu", "debian", "fedora", "redhat", "centos", "gentoo", "mandriva", "pclinuxos",
        "slackware", "suse", "linuxmint", "archlinux", "puppy", "vectorlinux",
    ),
    "Android": ("android",),
    "Tizen": ("tizen",),
    "webOS": ("webos", "web0s"),
    "KaiOS": ("kaios",),
}  # fmt: skip

# The first of these decides: most browsers name those, too, that they want to be taken for.
_AGENT_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Facebook", ("FBAN/", "FBAV/")),
    ("Instagram", ("Instagram ",)),
    ("Edge", ("Edg/", "EdgA/", "EdgiOS/", "Edge/")),
    ("Opera", ("OPR/", "OPT/", "Opera")),
    ("Samsung Internet", ("SamsungBrowser/",)),
    ("Yandex", ("YaBrowser/",)),
    ("UC Browser", ("UCBrowser/",)),
    ("MIUI", ("MiuiBrowser/",)),
    ("Huawei", ("HuaweiBrowser/",)),
    ("Vivaldi", ("Vivaldi/",)),
    ("DuckDuckGo", ("DuckDuckGo/", "Ddg/")),
    ("Firefox", ("Firefox/", "FxiOS/")),
    ("Chrome", ("Chrome/", "CriOS/")),
    ("Internet Explorer", ("Trident/", "MSIE ")),
)
_SAFARI = "Safari"
_OTHER_BROWSER_NAMES = {
    "Edge": ("microsoftedge",),
    "Chrome": ("googlechrome",),
    "Yandex": ("yandexbrowser",),
    "Huawei": ("huaweibrowser",),
    "MIUI": ("miuibrowser",),
    "UC Browser": ("ucbrowser",),
    "Internet Explorer": ("ie", "internetexplorer"),
}
# What stands beside the name of a browser for a phone, or inside an app.
_WORDS_BESIDE = ("ios", "webview", "android", "mini", "mobile")


def _by_name(names: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {name: kind for kind, spellings in names.items() for name in spellings}


_SYSTEM_OF_NAME = _by_name(_SYSTEM_NAMES)
_BROWSER_OF_NAME = _by_name(
    {browser: (folded_name(browser), *_OTHER_BROWSER_NAMES.get(browser, ())) for browser, _ in _AGENT_PARTS}
    | {_SAFARI: ("safari",)}
)


def system_of(name: str | None, platform: str | None, agent: str | None) -> KindedText | None:
    """The operating system, by the first of these that names one: its own name, client hints, the user agent."""
    if name:
        return KindedText(name, system_of_name(name))
    kind = system_of_name(platform or "")
    if kind is None and agent:
        kind = system_of_agent(agent)
    return None if kind is None else KindedText(kind, kind)


def browser_of(name: str | None, agent: str | None) -> KindedText | None:
    """The browser, by its own name, else by the user agent."""
    if name:
        return KindedText(name, browser_of_name(name))
    kind = browser_of_agent(agent) if agent else None
    return None if kind is None else KindedText(kind, kind)


def system_of_name(name: str) -> str | None:
    """The operating system that a text names, such as ``Mac OS X``."""
    return _SYSTEM_OF_NAME.get(folded_name(name)) if len(name) <= NAME_MAX_CHARS else None


def system_of_agent(agent: str) -> str | None:
    """The operating system by a user agent."""
    family = family_of_system(agent)
    return None if family is None else system_of_name(family)


def browser_of_name(name: str) -> str | None:
    """The browser that a text names, such as ``Mobile Safari``."""
    if len(name) > NAME_MAX_CHARS:
        return None
    folded = folded_name(name)
    for word in _WORDS_BESIDE:
        folded = folded.removeprefix(word).removesuffix(word)
    return _BROWSER_OF_NAME.get(folded)


def browser_of_agent(agent: str) -> str | None:
    """The browser by a user agent. A text that is too long is neither read nor cached."""
    return _browser(agent) if len(agent) <= AGENT_MAX_CHARS else None


@lru_cache(maxsize=AGENTS_MAX)
def _browser(agent: str) -> str | None:
    if is_crawler(agent):
        return None
    for browser, parts in _AGENT_PARTS:
        if any(part in agent for part in parts):
            return browser
    return _SAFARI if "Safari/" in agent and "Android" not in agent else None
