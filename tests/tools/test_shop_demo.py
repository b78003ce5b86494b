"""`scripts/demo --shop` as a person walks through it, in a real Chromium.

Screenshots are kept in ``.cache/screens``.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browsers import headless
from tests.support.patience import eventually

SCREENS = Path(__file__).parents[2] / ".cache" / "screens"
START_S = 90.0
SPOKEN_TO_S = 20.0
# Longer than a cart is left alone until it counts as abandoned, the grace, and the delay of its mail.
ALL_WOULD_HAVE_COME_S = 16.0
ADDRESS = "kim@example.com"


class ShopDemo(NamedTuple):
    """The running demo, and where its pages are."""

    process: subprocess.Popen[str]
    shop: str
    mailbox: str
    operations: str

    def mails(self) -> list[dict[str, Any]]:
        """All mails that came."""
        with urllib.request.urlopen(f"{self.shop}/api/mails", timeout=10) as answer:
            mails: list[dict[str, Any]] = json.loads(answer.read())
            return mails


@pytest.fixture
def demo() -> Iterator[ShopDemo]:
    """The demo of a shop, as a process of its own."""
    command = [sys.executable, "-u", "-m", "demos.main", "--shop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield ShopDemo(process, *addresses(process))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()


def addresses(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    """Wait until the demo has said where its pages are."""
    printed, until = "", time.monotonic() + START_S
    while "no mail comes" not in printed:
        line = process.stdout.readline() if process.stdout is not None else ""
        assert line, printed
        assert time.monotonic() < until, printed
        printed += line
    shop, mailbox, operations = re.findall(r"http://\S+", printed)[-3:]
    return shop, mailbox, operations


class Visitor:
    """A person at one browser."""

    def __init__(self, browser: Chrome, demo: ShopDemo) -> None:
        self.browser = browser
        browser.get(demo.shop)
        WebDriverWait(browser, 20).until(lambda _: self.data("state") == "ready" and self.data("stream") == "open")

    def data(self, name: str) -> str | None:
        """A state of the page."""
        return self.browser.find_element(By.TAG_NAME, "body").get_attribute(f"data-{name}")

    def click(self, selector: str) -> None:
        """Click once it can be clicked."""
        WebDriverWait(self.browser, 10).until(
            lambda _: self.browser.find_element(By.CSS_SELECTOR, selector).is_displayed()
        )
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def sign_in(self) -> str:
        """Sign in; the id of this person."""
        self.click("#person")
        self.browser.find_element(By.ID, "email").send_keys(ADDRESS)
        self.click("#sign-in-form button")
        eventually(lambda: self.text("#person") == ADDRESS, 10, "the page knows who this is")
        return self.text("#id")

    def look(self, number: int, *, adds: bool = False) -> None:
        """Look at a product, and add it to the cart or not."""
        self.click(f"#products li:nth-child({number}) button")
        self.click("#add" if adds else "#product .close")
        eventually(lambda: not self.browser.find_element(By.ID, "product").is_displayed(), 5, "the dialog is closed")

    def text(self, selector: str) -> str:
        """What stands there."""
        return str(self.browser.find_element(By.CSS_SELECTOR, selector).text)

    def texts(self, selector: str) -> list[str]:
        """What stands in each of these, of which there may be none yet."""
        return [str(element.text) for element in self.browser.find_elements(By.CSS_SELECTOR, selector)]

    def bubble(self) -> str:
        """What the bubble says; "" while it does not show."""
        return self.text("#bubble")

    def save_screenshot(self, name: str) -> None:
        """Save a screenshot under this name."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(SCREENS / f"shop-{name}.png"))


@pytest.mark.slow
def test_the_shop(demo: ShopDemo) -> None:
    """A cart that is left brings the bubble and the mail; a purchase on another device stops the next mail."""
    with headless("--window-size=1280,1000") as browser, headless("--window-size=420,900") as phone:
        kim = Visitor(browser, demo)
        for number in (1, 2, 4):
            kim.look(number)
        eventually(lambda: "Not sure which one?" in kim.bubble(), 10, "three looks are answered, without a sign-in")
        assert "Stoneware teapot" in kim.bubble()
        kim.save_screenshot("comparing")
        person = kim.sign_in()
        kim.look(4, adds=True)
        kim.look(1, adds=True)
        eventually(lambda: not kim.bubble(), 10, "the bubble is silent once something is chosen")

        left_at = time.monotonic()
        eventually(lambda: "Your cart is still here" in kim.bubble(), SPOKEN_TO_S, "the bubble speaks of the cart")
        assert "Stoneware teapot" in kim.bubble()
        assert "Sencha Uji" in kim.bubble()
        assert "no cart activity since" in kim.bubble()
        eventually(lambda: len(demo.mails()) == 1, SPOKEN_TO_S, "the mail comes")
        assert time.monotonic() - left_at < SPOKEN_TO_S
        kim.save_screenshot("abandoned")
        (mail,) = demo.mails()
        assert mail["to"] == ADDRESS
        for words in ("Stoneware teapot", "Sencha Uji", "/c/", "/u/", f"{demo.shop}/pictures/teapot.svg"):
            assert words in mail["html"]
        mailbox_and_operations(kim, demo, person)

        other = Visitor(phone, demo)
        assert other.sign_in() == person
        again = Visitor(browser, demo)
        again.look(5, adds=True)
        other.click("#cart-button")
        eventually(
            lambda: not phone.find_elements(By.CSS_SELECTOR, "#buy:disabled"), 5, "the cart is that of the person"
        )
        other.click("#buy")
        eventually(lambda: "Thank you" in again.bubble(), 10, "the first device is told")
        other.save_screenshot("phone")
        time.sleep(ALL_WOULD_HAVE_COME_S)
        assert len(demo.mails()) == 1
        assert "cart" not in again.bubble()
        for each in (browser, phone):
            assert [entry for entry in each.get_log("browser") if entry["level"] == "SEVERE"] == []  # type: ignore[no-untyped-call]
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(90) == 0


def mailbox_and_operations(kim: Visitor, demo: ShopDemo, person: str) -> None:
    """The mail as a person sees it, and why it came as the operator sees it."""
    kim.browser.get(demo.mailbox)
    eventually(lambda: kim.texts(".subject") == ["You left something in your cart"], 10, "the mailbox shows the mail")
    frame = kim.browser.find_element(By.TAG_NAME, "iframe")
    kim.browser.switch_to.frame(frame)
    assert "Stoneware teapot" in kim.text("body")
    loaded = "return [...document.images].every((image) => image.naturalWidth > 0)"
    eventually(lambda: bool(kim.browser.execute_script(loaded)), 10, "its pictures load")
    kim.browser.switch_to.default_content()
    kim.save_screenshot("mailbox")
    kim.browser.get(demo.operations)
    kim.browser.find_element(By.ID, "lookup-id").send_keys(person)
    kim.click("#lookup-form button")
    eventually(lambda: "no cart activity since" in kim.text("main"), 10, "the operations page says why")
    kim.save_screenshot("operations")
