"""Signing in to the console through an OpenID provider, in a real browser.

Goal: who was asked in comes to the page that they wanted, and out again everywhere; who is refused
is told why and what to do; no other site signs a browser in, keeps a session, or uses one. Method:
Debian's Chromium between a real server and oidc-provider in a process of its own, whose forms are
filled as a person fills them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

import openid_provider
from console_browser import Tab, check_quiet, missing, tab
from console_pages import PHONE, WIDE
from gigawatt.app.service import CALLBACK_PATH, make_login
from gigawatt.identity.provider import parse_settings
from openid_provider import CLIENT_ID, CLIENT_SECRET, OpenidProcess, node_program

NOT_HERE = missing() or ("" if node_program() else "'make oidc' was not run")

pytestmark = [
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE or "all is there"),
    pytest.mark.timeout(600),
]

BY_PROVIDER = "Sign in with your organisation's login"
PEOPLE = {
    "ada": {"email": "ada@acme.example", "email_verified": True},
    "eve": {"email": "eve@evil.example", "email_verified": True},
}
RULES = "admit:\n  - {email_domain: acme.example, organisation: acme, role: member}\n"


@dataclass
class Site:
    """A world into which people log in, and a browser to do it with."""

    world: Any
    provider: OpenidProcess
    browser: Any

    def tab(self, size: dict[str, int] = WIDE, scheme: str = "light") -> Any:
        return tab(self.browser, self.world.url, size, scheme, provider_url=self.provider.issuer)


@pytest.fixture
def site(plain_world: Any, browser: Any, tmp_path: Path) -> Iterator[Site]:
    provider = OpenidProcess(tmp_path, plain_world.url + CALLBACK_PATH, PEOPLE)
    provider.start()
    text = (
        f"public_url: {plain_world.url}\nissuer: {provider.issuer}\nclient_id: {CLIENT_ID}\n"
        f"client_secret_variable: NOT_READ_HERE\n{RULES}"
    )
    settings = parse_settings(text, "login.yaml")
    plain_world.service.login = make_login(plain_world.service, settings, CLIENT_SECRET)
    try:
        yield Site(plain_world, provider, browser)
    finally:
        provider.stop()


def at_the_provider(page: Page, name: str) -> None:
    """Log in there with a name and any password, and agree."""
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def log_in(made: Tab, name: str, path: str = "/") -> None:
    """Open a page as somebody who is not signed in, and sign in on the way to it."""
    made.page.goto(made.url + path)
    made.page.get_by_role("link", name=BY_PROVIDER).click()
    at_the_provider(made.page, name)
    made.page.wait_for_url(made.url + "/**")


def session_cookie(context: BrowserContext) -> Any:
    return next((one for one in context.cookies() if one["name"] == "gw_session"), None)


def status_of(url: str, cookie: str) -> int:
    """What the service answers to who shows a cookie."""
    sent = {"Cookie": f"gw_session={cookie}"}
    return httpx.get(f"{url}/gw/v1/me", headers=sent, timeout=30.0).status_code


def test_who_signs_in_comes_to_the_page_that_was_asked_for_and_out_again(site: Site):
    with site.tab() as made:
        page = made.page
        log_in(made, "ada", "/clusters?all=1")
        made.settle()
        expect(page.locator("h1")).to_have_text("Clusters")
        assert page.url == f"{made.url}/clusters?all=1"
        expect(page.get_by_role("banner")).to_contain_text("ada@acme.example member")
        cookie = session_cookie(page.context)
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("link", name=BY_PROVIDER)).to_be_visible()
        assert status_of(made.url, cookie["value"]) == 401
        page.go_back()
        expect(page.get_by_role("link", name=BY_PROVIDER)).to_be_visible()
        check_quiet(made)


def test_signing_out_everywhere_ends_every_browser(site: Site):
    with site.tab() as desk, site.tab(PHONE) as phone:
        log_in(desk, "ada")
        log_in(phone, "ada")
        phone.settle()
        kept = [session_cookie(one.page.context)["value"] for one in (desk, phone)]
        desk.open("/sessions")
        expect(
            desk.page.get_by_role("table", name="Your sessions").get_by_role("row")
        ).to_have_count(3)
        assert desk.findings() == []
        desk.page.get_by_role("button", name="Sign out everywhere").click()
        expect(desk.page.get_by_role("link", name=BY_PROVIDER)).to_be_visible()
        assert [status_of(site.world.url, one) for one in kept] == [401, 401]
        phone.page.get_by_role("button", name="Menu").click()
        phone.page.get_by_role("link", name="SSH keys").click()
        expect(phone.page.get_by_text("Your session is over")).to_be_visible()
        check_quiet(desk)
        check_quiet(phone)


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_whoever_is_refused_reads_why_and_what_to_do(site: Site, size: Any, scheme: str):
    with site.tab(size, scheme) as made:
        page = made.page
        log_in(made, "eve", "/launch")
        expect(page.locator("h1")).to_have_text("You are not signed in")
        expect(page.locator("main")).to_contain_text("Ask an owner of your organisation")
        assert (
            page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "8px"
        )
        assert made.findings() == []
        assert not made.has_overflow()
        assert session_cookie(page.context) is None
        page.get_by_role("link", name="Other ways to sign in").click()
        page.get_by_label("API key").fill(site.world.keys["acme.owner"])
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.locator("h1")).to_have_text("Clusters")
        check_quiet(made)


def test_a_provider_that_is_down_is_named_and_keys_go_on_working(site: Site):
    site.provider.stop()
    with site.tab() as made:
        page = made.page
        page.goto(made.url)
        page.get_by_role("link", name=BY_PROVIDER).click()
        expect(page.locator("main")).to_contain_text("does not answer")
        expect(page.locator("main")).to_contain_text("API keys and sessions go on working")
        made.sign_in(site.world.keys["acme.owner"])
        check_quiet(made)


def test_a_planted_session_is_left_behind(site: Site):
    """Session fixation: whoever put a session of theirs into a browser has nothing after it."""
    with site.tab() as attacker, site.tab() as victim:
        attacker.sign_in(site.world.keys["other.member"])
        planted = session_cookie(attacker.page.context)["value"]
        victim.page.context.add_cookies(
            [{"name": "gw_session", "value": planted, "url": victim.url, "httpOnly": True}]
        )
        victim.page.goto(f"{victim.url}/gw/v1/login?return_to=/clusters")
        at_the_provider(victim.page, "ada")
        victim.settle()
        expect(victim.page.get_by_role("banner")).to_contain_text("ada@acme.example")
        assert session_cookie(victim.page.context)["value"] != planted
        assert status_of(victim.url, planted) == 401


def test_nobody_is_signed_in_as_somebody_else(site: Site):
    """Login CSRF: the attacker's own answer of the provider, opened in another browser."""
    callback = site.world.url + CALLBACK_PATH
    attacker = openid_provider.Browser("ada")
    own = attacker.visit(f"{site.world.url}/gw/v1/login", until=callback).headers["Location"]
    attacker.close()
    with site.tab() as victim:
        victim.page.goto(own)
        expect(victim.page.locator("main")).to_contain_text("not begun in this browser")
        assert session_cookie(victim.page.context) is None
        victim.page.get_by_role("link", name="Log in again").click()
        at_the_provider(victim.page, "ada")
        expect(victim.page.get_by_role("banner")).to_contain_text("ada@acme.example")


