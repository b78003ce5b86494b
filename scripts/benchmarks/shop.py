"""Measures the demo's shop in a real Chromium: from a click on a product to the chat bubble, over all real parts.

    the click → analytics.js → gateway → Kafka → worker → Kafka → gateway → server-sent event → the bubble shows

Each run is another visitor, who looks at three products; the third click enters the segment that the bubble waits for.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.throughput import machine
from demos import shop
from local import servers

_READY = "return document.body.dataset.state === 'ready' && document.body.dataset.stream === 'open'"
_LOOK_TWICE = """
for (const number of [0, 1]) {
  document.querySelectorAll('#products button')[number].click(); document.getElementById('product').close()
}
"""
_CLICK = """
const done = arguments[0], bubble = document.getElementById('bubble'), clicked = performance.now()
new MutationObserver(() => bubble.hidden || done(performance.now() - clicked)).observe(bubble, { attributes: true })
document.querySelectorAll('#products button')[3].click()
"""
_WAIT_S = 20.0


def run(plan: Plan) -> BenchmarkCase:
    """Measure and print the delays of all visitors."""
    driver = shutil.which("chromedriver")
    if driver is None:
        sys.exit("there is no chromedriver: scripts/chromium")
    print(f"from a click to the bubble; {machine()}")
    samples = Samples()
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with servers.Kafka() as kafka, servers.Redis(aof=True) as redis:
        parts = {"brokers": kafka.address, "redis": redis.url}
        with shop.running(parts, lambda _: None) as addresses, Chrome(options, Service(driver)) as browser:
            for _ in range(plan.rounds):
                _visit(browser, addresses.shop)  # the first one of all loads what is cached afterwards
                delays = sorted(_visit(browser, addresses.shop) for _ in range(plan.visitors))
                samples.add_delays("click to bubble", delays)
                middle = delays[len(delays) // 2]
                print(f"  {len(delays)} visitors: p50 {middle:.0f} ms, longest {delays[-1]:.0f} ms", flush=True)
    conditions = f"{plan.visitors} visitors one after the other, in a headless Chromium on the same machine"
    return BenchmarkCase("shop", "click to bubble", conditions, samples.figures())


def _visit(browser: Chrome, address: str) -> float:
    """The delay (ms) of a visitor who is new."""
    browser.get(f"{address}/products.json")  # of the same origin, and without the SDK, which would store its id again
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.execute_script("localStorage.clear()")
    browser.get(address)
    _wait(lambda: bool(browser.execute_script(_READY)))
    browser.execute_script(_LOOK_TWICE)
    browser.set_script_timeout(_WAIT_S)
    return float(browser.execute_async_script(_CLICK))


def _wait(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + _WAIT_S
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError("the shop's page is not ready")
        time.sleep(0.02)
