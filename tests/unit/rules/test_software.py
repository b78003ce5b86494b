"""The operating system and the browser of an event: of names of their own, of client hints, and of a user agent."""

import json
from typing import Any

import pytest

from rules import software
from rules.context import Context
from rules.devices import KindedText

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID, IPHONE = "Linux; Android 10; K", "iPhone; CPU iPhone OS 17_5 like Mac OS X"
AGENTS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36": ("Windows", "Chrome"),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/126.0": ("Windows", "Edge"),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 OPR/110.0": ("Windows", "Opera"),
    f"Mozilla/5.0 ({ANDROID}) {CHROME} Mobile Safari/537.36": ("Android", "Chrome"),
    f"Mozilla/5.0 ({ANDROID}) SamsungBrowser/25.0 {CHROME} Mobile Safari/537.36": ("Android", "Samsung Internet"),
    f"Mozilla/5.0 ({ANDROID}; wv) {CHROME} Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/465.0;]": ("Android", "Facebook"),
    "Mozilla/5.0 (Linux; U; Android 4.0.3) AppleWebKit/534.30 Version/4.0 Mobile Safari/534.30": ("Android", None),
    f"Mozilla/5.0 ({IPHONE}) {SAFARI} Version/17.5 Mobile/15E148 Safari/604.1": ("iOS", "Safari"),
    f"Mozilla/5.0 ({IPHONE}) {SAFARI} CriOS/126.0 Mobile/15E148 Safari/604.1": ("iOS", "Chrome"),
    f"Mozilla/5.0 ({IPHONE}) {SAFARI} FxiOS/126.0 Mobile/15E148 Safari/604.1": ("iOS", "Firefox"),
    f"Mozilla/5.0 ({IPHONE}) {SAFARI} Mobile/15E148": ("iOS", None),
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Version/17.5 Safari/605.1.15": ("macOS", "Safari"),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": ("Linux", "Firefox"),
    "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko": ("Windows", "Internet Explorer"),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36": ("Chrome OS", "Chrome"),
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {CHROME} WebAppManager": ("webOS", "Chrome"),
    f"Mozilla/5.0 ({ANDROID}) {CHROME} Mobile Safari/537.36 (compatible; Googlebot/2.1)": (None, None),
    "okhttp/4.12.0": (None, None),
    "Chrome/ Windows NT 10.0".ljust(1_025): (None, None),
    "": (None, None),
    "\ud800": (None, None),
}


@pytest.mark.parametrize(("agent", "names"), AGENTS.items())
def test_the_software_by_a_user_agent(agent: str, names: tuple[str | None, str | None]) -> None:
    assert (software.system_of_agent(agent), software.browser_of_agent(agent)) == names


PHONE = f"Mozilla/5.0 ({IPHONE}) {SAFARI} Version/17.5 Mobile/15E148 Safari/604.1"
BOTH = KindedText("iOS", "iOS"), KindedText("Safari", "Safari")
CONTEXTS: list[tuple[dict[str, Any], KindedText | None, KindedText | None]] = [
    ({"userAgent": PHONE}, *BOTH),
    ({"os": {"name": "Mac OS X"}, "userAgent": PHONE}, KindedText("Mac OS X", "macOS"), BOTH[1]),
    ({"os": {"name": "Fuchsia"}, "browser": {"name": "lynx"}}, KindedText("Fuchsia", None), KindedText("lynx", None)),
    ({"os": {"name": ""}, "browser": {"name": None}, "userAgent": PHONE}, *BOTH),
    ({"os": "iOS", "browser": [], "userAgent": PHONE}, *BOTH),
    ({"userAgentData": {"platform": "Chrome OS"}, "userAgent": PHONE}, KindedText("Chrome OS", "Chrome OS"), BOTH[1]),
    ({"ua-ch": {"platform": "Unknown"}, "userAgent": PHONE}, *BOTH),
    ({"browser": {"name": "Chrome Mobile iOS"}}, None, KindedText("Chrome Mobile iOS", "Chrome")),
    ({"browser": {"name": "Opera Mini"}}, None, KindedText("Opera Mini", "Opera")),
    ({"browser": {"name": "x" * 100_000}}, None, KindedText("x" * 100_000, None)),
    ({"userAgent": 7}, None, None),
    ({}, None, None),
]


@pytest.mark.parametrize(("context", "system", "browser"), CONTEXTS)
def test_the_software_of_a_context(
    context: dict[str, Any], system: KindedText | None, browser: KindedText | None
) -> None:
    carrying = Context(json.dumps(context).encode(), of_page=True)
    assert (carrying.with_kind("os"), carrying.with_kind("browser")) == (system, browser)


@pytest.mark.parametrize(("page", "path"), [
    ({"path": "/tea"}, "/tea"), ({"path": "/tea", "url": "https://shop.example/sale"}, "/tea"),
    ({"url": "https://shop.example/sale?x=/y#/z"}, "/sale"), ({"url": "https://shop.example:443?x=/y"}, "/"),
    ({"url": "https://shop.example"}, "/"), ({"url": "about:blank"}, None), ({"url": "/sale"}, None),
    ({"url": "https://["}, None), ({"path": ["/"]}, None), ({}, None),
])  # fmt: skip
def test_the_path_of_a_page(page: dict[str, Any], path: str | None) -> None:
    assert Context(json.dumps({"page": page}).encode(), of_page=True).get("page") == path