EVIL = """<!doctype html><title>A prize</title>
<form method="post" action="{url}/gw/v1/logout" target="_self"><button>Take it</button></form>
<script>
  window.asked = Promise.allSettled([
    fetch("{url}/gw/v1/logout", {{ method: "POST", credentials: "include", mode: "no-cors" }}),
    fetch("{url}/gw/v1/me", {{ credentials: "include" }}).then((answer) => answer.json()),
  ]).then((found) => found.map((one) => one.status));
</script>"""


def test_another_site_neither_reads_nor_uses_a_session(site: Site):
    """CSRF: scripts and a form of a page elsewhere, in the browser that is signed in."""
    with site.tab() as made:
        page = made.page
        log_in(made, "ada")
        made.settle()
        text = EVIL.format(url=made.url)
        page.route(
            "http://evil.example/", lambda route: route.fulfill(body=text, content_type="text/html")
        )
        page.goto("http://evil.example/")
        assert page.evaluate("window.asked")[1] == "rejected", (
            "what we answer is not theirs to read"
        )
        with page.expect_response("**/gw/v1/logout") as refused:
            page.get_by_role("button", name="Take it").click()
        assert refused.value.status in {401, 403}
        made.open("/clusters")
        expect(page.get_by_role("banner")).to_contain_text("ada@acme.example")
