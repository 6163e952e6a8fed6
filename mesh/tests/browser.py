"""A real browser for tests: Debian's Chromium, headless."""

import contextlib
import tempfile
from collections.abc import Iterator

from selenium import webdriver

from mesh.tests.tools import require_tool


@contextlib.contextmanager
def a_browser() -> Iterator[webdriver.Chrome]:
    chrome, driver_path = require_tool("chromium", "google-chrome"), require_tool("chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    with tempfile.TemporaryDirectory() as profile:
        # no sandbox: CI runs as root; the others keep it from asking the network for what it does not need
        for switch in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"):
            options.add_argument(f"--{switch}")
        options.add_argument("--disable-background-networking")
        options.add_argument("--disable-component-update")
        options.add_argument("--window-size=1400,1200")
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
        try:
            yield driver
        finally:
            driver.quit()
