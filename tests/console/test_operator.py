"""The console of those who run a site and keep its books, in a real browser.

Goal: an operator finds a bad node on the map or in the list, takes it out, and sees its tenant get
another one; a month is closed after its plan; the map says what the fleet is, also to those who
cannot see it, and follows what others do. Method: Debian's Chromium on a real server, at a desk
and on a phone, in light and in dark; axe judges every page.
"""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console_browser import button, check_quiet, missing, tab
from console_pages import OPERATOR_PAGES, PHONE, WIDE
from gigawatt.market.month import month_at, month_before

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]


WHITE = 0xFFFFFFFF
"""A pixel of the card's colour in light."""


@pytest.fixture
def held_world(plain_world: Any) -> Any:
    """A world in which acme holds 64 GPUs."""
    body = {"project_id": plain_world.ids["acme"]["project"], "name": "train", "gpu_count": 64}
    made = plain_world.ok("acme.owner", "POST", "/clusters", body)
    plain_world.ended(made["operation_id"])
    found = plain_world.ok("operator", "GET", f"/clusters/{made['id']}")
    node_id = sorted(found["status"]["members"])[0]
    plain_world.ids["shown"] = {"cluster": made["id"], "node": node_id}
    return plain_world


def test_an_operator_takes_a_bad_node_out_and_its_tenant_gets_another(
    held_world: Any, browser: Any
):
    node_id = held_world.ids["shown"]["node"]
    with tab(browser, held_world.url, WIDE) as made:
        page = made.page
        made.sign_in(held_world.keys["operator"])
        expect(page.locator("h1")).to_have_text("Fleet map")
        made.open("/nodes")
        page.get_by_role("link", name=node_id, exact=True).click()
        made.settle()
        button(page, "Drain").click()
        expect(button(page, "Drain it")).to_be_disabled()
        page.get_by_label("Reason").fill("XID 79")
        button(page, "Drain it").click()
        expect(page.get_by_text("It is drained")).to_be_visible()
        expect(page.get_by_role("table", name="History")).to_contain_text("XID 79")
        button(page, "Give train another node").click()
        page.get_by_role("link", name="Watch it").click()
        expect(page.locator(".note.good")).to_be_visible()
        made.open(f"/nodes/{node_id}")
        expect(page.get_by_text("It is quarantined")).to_be_visible()
        expect(page.locator("main")).to_contain_text("Nobody.")
        made.open("/nodes?state=quarantined")
        expect(page.get_by_role("table", name="Nodes").get_by_role("row")).to_have_count(2)
        check_quiet(made)
    members = held_world.ok("operator", "GET", f"/clusters/{held_world.ids['shown']['cluster']}")
    assert node_id not in members["status"]["members"]
    assert len(members["status"]["members"]) == 8


def test_the_map_says_what_the_fleet_is_by_eye_by_key_and_by_table(held_world: Any, browser: Any):
    nodes = held_world.ok("operator", "GET", "/nodes?limit=500")["items"]
    with tab(browser, held_world.url, WIDE) as made:
        page = made.page
        made.sign_in(held_world.keys["operator"])
        made.open("/fleet")
        expect(page.locator("canvas[data-painted]")).to_be_visible()
        page.get_by_role("application").focus()
        page.keyboard.press("ArrowRight")
        said = page.locator(".map [aria-live]")
        expect(said).to_contain_text(f"{nodes[0]['id']}, available, train holds 8")
        page.keyboard.press("ArrowDown")
        expect(said).not_to_contain_text(f"{nodes[0]['id']},")
        before = colours(page)
        assert WHITE in before, "the ground of the map is that of its card"
        held_world.ok("operator", "POST", f"/nodes/{nodes[-1]['id']}:quarantine", {"reason": "x"})
        first = page.get_by_role("table", name="Racks").get_by_role("row").nth(1)
        expect(first).to_contain_text("quarantined")
        expect(first).to_contain_text(nodes[-1]["config"]["rack_id"])
        assert colours(page) - before
        for by in ("Tenant", "Health", "Utilisation"):
            page.get_by_label("Colour by").select_option(label=by)
            expect(page.locator(".legend li").first).to_be_visible()
        page.get_by_role("application").focus()
        page.keyboard.press("+")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(re.compile(r".+-n?\d+"))
        check_quiet(made)


