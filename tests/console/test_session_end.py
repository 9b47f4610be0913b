"""What happens to somebody's work when their session ends under it.

Goal: whoever was long at a form signs in again over it and goes on, with what they typed and what
was open; meanwhile the page tells nothing, and somebody else begins anew. Method: a real browser
on a real server; the session is ended at the server, as idling does it.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from console_browser import Tab, missing, tab
from console_pages import PHONE, WIDE

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"


def end_all_sessions(world: Any, name: str) -> None:
    """Every session of an organisation's accounts is over."""
    for found in world.ok(f"{name}.owner", "GET", "/sessions")["items"]:
        world.ok(f"{name}.owner", "DELETE", f"/sessions/{found['id']}")


def sign_in_again(made: Tab, key: str) -> None:
    dialog = made.page.get_by_role("dialog", name="Your session is over")
    dialog.get_by_label("API key").fill(key)
    dialog.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_what_was_typed_is_there_after_signing_in_again(
    plain_world: Any, browser: Any, size: dict[str, int], scheme: str
):
    with tab(browser, plain_world.url, size, scheme) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.member"])
        made.open("/ssh-keys")
        page.get_by_label("Public key").fill(PUBLIC_KEY)
        page.get_by_label("Name").fill("my laptop")
        end_all_sessions(plain_world, "acme")
        page.get_by_role("button", name="Add the key").click()
        over = page.get_by_role("dialog", name="Your session is over")
        expect(over).to_contain_text("Sign in again as member")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(over).to_be_visible()
        assert made.findings() == []
        assert not made.has_overflow()
        sign_in_again(made, plain_world.keys["acme.member"])
        expect(over).to_have_count(0)
        expect(page.get_by_label("Public key")).to_have_value(PUBLIC_KEY)
        page.get_by_role("button", name="Add the key").click()
        expect(page.get_by_role("table", name="SSH keys")).to_contain_text("my laptop")
        expect(page.locator(".live-mark.live")).to_be_visible()
        assert (made.elsewhere, made.faults) == ([], [])


def test_a_dialog_that_was_open_stays_open(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.owner"])
        made.open("/members")
        page.get_by_role("button", name="Make a key").click()
        form = page.get_by_role("dialog", name="Make a key")
        form.get_by_label("Name").fill("nightly")
        end_all_sessions(plain_world, "acme")
        form.get_by_role("button", name="Make the key").click()
        sign_in_again(made, plain_world.keys["acme.owner"])
        expect(page.get_by_text("Your session is over")).to_have_count(0)
        expect(form.get_by_label("Name")).to_have_value("nightly")
        form.get_by_role("button", name="Make the key").click()
        expect(form).to_contain_text("it is shown once")
        assert made.faults == []


def test_somebody_else_begins_anew(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.owner"])
        made.open("/ssh-keys")
        page.get_by_label("Name").fill("of acme alone")
        end_all_sessions(plain_world, "acme")
        page.get_by_role("link", name="Clusters", exact=True).click()
        sign_in_again(made, plain_world.keys["other.member"])
        expect(page.get_by_role("banner")).to_contain_text("member")
        expect(page.locator("h1")).to_have_text("Clusters")
        expect(page.get_by_text("Your session is over")).to_have_count(0)
        assert "of acme alone" not in page.content()


def test_nothing_can_be_read_while_the_session_is_over(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.owner"])
        made.open("/quotas")
        end_all_sessions(plain_world, "acme")
        page.get_by_role("link", name="Budgets").click()
        expect(page.get_by_text("Your session is over")).to_be_visible()
        seen = page.evaluate(
            """() => {
              const dialog = document.querySelector("dialog.session-over");
              const ground = getComputedStyle(dialog, "::backdrop").backgroundColor;
              return [ground, document.elementFromPoint(5, 5) === dialog];
            }"""
        )
        assert seen == ["rgb(245, 246, 248)", True], "the ground lies over everything"
        page.get_by_role("button", name="Leave this page").click()
        expect(page.locator("h1")).to_have_text("Gigawatt")
