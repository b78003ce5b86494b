"""The device of an event: of its own type, of client hints, and of a user agent, also of a hostile one."""

import json
import time
from typing import Any

import pytest

from rules import devices
from rules.context import Context
from rules.devices import KindedText
from rules.engine import Engine
from tests.support.input_records import accepted, record
from tests.support.profiles import wanting

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
AGENTS = {
    f"Mozilla/5.0 (iPad; CPU OS 15_6 like Mac OS X) {CHROME}": "tablet",
    f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36": "mobile",
    f"Mozilla/5.0 (Linux; Android 13; SM-X700) {CHROME} Safari/537.36": "tablet",
    "Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0": "tablet",
    "Mozilla/5.0 (Android 13; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0": "mobile",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A)": "mobile",
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Mobile Edge/15.15063": "mobile",
    "Mozilla/5.0 (Mobile; Nokia_2720; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5": "mobile",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME}": "desktop",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": "desktop",
    f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {CHROME} TV Safari/537.36": "tv",
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {CHROME} WebAppManager": "tv",
    f"Mozilla/5.0 (Linux; Android 9; AFTT Build/PS7233) {CHROME} Silk/126.4.1": "tv",
    f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {CHROME} Mobile (compatible; Googlebot/2.1)": None,
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {CHROME}": None,
    "okhttp/4.12.0": None,
    "": None,
    "فروشگاه": None,
    "\ud800": None,
}


@pytest.mark.parametrize(("agent", "kind"), AGENTS.items())
def test_the_kind_by_a_user_agent(agent: str, kind: str | None) -> None:
    assert devices.kind_of_agent(agent) == kind


HOSTILE = [
    "; SAMSUNG-ANDROID-MMS/ ;/ 100 " * 40,  # an expression of ua-parser fits, and finds no device
    "Android 4; " + "; Huawei Build " * 70,
    "Archos" * 170, "; " * 512, "(" * 1_024, " " * 1_024, "Android " + "-" * 1_000, "\u0130" * 1_024, "\x00" * 1_024,
]  # fmt: skip


@pytest.mark.parametrize("agent", HOSTILE, ids=lambda agent: repr(agent[:12]))
def test_a_hostile_user_agent_takes_little_time(agent: str) -> None:
    """Some device or none, within a tenth of a second at the very most (measured: 4 ms)."""
    devices.kind_of_agent("")  # builds the parser
    begun = time.perf_counter()
    devices.kind_of_agent(agent[:1_024])
    assert time.perf_counter() - begun < 0.1


def test_user_agents_are_bounded() -> None:
    """A longer text is not parsed, the cache has a bound, and a repeat is not parsed again."""
    phone = next(iter(AGENTS))
    assert devices.kind_of_agent(phone + " " * (1_024 - len(phone))) == "tablet"
    before = devices._parsed.cache_info()
    assert devices.kind_of_agent(phone + " " * (1_025 - len(phone))) is None
    assert devices._parsed.cache_info() == before
    assert devices.kind_of_agent(phone) == "tablet"
    hits = devices._parsed.cache_info().hits
    assert devices.kind_of_agent(phone) == "tablet"
    assert devices._parsed.cache_info().hits == hits + 1
    assert before.maxsize == 4_096


IPAD = next(iter(AGENTS))
CONTEXTS: list[tuple[dict[str, Any], KindedText | None]] = [
    ({"device": {"type": "kiosk"}, "userAgent": IPAD}, KindedText("kiosk", None)),
    ({"device": {"type": "Smart TV"}}, KindedText("Smart TV", "tv")),
    ({"device": {"type": "iOS", "model": "iPhone15,4"}}, KindedText("iOS", "mobile")),
    ({"device": {"type": "ios", "model": "iPad13,4"}}, KindedText("ios", "tablet")),
    ({"device": {"type": "ios"}, "os": {"name": "iPadOS"}}, KindedText("ios", "tablet")),
    ({"device": {"type": "ios", "model": "AppleTV11,1"}}, KindedText("ios", "tv")),
    ({"device": {"type": "mobile", "model": "iPad13,4"}}, KindedText("mobile", "mobile")),
    ({"device": {"type": "tablet"}}, KindedText("tablet", "tablet")),
    ({"device": {"type": ""}, "userAgent": IPAD}, KindedText("tablet", "tablet")),
    ({"userAgentData": {"mobile": True}, "userAgent": IPAD}, KindedText("mobile", "mobile")),
    ({"userAgentData": {"mobile": False, "platform": "Android"}}, KindedText("tablet", "tablet")),
    ({"userAgentData": {"mobile": False, "platform": "Chrome OS"}}, KindedText("desktop", "desktop")),
    ({"userAgentData": {"mobile": False, "platform": "Unknown"}, "userAgent": IPAD}, KindedText("tablet", "tablet")),
    ({"ua-ch": {"mobile": False, "platform": "macOS"}}, KindedText("desktop", "desktop")),
    ({"userAgentData": {"mobile": "yes", "platform": 7}, "os": [], "userAgent": IPAD}, KindedText("tablet", "tablet")),
    ({"userAgent": 7, "ua-ch": []}, None),
    ({}, None),
]


@pytest.mark.parametrize(
    ("context", "device"), CONTEXTS, ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else ""
)
def test_the_device_of_a_context(context: dict[str, Any], device: KindedText | None) -> None:
    assert Context(json.dumps(context).encode(), of_page=True).device == device


@pytest.mark.parametrize(("test", "expected"), [
    ("mobile", "phone"), ("ios", "both"), ("tablet", "tablet"), ({"in": ["mobile", "tablet"]}, "both"),
    ({"not_in": ["mobile"]}, "tablet"), ({"not_in": ["ios"]}, ""), ({"in": ["ios"], "not_in": ["tablet"]}, "phone"),
    ({"contains": "tab"}, "tablet"), ({"exists": True}, "both"), ({"exists": False}, ""), ("desktop", ""),
])  # fmt: skip
def test_a_rule_asks_of_the_text_and_of_its_kind(test: object, expected: str) -> None:
    """An iPhone and then an iPad whose apps call them `ios`: the same text, another kind."""
    engine = Engine(wanting({"context": {"device": test}}))
    customer = engine.new()
    members = []
    for index, model in enumerate(("iPhone15,4", "iPad13,4", "iPhone15,4")):
        context = json.dumps({"device": {"type": "ios", "model": model}})
        fields = {"messageId": f'"m{index}"', "timestamp": f'"2026-03-01T12:00:0{index}Z"'}
        engine.apply("u1", customer, accepted(record(type='"page"', context=context, **fields)))
        members.append(bool(engine.membership(customer)))
    assert members == {"phone": [True, False, True], "tablet": [False, True, False]}.get(
        expected, [expected == "both"] * 3
    )


def test_no_user_agent_is_parsed_unasked() -> None:
    """Rules about the rest of a context neither parse a user agent nor look a referrer up."""
    engine = Engine(wanting({"context": {"locale": "fa", "source": {"exists": False}}}))
    before = devices._parsed.cache_info()
    context = json.dumps(
        {"userAgent": "an agent of this test alone", "locale": "fa", "page": {"referrer": "https://x.example"}}
    )
    engine.apply("u1", engine.new(), accepted(record(type='"page"', context=context)))
    assert devices._parsed.cache_info() == before