def colours(page: Page) -> set[int]:
    """Colours that are in the canvas now."""
    found: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas.map-canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [...new Set(new Uint32Array(data.buffer))];
        }"""
    )
    return set(found)


def test_a_month_is_closed_after_its_plan(plain_world: Any, browser: Any):
    this = month_at(int(plain_world.service.now_s() * 1000))
    last = month_before(this)
    path = f"/organisations/{plain_world.ids['acme']['organisation']}/contract-items"
    least = {"kind": "minimum", "name": "least", "amount_micro_usd": 10**9}
    plain_world.ok("operator", "POST", path, {**least, "from_month": last, "to_month": this})
    with tab(browser, plain_world.url, WIDE) as made:
        page = made.page
        made.sign_in(plain_world.keys["operator"])
        made.open("/months")
        page.get_by_label("Month").fill(last)
        button(page, "Plan it").click()
        expect(page.get_by_role("table", name=f"Invoices of {last}")).to_contain_text("$1,000.00")
        assert plain_world.ok("operator", "GET", "/billing/months")["items"] == []
        button(page, f"Close {last}").click()
        expect(button(page, "Close the month")).to_be_disabled()
        page.get_by_label(f"Type {last} to confirm").fill(last)
        button(page, "Close the month").click()
        expect(page.locator(".note.good")).to_contain_text(f"{last} is closed")
        expect(page.get_by_role("table", name="Closed months")).to_contain_text("$1,000.00")
        button(page, "Check the books").click()
        expect(page.get_by_text("are as they were written")).to_be_visible()
        check_quiet(made)
    with tab(browser, plain_world.url, PHONE) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.billing"])
        made.open("/invoices")
        expect(page.locator(".figure-value")).to_have_text("$1,000.00")
        with page.expect_download() as download:
            page.get_by_role("link", name=re.compile("as CSV")).click()
        assert "least" in download.value.path().read_text(encoding="utf-8")
        page.get_by_role("table", name="Invoices").get_by_role("link").first.click()
        expect(page.get_by_role("table", name="Lines")).to_contain_text("$1,000.00")
        assert made.findings() == []
        assert not made.has_overflow()
        check_quiet(made)


def test_the_fleet_is_proven_and_reconciled(held_world: Any, browser: Any):
    with tab(browser, held_world.url, WIDE) as made:
        page = made.page
        made.sign_in(held_world.keys["operator"])
        made.open("/proofs")
        button(page, "Prove it now").click()
        expect(page.get_by_text("No tenant can reach another")).to_be_visible()
        made.open("/reconciler")
        button(page, "Reconcile now").click()
        expect(page.get_by_text("Everything is as it shall be")).to_be_visible()
        made.open("/audit")
        button(page, "Check the chain").click()
        expect(page.get_by_text("are as they were written")).to_be_visible()
        check_quiet(made)


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_every_page_of_the_operator_is_open_to_all_and_fits(
    held_world: Any, browser: Any, size: dict[str, int], scheme: str
):
    """No serious finding of axe, nothing wider than the window, nothing from elsewhere."""
    with tab(browser, held_world.url, size, scheme) as made:
        made.sign_in(held_world.keys["operator"])
        found = {}
        for name, path in OPERATOR_PAGES.items():
            made.open(path.format(**held_world.ids["shown"]))
            found[name] = made.findings() + ["wider than its window"] * made.has_overflow()
        assert {name: lines for name, lines in found.items() if lines} == {}
        check_quiet(made)


def test_tenants_have_no_pages_of_the_operator(held_world: Any, browser: Any):
    with tab(browser, held_world.url, WIDE) as made:
        made.sign_in(held_world.keys["acme.owner"])
        for path in OPERATOR_PAGES.values():
            made.open(path.format(**held_world.ids["shown"]))
            expect(made.page.locator("h1")).to_have_text("No such page")
        check_quiet(made)
