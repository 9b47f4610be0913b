"""Prices, reservations, invoices and budgets in a real browser.

Goal: whoever sets a price, reserves, corrects an invoice or bids sees first what it changes and
costs, and reads why something is refused; nobody is shut out by what axe can find. Method: Debian's
Chromium on a real server with a rate card and a closed month; each form once as it should be and
once as it should not.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from console_browser import button, check_quiet, missing, tab
from console_pages import PHONE, WIDE
from gigawatt.market.month import month_at, month_before

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"
CARD = (
    {"term": "on_demand", "price_micro_usd_per_gpu_hour": 2_500_000},
    {"term": "reserved", "price_micro_usd_per_gpu_hour": 2_000_000, "month_count_min": 1},
    {"term": "spot", "price_micro_usd_per_gpu_hour": 800_000},
)


@pytest.fixture
def priced_world(plain_world: Any) -> Any:
    """A world in which acme may have the whole fleet, at the prices of a card."""
    rows = [{"gpu_type": "h100", **row} for row in CARD]
    plain_world.ok("operator", "POST", "/rates", {"rates": rows})
    path = f"/projects/{plain_world.ids['acme']['project']}/quota"
    plain_world.ok("operator", "PUT", path, {"granted_gpu_count": 512})
    return plain_world


def reserved(world: Any, name: str, days: int, **more: Any) -> str:
    """A booked reservation of acme that begins in some days; its id."""
    wish = {"project_id": world.ids["acme"]["project"], "name": name, "gpu_count": 64}
    wish |= {"gpu_type": "h100", "months": 1, **more}
    if days:
        wish["from_at"] = (
            datetime.fromtimestamp(world.service.now_s(), UTC) + timedelta(days=days)
        ).isoformat()
    made: dict[str, Any] = world.ok("acme.owner", "POST", "/reservations", wish)
    return str(made["id"])


def invoiced(world: Any) -> str:
    """The invoice of acme for last month: 1,000 dollars and 19 % of tax; its id."""
    this = month_at(int(world.service.now_s() * 1000))
    last = month_before(this)
    path = f"/organisations/{world.ids['acme']['organisation']}/contract-items"
    least = {"kind": "minimum", "name": "least", "amount_micro_usd": 10**9}
    tax = {"kind": "tax", "name": "VAT 19 %", "rate_ppm": 190_000}
    for body in (least, tax):
        world.ok("operator", "POST", path, {**body, "from_month": last, "to_month": this})
    world.ok("operator", "POST", f"/billing/months/{last}:close")
    (found,) = world.ok("operator", "GET", "/invoices")["items"]
    return str(found["id"])


def test_a_price_is_set_after_what_it_changes_was_seen(priced_world: Any, browser: Any):
    body = {"project_id": priced_world.ids["acme"]["project"], "name": "train", "gpu_count": 64}
    made_cluster = priced_world.ok("acme.owner", "POST", "/clusters", body)
    priced_world.ended(made_cluster["operation_id"])
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["operator"])
        made.open("/rates")
        row = page.get_by_role("row", name=re.compile("on demand"))
        row.get_by_role("link", name="New price").click()
        effect = page.locator(".plan-card")
        expect(effect).to_contain_text("the same price")
        expect(effect).to_contain_text("1 cluster with 64 GPUs runs so now and keeps its price")
        page.get_by_label("Price of a GPU-hour, in dollars").fill("two")
        expect(button(page, "Set the price")).to_be_disabled()
        page.get_by_label("Price of a GPU-hour, in dollars").fill("2.25")
        page.get_by_role("combobox", name="For", exact=True).select_option(label="acme")
        expect(effect).to_contain_text("$0.25 less (10.0%)")
        page.get_by_label("In force from").fill("2025-01-01T00:00")
        button(page, "Set the price").click()
        expect(page.get_by_role("alert")).to_contain_text("which is past")
        page.get_by_label("In force from").fill("")
        button(page, "Set the price").click()
        new = page.get_by_role("row", name=re.compile("acme, at every site"))
        expect(new).to_contain_text("$2.25")
        assert len(priced_world.ok("other.owner", "GET", "/rates")["items"]) == 3
        new.get_by_role("link", name="New price").click()
        page.get_by_role("combobox", name="For", exact=True).select_option(label="Everybody")
        expect(effect).to_contain_text("Who keeps another price")
        expect(effect).to_contain_text("acme, at every site: $2.25")
        made.open("/rates")
        button(page, "End rat_4").click()
        button(page, "End it").click()
        expect(new).to_have_count(0)
        check_quiet(made)


def test_a_term_is_planned_by_a_member_booked_by_the_owner_and_used(
    priced_world: Any, browser: Any
):
    with tab(browser, priced_world.url, PHONE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.member"])
        made.open("/reservations/new")
        page.get_by_label("GPUs", exact=True).fill("12")
        page.keyboard.press("Tab")
        expect(page.get_by_role("alert")).to_contain_text("has 8 GPUs a node")
        page.get_by_label("GPUs", exact=True).fill("128")
        page.keyboard.press("Tab")
        plan = page.locator(".plan-card")
        expect(plan).to_contain_text("$184,320.00")
        expect(plan).to_contain_text("by a term of 1 month")
        link = page.get_by_role("link", name="this plan").get_attribute("href")
        assert link is not None
        assert not made.has_overflow()
        check_quiet(made)
    assert priced_world.ok("acme.owner", "GET", "/reservations")["items"] == []
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.owner"])
        made.open(link)
        button(page, "Book 128 GPUs for $184,320.00").click()
        expect(page.locator(".lead")).to_contain_text("running")
        page.get_by_role("link", name="Launch on it").click()
        plan = page.locator(".plan-card")
        expect(plan).to_contain_text("its reservation pays for it")
        page.get_by_label("GPUs", exact=True).fill("64")
        page.keyboard.press("Tab")
        button(page, "Launch 64 GPUs").click()
        expect(page.locator(".note.good")).to_contain_text("It is yours")
        made.open(link)
        table = page.get_by_role("table", name="Clusters of the reservation")
        expect(table).to_contain_text("train")
        made.open("/launch")
        page.get_by_label("Term").select_option(value="reserved")
        page.get_by_label("Reservation", exact=True).select_option(
            label="next-model: 64 of 128 h100 unused"
        )
        expect(button(page, "Launch 64 GPUs")).to_be_enabled()
        check_quiet(made)


def test_the_calendar_leads_to_a_reservation_and_giving_up_says_its_cost(
    priced_world: Any, browser: Any
):
    reserved(priced_world, "far", 30)
    near_id = reserved(priced_world, "near", 2)
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.owner"])
        made.open("/reservations")
        place = page.get_by_role("region", name="h100 at site-a")
        expect(place).to_contain_text("128 of 512 GPUs at most")
        page.get_by_label("Shown").select_option(label="A year")
        place.get_by_role("link", name=re.compile("^far, ")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("far")
        expect(page.locator("main")).to_contain_text("Now that costs nothing")
        button(page, "Give it up").click()
        expect(page.get_by_role("alertdialog")).to_contain_text("64 GPUs are no longer promised")
        page.get_by_label("Type far to confirm").fill("far")
        page.get_by_role("alertdialog").get_by_role("button", name="Give it up").click()
        expect(page.locator(".note.warn")).to_contain_text("That cost nothing")
        made.open(f"/reservations/{near_id}")
        expect(page.locator("main")).to_contain_text("Now that costs $21,504.00")
        made.open("/reservations")
        expect(page.get_by_role("table", name="Reservations").get_by_role("row")).to_have_count(2)
        check_quiet(made)


def test_a_credit_note_is_seen_before_it_is_written(priced_world: Any, browser: Any):
    invoice_id = invoiced(priced_world)
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["operator"])
        made.open(f"/invoices/{invoice_id}")
        page.get_by_label("Reason").fill("a node was slow")
        page.get_by_label("Before taxes").fill("5,000")
        button(page, "See what it writes").click()
        expect(page.get_by_role("alert")).to_contain_text("are left")
        page.get_by_label("Before taxes").fill("100")
        expect(page.get_by_role("alert")).to_have_count(0)
        button(page, "See what it writes").click()
        entry = page.get_by_role("table", name="Entry in the ledger")
        for words in ("Income:Corrections", "Liabilities:Tax:VAT-19", "Assets:Receivable"):
            expect(entry).to_contain_text(words)
        expect(page.locator("main")).to_contain_text("$1,071.00, now $1,190.00")
        assert len(priced_world.ok("operator", "GET", "/invoices")["items"]) == 1
        button(page, "Write the credit note").click()
        expect(button(page, "Write it")).to_be_disabled()
        page.get_by_label(f"Type {invoice_id} to confirm").fill(invoice_id)
        button(page, "Write it").click()
        expect(page.locator(".note.good")).to_contain_text("It credits $119.00 with taxes")
        expect(page.get_by_role("table", name="Credit notes")).to_contain_text("-$119.00")
        check_quiet(made)
    with tab(browser, priced_world.url, PHONE, "dark") as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.billing"])
        made.open(f"/invoices/{invoice_id}")
        expect(page.get_by_role("table", name="Credit notes")).to_contain_text("CN-")
        expect(page.get_by_text("Take it back")).to_have_count(0)
        assert made.findings() == []
        assert not made.has_overflow()
        check_quiet(made)


def test_a_budget_refuses_a_launch_that_would_pass_it_until_it_is_gone(
    priced_world: Any, browser: Any
):
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.owner"])
        made.open("/budgets")
        card = page.locator(".card", has_text="Project p")
        card.get_by_label("Budget of each month, in dollars").fill("10")
        card.get_by_label("Tell at these percents").fill("ninety")
        expect(card.get_by_role("button", name="Set the budget")).to_be_disabled()
        card.get_by_label("Tell at these percents").fill("90, 100")
        card.get_by_label("Refuse launches that would pass it").check()
        card.get_by_role("button", name="Set the budget").click()
        expect(card).to_contain_text("of $10.00, a cap")
        expect(card).to_contain_text("90, 100 percent")
        made.open("/launch")
        expect(page.get_by_role("alert")).to_contain_text("The cap of project")
        made.open("/budgets")
        card.get_by_role("button", name="Have no budget").click()
        expect(card).to_contain_text("never")
        made.open("/launch")
        expect(button(page, "Launch 64 GPUs for $160.00/h")).to_be_enabled()
        check_quiet(made)
    with tab(browser, priced_world.url, PHONE) as made:
        made.sign_in(priced_world.keys["acme.member"])
        made.open("/budgets")
        expect(made.page.locator("main")).to_contain_text("The owner of your organisation sets it")
        check_quiet(made)


def test_spot_is_bid_for_after_what_giving_back_means_was_read(priced_world: Any, browser: Any):
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.member"])
        made.open("/launch")
        page.get_by_label("Term").select_option(value="spot")
        expect(page.locator(".plan-card")).to_contain_text("two minutes before or longer")
        expect(button(page, "Bid for 64 GPUs")).to_be_disabled()
        most = page.get_by_label("Most that you pay for a GPU-hour, in dollars")
        most.fill("0.10")
        button(page, "Bid for 64 GPUs").click()
        expect(page.get_by_role("alert")).to_be_visible()
        most.fill("1.20")
        expect(page.locator(".plan-card")).to_contain_text("$76.80/h")
        button(page, "Bid for 64 GPUs").click()
        expect(page.locator("h1")).to_have_text("Clusters")
        row = page.get_by_role("table", name="Clusters").get_by_role(
            "row", name=re.compile("train")
        )
        expect(row).to_contain_text("active")
        check_quiet(made)


WAYS = {
    "ssh_config": "Host train-0000",
    "nccl.env": "NCCL_IB_HCA",
    "slurm.sh": "slurmctld",
    "kubernetes-labels.yaml": "network.topology.nvidia.com",
    "torchrun.sh": "torchrun --nnodes=8",
}


@pytest.fixture
def cluster_id(priced_world: Any) -> str:
    """A cluster of acme with a key."""
    body = {"project_id": priced_world.ids["acme"]["project"], "name": "train", "gpu_count": 64}
    body["ssh_public_keys"] = [PUBLIC_KEY]
    made = priced_world.ok("acme.owner", "POST", "/clusters", body)
    priced_world.ended(made["operation_id"])
    return str(made["id"])


def test_a_cluster_says_what_it_costs_and_is_connected_to_in_five_ways(
    priced_world: Any, cluster_id: str, browser: Any
):
    with tab(browser, priced_world.url, WIDE) as made:
        page = made.page
        made.sign_in(priced_world.keys["acme.member"])
        made.open(f"/clusters/{cluster_id}")
        figures = page.locator(".figures")
        expect(figures).to_contain_text("$160.00/h")
        expect(figures).to_contain_text("Cost so far")
        made.open(f"/clusters/{cluster_id}?tab=connect")
        expect(page.get_by_role("table", name="Keys on the hosts")).to_contain_text("ada")
        for name, words in WAYS.items():
            with page.expect_download() as download:
                page.get_by_role("link", name=f"Download {name}", exact=True).click()
            assert download.value.suggested_filename == name
            assert words in download.value.path().read_text(encoding="utf-8")
        page.get_by_text("Let somebody in").click()
        expect(page.get_by_label("Commands that add a key")).to_contain_text("authorized_keys")
        assert made.findings() == []
        check_quiet(made)


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_filled_pages_of_money_are_open_to_all_and_fit(
    priced_world: Any, browser: Any, size: dict[str, int], scheme: str
):
    """As in the test of every page, where there is something to show."""
    running = reserved(priced_world, "running", 0)
    booked = reserved(priced_world, "booked", 400, growth_gpu_count=64, is_lent=True)
    invoice_id = invoiced(priced_world)
    with tab(browser, priced_world.url, size, scheme) as made:
        made.sign_in(priced_world.keys["operator"])
        found = {}
        for path in (
            "/rates",
            "/rates/new?follows=rat_1",
            "/reservations",
            f"/reservations/{running}",
            f"/reservations/{booked}",
            f"/launch?reservation={running}",
            "/invoices",
            f"/invoices/{invoice_id}",
            "/margin",
        ):
            made.open(path)
            found[path] = made.findings() + ["wider than its window"] * made.has_overflow()
        assert {path: lines for path, lines in found.items() if lines} == {}
        check_quiet(made)
