"""The console for who uses no mouse, wants no motion, or prints.

Goal: a tenant goes from sign-in to a running cluster and back by keys alone, and sees where they
are; nothing turns for who asked for stillness; an invoice on paper is an invoice; every window has
a name of its own; a wrong address teaches. Method: a real browser in which only keys are pressed,
never an element from outside.
"""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console_browser import Tab, missing, tab
from console_pages import OPERATOR_PAGES, PAGES, PHONE, WIDE
from gigawatt.market.month import month_at, month_before

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]

TABS_MAX = 80
"""More presses of Tab than any page needs."""


FOCUSED = """() => {
  const focused = document.activeElement;
  const label = focused.labels?.[0]?.textContent ?? "";
  const style = getComputedStyle(focused);
  return [
    focused.getAttribute("aria-label") ?? (label || focused.textContent || ""),
    style.outlineStyle !== "none" || style.boxShadow !== "none" || style.stroke !== "none",
  ];
}"""


def go_to(page: Page, name: str) -> None:
    """Press Tab until what has this name has the focus, and shows it."""
    seen = []
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        found, is_shown = page.evaluate(FOCUSED)
        seen.append(found.strip())
        assert is_shown, f"{found!r} does not show that it has the focus"
        if re.match(name, found.strip()):
            return
    raise AssertionError(f"{name!r} cannot be reached; Tab goes to {seen}")


def press(page: Page, name: str, key: str = "Enter") -> None:
    """Go to what has this name, and press it."""
    go_to(page, name)
    page.keyboard.press(key)


def top(made: Tab) -> None:
    """A page that was loaded anew: Tab begins at its first element."""
    made.settle()
    made.page.reload()
    made.settle()


def test_a_tenant_goes_from_sign_in_to_a_cluster_and_back_by_keys(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        page.goto(plain_world.url)
        page.get_by_label("API key").wait_for()
        go_to(page, "API key")
        page.keyboard.type(plain_world.keys["acme.member"])
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Clusters")
        top(made)
        press(page, "Skip to the page")
        press(page, "Launch a cluster")
        expect(page.locator("h1")).to_have_text("Launch a cluster")
        go_to(page, "Name")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("by-keys")
        press(page, "8$")
        expect(page.locator(".plan-card")).to_contain_text("1 node")
        press(page, "Launch 8 GPUs")
        expect(page.locator(".note.good")).to_contain_text("It is yours")
        press(page, "Open the cluster")
        expect(page.get_by_role("tab", name="Overview")).to_be_visible()
        go_to(page, "Overview")
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.get_by_role("tab", name="Change")).to_have_attribute("aria-selected", "true")
        press(page, "Release this cluster")
        expect(page.get_by_role("alertdialog")).to_be_visible()
        go_to(page, "Type by-keys to confirm")
        page.keyboard.type("by-keys")
        page.keyboard.press("Enter")
        expect(page.locator(".note.good")).to_contain_text("Released")
        assert (made.elsewhere, made.faults) == ([], [])


def test_the_menu_of_a_phone_opens_and_closes_by_keys(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, PHONE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.member"])
        top(made)
        press(page, "Menu")
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)
        expect(page.get_by_role("button", name="Menu")).to_be_focused()
        page.keyboard.press("Enter")
        press(page, "SSH keys")
        expect(page.locator("h1")).to_have_text("SSH keys")


@pytest.mark.parametrize(("motion", "turns"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_for_who_wants_it_still(
    plain_world: Any, browser: Any, motion: Any, turns: bool
):
    with tab(browser, plain_world.url, WIDE, motion=motion) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.member"])
        page.route("**/gw/v1/projects**", lambda _route: None)
        page.goto(plain_world.url + "/quotas")
        expect(page.locator(".loading")).to_be_visible()
        moving = "document.getAnimations().some((one) => one.playState === 'running')"
        assert page.evaluate(moving) == turns


def test_every_window_has_a_name_of_its_own(plain_world: Any, browser: Any):
    body = {"project_id": plain_world.ids["acme"]["project"], "name": "train", "gpu_count": 16}
    made_cluster = plain_world.ok("acme.owner", "POST", "/clusters", body)
    plain_world.ended(made_cluster["operation_id"])
    found = plain_world.ok("operator", "GET", f"/clusters/{made_cluster['id']}")
    ids = {
        "cluster": made_cluster["id"],
        "operation": made_cluster["operation_id"],
        "node": found["status"]["members"][0],
    }
    pages = {name: path for name, path in (PAGES | OPERATOR_PAGES).items() if "?" not in path}
    with tab(browser, plain_world.url, WIDE) as made:
        made.page.goto(plain_world.url)
        made.page.get_by_label("API key").wait_for()
        titles = {"sign-in": made.page.title()}
        made.sign_in(plain_world.keys["operator"])
        for name, path in pages.items():
            made.open(path.format(**ids))
            titles[name] = made.page.title()
            assert made.page.locator("h1").count() == 1, name
    assert len(set(titles.values())) == len(titles), titles
    assert [one for one in titles.values() if not one.endswith(" · Gigawatt")] == []


def test_an_address_without_a_page_says_which_there_are(plain_world: Any, browser: Any):
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.member"])
        made.open("/cluster/clu_1")
        expect(page.locator("main")).to_contain_text("Nothing is at /cluster/clu_1")
        expect(page.get_by_role("listitem").filter(has_text="this one?")).to_have_text(
            "Clusters (this one?)"
        )
        made.open("/nodes/n1")
        expect(page.locator("main")).to_contain_text(
            "That page belongs to another role; you are signed in as member (member)."
        )
        page.locator("main").get_by_role("link", name="Clusters").click()
        expect(page.locator("h1")).to_have_text("Clusters")
        for path in ("/clusters/clu_gone", "/operations/op_gone"):
            made.open(path)
            expect(page.get_by_role("alert")).to_contain_text(path.rpartition("/")[2])
        assert made.faults == []


def test_an_invoice_on_paper_is_an_invoice(plain_world: Any, browser: Any):
    this = month_at(int(plain_world.service.now_s() * 1000))
    last = month_before(this)
    path = f"/organisations/{plain_world.ids['acme']['organisation']}/contract-items"
    least = {"kind": "minimum", "name": "least", "amount_micro_usd": 10**9}
    plain_world.ok("operator", "POST", path, {**least, "from_month": last, "to_month": this})
    plain_world.ok("operator", "POST", f"/billing/months/{last}:close")
    invoice = plain_world.ok("acme.owner", "GET", "/invoices")["items"][0]
    with tab(browser, plain_world.url, WIDE, "dark") as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.billing"])
        made.open(f"/invoices/{invoice['id']}")
        page.emulate_media(media="print", color_scheme="dark")
        for shown in (invoice["id"], "acme", "$1,000.00"):
            expect(page.locator("main")).to_contain_text(shown)
        expect(page.get_by_role("banner")).to_be_hidden()
        expect(page.get_by_role("navigation")).to_be_hidden()
        expect(page.get_by_role("link", name=re.compile("CSV"))).to_be_hidden()
        ink = page.evaluate("getComputedStyle(document.body).color")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ink, ground) == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
        paper = page.pdf(format="A4", print_background=True)
        assert paper.count(b"/Type /Page\n") == 1, "it fits on one sheet"
