"""A real browser on the console: Debian's Chromium, driven by Playwright."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from gigawatt.api import console

ROOT = Path(__file__).parents[2]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or ""

WAIT_MS = 30_000.0
"""Longest wait for something on a page: machines of tests are busy."""

Motion = Literal["no-preference", "reduce"]

expect.set_options(timeout=WAIT_MS)


def missing() -> str:
    """What is not there to run a browser on the console; empty if all is."""
    if not CHROMIUM:
        return "no chromium"
    if not (console.FOLDER / "index.html").is_file():
        return "the console is not built: make console"
    return "" if AXE.is_file() else "no axe-core: make check fetches it"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as driver:
        # As root, as in CI, Chromium cannot make its own sandbox.
        only_here = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", only_here])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """One page of a browser that notes whatever should not happen.

    Fields: where people log in, whose own pages are not judged; requests of our pages to another
    host, which are broken off; errors of scripts and of the policy.
    """

    page: Page
    url: str
    provider_url: str = "about:"
    elsewhere: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page and wait until nothing of it is on its way any more."""
        self.page.goto(self.url + path)
        self.settle()

    def settle(self) -> None:
        """Wait for a title, and for everything that says that it is loading."""
        self.page.wait_for_selector("h1")
        expect(self.page.locator(".loading, [aria-busy=true]")).to_have_count(0)

    def sign_in(self, key: str) -> None:
        """Sign in with an API key."""
        self.page.goto(self.url)
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_selector(".top")
        self.settle()

    def has_overflow(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(
            self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        )

    def findings(self) -> list[str]:
        """What axe finds that is serious or worse."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        # Only what is violated is described; to describe what passes takes axe longer.
        found: list[dict[str, Any]] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations)"
        )
        return [
            f"{one['id']}: {one['help']}: {json.dumps([node['html'] for node in one['nodes'][:3]])}"
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]


@contextmanager
def tab(
    browser: Browser,
    url: str,
    size: dict[str, int],
    scheme: str = "light",
    *,
    provider_url: str = "about:",
    motion: Motion = "reduce",
) -> Iterator[Tab]:
    """A page of its own, with its own cookies, in a window of a size."""
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion=motion,
    )
    context.set_default_timeout(WAIT_MS)
    made = Tab(context.new_page(), url, provider_url)

    def judge(request: Request) -> None:
        is_ours = request.url.startswith((f"{url}/", provider_url, "data:", "blob:"))
        if not is_ours and not made.page.url.startswith(provider_url):
            made.elsewhere.append(request.url)

    def note(message: ConsoleMessage) -> None:
        # A refused request is also said here; what the page makes of it is tested by itself.
        is_ours = not message.page or not message.page.url.startswith(provider_url)
        if is_ours and message.type == "error" and "Failed to load resource" not in message.text:
            made.faults.append(message.text)

    context.on("request", judge)
    made.page.on("console", note)
    made.page.on("pageerror", lambda error: made.faults.append(str(error)))
    try:
        yield made
    finally:
        context.close()


def check_quiet(made: Tab) -> None:
    """Nothing was asked of another host, and neither scripts nor the policy complained."""
    assert made.elsewhere == []
    assert made.faults == []


def button(page: Page, name: str) -> Locator:
    """The button that is called so."""
    return page.get_by_role("button", name=name, exact=True)
