"""A real Chromium for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


@contextmanager
def headless(*arguments: str) -> Iterator[Chrome]:
    """A headless browser, which keeps what its pages complain of. Without one a test fails in CI, or is skipped."""
    driver = shutil.which("chromedriver")
    if driver is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no chromedriver: scripts/chromium", pytrace=False)
        pytest.skip("there is no chromedriver: scripts/chromium")
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options=options, service=Service(driver)) as chrome:
        yield chrome
