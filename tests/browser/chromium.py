"""The system's Chromium, and pages of it that notice everything they should not do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = f"there is no Chromium on this machine (looked for {', '.join(NAMES)})"


def chromium() -> str | None:
    """The program, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser, ended with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],  # as root Chromium refuses to start with one
            env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A context whose pages take down what no page of ours may do: errors, dialogs, requests to other hosts."""

    def __init__(self, browser: Browser, url: str, **options) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(15_000)
        self.bad: list[str] = []
        self.context.on("request", self._requested)
        self.context.on("page", self._opened)

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.goto(path)
        return page

    def close(self) -> None:
        self.context.close()

    def _opened(self, page: Page) -> None:
        page.on("console", lambda message: self.bad.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.bad.append(str(error)))
        page.on("dialog", self._asked)

    def _asked(self, dialog) -> None:
        self.bad.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.bad.append(f"request to {request.url}")


def axe_script() -> Path:
    """axe-core as `make test` installs it beside the tests."""
    return Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
