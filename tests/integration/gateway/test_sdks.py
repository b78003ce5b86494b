"""SDKs of others, as published, against the gateway: each event that an SDK holds arrives, and has its own time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from selenium.webdriver import Chrome

from local import sdks, servers
from rules.times import parse_instant
from tests.support import sdk_pages
from tests.support.browsers import headless
from tests.support.gateways import ENVIRONMENT, SHOP_KEY, WEB_KEY, GatewayParts, running
from tests.support.patience import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CALLS = """
analytics.page(); analytics.track('Product Added', {product_id: '1'}); analytics.alias('u1');
setTimeout(() => { analytics.identify('u1', {email: 'a@example.com'}); analytics.track('After', {}); }, 300);
"""
BATCHES: dict[str, dict[str, Any]] = {
    "segment": {
        "integrations": {
            "Segment.io": {"deliveryStrategy": {"strategy": "batching", "config": {"size": 10, "timeout": 500}}}
        }
    },
    "rudderstack": {"queueOptions": {"batch": {"enabled": True, "maxItems": 10, "flushInterval": 500}}},
}
PAGES = {"segment": sdk_pages.SEGMENT, "rudderstack": sdk_pages.RUDDERSTACK}


class Shop(NamedTuple):
    """A gateway, and the pages of a shop which send to it."""

    parts: GatewayParts
    folder: Path
    origin: str

    def open(self, browser: Chrome, sdk: str, options: dict[str, Any] | None = None) -> None:
        """Open the page with an SDK, and wait until it is ready."""
        page = PAGES[sdk].format(gateway=f"http://{self.parts.address}", key=WEB_KEY, options=json.dumps(options or {}))
        (self.folder / f"{sdk}.html").write_text(page)
        browser.get(f"{self.origin}/{sdk}.html?utm_source=mail")
        eventually(lambda: browser.execute_script("return window.booted === true"), 15, "the SDK is ready")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name that were written."""
        return [each for each in self.all() if each.get("event") == name]

    def all(self) -> list[dict[str, Any]]:
        """All events that were written, each with its topic."""
        return [json.loads(each.value) | {"topic": self.parts.topic_of(each)} for each in self.parts.written(1_000)]


@pytest.fixture
def shop(tmp_path: Path, kafka: servers.Kafka) -> Iterator[Shop]:
    """A gateway which takes events of the pages of a shop, on the Kafka that all tests share."""
    with shop_on(kafka, tmp_path) as opened:
        yield opened


@pytest.fixture
def mortal_shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a Kafka of its own, which the test may end."""
    with shop_on(None, tmp_path) as opened:
        yield opened


@contextmanager
def shop_on(kafka: servers.Kafka | None, folder: Path) -> Iterator[Shop]:
    """A gateway and the pages of a shop. Where the SDKs cannot be fetched a test fails in CI, or is skipped."""
    sentence = sdks.missing()
    if sentence is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    with sdk_pages.served(folder, sdks.packages()) as origin:
        keys = {
            "web": {"kind": "browser", "key": WEB_KEY, "origins": [origin]},
            "shop": {"kind": "server", "key": {"env": "SHOP_KEY"}},
        }
        with running(kafka, keys=keys) as parts:
            port = parts.address.rpartition(":")[2]
            parts.gateway.environment["SEGMENTER_GATEWAY_HTTP"] = f"127.0.0.1:{port}"
            yield Shop(parts, folder, origin)


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A headless browser."""
    with headless() as chrome:
        yield chrome


@pytest.mark.parametrize("sdk", PAGES)
@pytest.mark.parametrize("in_batches", [False, True], ids=["single", "batches"])
def test_a_browser(sdk: str, in_batches: bool, shop: Shop, browser: Chrome) -> None:
    """Page, track, alias and identify; a reload; offline and back. No event is lost, and each has its own time."""
    began = time.time_ns() // 1_000_000
    shop.open(browser, sdk, BATCHES[sdk] if in_batches else None)
    browser.execute_script(CALLS)
    eventually(lambda: len(shop.events("After")) == 1, 20, "the events arrive")
    by_type = {each["type"]: each for each in shop.all() if each.get("event") != "After"}
    assert by_type.keys() == {"page", "track", "alias", "identify"}
    assert by_type["track"]["topic"] == "carts"
    assert {by_type[kind]["topic"] for kind in ("page", "alias", "identify")} == {"visits"}
    assert (by_type["alias"]["userId"], by_type["alias"]["previousId"]) == ("u1", by_type["page"]["anonymousId"])
    assert by_type["identify"]["userId"] == "u1"
    assert "HeadlessChrome" in by_type["page"]["context"]["userAgent"]
    assert "writeKey" not in by_type["page"]
    for each in by_type.values():
        stated = parse_instant(each.get("timestamp") or each["originalTimestamp"]) or 0
        assert began <= stated <= (parse_instant(each["receivedAt"]) or 0)

    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": True})
    browser.execute_script("analytics.track('Offline')")
    time.sleep(1)
    assert shop.events("Offline") == []
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    eventually(lambda: bool(shop.events("Offline")), 40, "what was held offline arrives")

    shop.open(browser, sdk, BATCHES[sdk] if in_batches else None)
    browser.execute_script("analytics.track('Again'); location.reload()")
    eventually(lambda: bool(shop.events("Again")), 40, "what was held at the reload arrives")
    severe = [entry["message"] for entry in browser.get_log("browser") if "CORS" in entry["message"]]  # type: ignore[no-untyped-call]
    assert severe == []


NODE = """
import { createRequire } from 'node:module'
const { Analytics } = createRequire(process.argv[2])('@segment/analytics-node')
const [gateway, key, count] = process.argv.slice(3)
const analytics = new Analytics({ writeKey: key, host: gateway, flushAt: 5, flushInterval: 200, maxRetries: 20 })
analytics.on('error', (error) => console.error('lost', error.code, String(error.reason)))
analytics.identify({ userId: 'u1', traits: { email: 'a@example.com' } })
analytics.alias({ userId: 'u1', previousId: 'a1' })
for (let number = 0; number < Number(count); number++) {
  const timestamp = new Date(1796000000000 + number)
  analytics.track({ userId: 'u1', event: 'Of Node', messageId: `node-${number}`, timestamp })
  await new Promise((resolve) => setTimeout(resolve, 20))
}
await analytics.closeAndFlush({ timeout: 120000 })
"""
PYTHON = """
import sys, time
from datetime import UTC, datetime, timedelta
from segment.analytics.client import Client
gateway, key, count = sys.argv[1:]
client = Client(key, host=gateway, gzip=True, upload_size=5, upload_interval=0.2,
                on_error=lambda error, batch: print("lost", error, file=sys.stderr))
client.identify("u1", {"email": "a@example.com"})
client.alias("a1", "u1")
for number in range(int(count)):
    at = datetime(2026, 12, 1, tzinfo=UTC) + timedelta(milliseconds=number)
    client.track("u1", "Of Python", {}, message_id=f"python-{number}", timestamp=at)
    time.sleep(0.02)
client.flush()
client.join()
"""


def node(shop: Shop, count: int) -> subprocess.CompletedProcess[str]:
    script = shop.folder / "run.mjs"
    script.write_text(NODE)
    base = str(sdks.packages() / "x.js")
    command = ["node", str(script), base, f"http://{shop.parts.address}", SHOP_KEY, str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


def python(shop: Shop, count: int) -> subprocess.CompletedProcess[str]:
    script = shop.folder / "run.py"
    script.write_text(PYTHON)
    command = [sys.executable, str(script), f"http://{shop.parts.address}", SHOP_KEY, str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


SERVER_SDKS: dict[str, Callable[[Shop, int], subprocess.CompletedProcess[str]]] = {"node": node, "python": python}


def sent_by(shop: Shop, name: str, count: int) -> Counter[str]:
    done = SERVER_SDKS[name](shop, count)
    assert done.returncode == 0, done.stderr
    assert "lost" not in done.stderr  # an SDK may say that it tries again
    return Counter(each["messageId"] for each in shop.events(f"Of {name.title()}"))


@pytest.mark.parametrize("name", SERVER_SDKS)
def test_a_server(name: str, shop: Shop) -> None:
    """Events come once, with the time that the program states; identify and alias are vouched for."""
    count = 20
    assert sent_by(shop, name, count) == {f"{name}-{number}": 1 for number in range(count)}
    first, *_ = shop.events(f"Of {name.title()}")
    assert (parse_instant(first["timestamp"]) or 0) < (parse_instant(first["receivedAt"]) or 0)
    vouched = [each for each in shop.all() if each["topic"] == "profiles"]
    assert {each["type"] for each in vouched} == {"identify", "alias"}


@pytest.mark.parametrize("name", SERVER_SDKS)
@pytest.mark.parametrize(
    ("kills", "away_s"), [(2, 3.0), pytest.param(10, 30.0, marks=pytest.mark.nightly)], ids=["2", "10"]
)
def test_a_server_sdk_loses_nothing(name: str, kills: int, away_s: float, mortal_shop: Shop) -> None:
    """The gateway is killed and Kafka is away while the SDK sends; each event arrives, under its own message id."""
    count = 100 + 60 * kills
    failures: list[BaseException] = []
    received: list[Counter[str]] = []

    def run() -> None:
        try:
            received.append(sent_by(mortal_shop, name, count))
        except BaseException as error:  # noqa: BLE001  # raised again below, in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(kills):
        time.sleep(1.0)
        mortal_shop.parts.gateway.kill()
        mortal_shop.parts.gateway.start(**ENVIRONMENT)
    time.sleep(1.0)
    mortal_shop.parts.kafka.kill9()
    time.sleep(away_s)
    mortal_shop.parts.kafka.restart()
    thread.join()
    assert not failures, failures
    assert received[0].keys() == {f"{name}-{number}" for number in range(count)}


SENDING = """
let number = 0;
const timer = setInterval(() => {
  analytics.track('Of Page', { number: number++ });
  if (number === arguments[0]) clearInterval(timer);
}, 50);
"""


@pytest.mark.nightly
@pytest.mark.parametrize("sdk", PAGES)
def test_a_browser_loses_nothing(sdk: str, mortal_shop: Shop, browser: Chrome) -> None:
    """The gateway is killed ten times and Kafka is away for 30 s; each event arrives, and counts once by its id."""
    count = 300
    mortal_shop.open(browser, sdk)
    browser.execute_script(SENDING, count)
    for _ in range(10):
        time.sleep(1.0)
        mortal_shop.parts.gateway.kill()
        mortal_shop.parts.gateway.start(**ENVIRONMENT)
    time.sleep(1.0)
    mortal_shop.parts.kafka.kill9()
    time.sleep(30.0)
    mortal_shop.parts.kafka.restart()

    def ids() -> dict[int, set[str]]:
        arrived: dict[int, set[str]] = {}
        for each in mortal_shop.events("Of Page"):
            arrived.setdefault(each["properties"]["number"], set()).add(each["messageId"])
        return arrived

    eventually(lambda: ids().keys() == set(range(count)), 180, "all that the SDK holds arrives")
    assert {len(of_number) for of_number in ids().values()} == {1}
