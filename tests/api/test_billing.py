"""Money over HTTP: from a closed month to a file that somebody can pay from.

Goal: who pays sees what is owed and why, and nobody else; operators close and correct; a cap says
what it is; the books that come out are books for others too.
Method: a running server; the month before this one is closed with a contract, because nothing ran
in it; beancount reads the export.
"""

import pytest
from beancount import loader

from gigawatt.market.month import month_at, month_before

HOSTILE = "<img src=x onerror=alert(1)>"


def months(world):
    now = month_at(int(world.service.now_s() * 1000))
    return month_before(now), now


@pytest.fixture
def closed(quiet_world):
    """A world in which acme owes 1,000.00 and 19 % for last month."""
    world = quiet_world
    last, now = months(world)
    org = world.ids["acme"]["organisation"]
    path = f"/organisations/{org}/contract-items"
    least = {"kind": "minimum", "name": HOSTILE, "amount_micro_usd": 10**9}
    tax = {"kind": "tax", "name": "VAT 19 %", "rate_ppm": 190_000}
    for body in (least, tax):
        world.ok("operator", "POST", path, {**body, "from_month": last, "to_month": now})
    world.ok("operator", "POST", f"/billing/months/{last}:close")
    return world


def test_a_month_is_closed_and_its_invoice_is_seen_by_who_pays(closed):
    last, now = months(closed)
    again = closed.ok("operator", "POST", f"/billing/months/{last}:close")
    assert again == closed.ok("operator", "GET", "/billing/months")["items"][0]
    refused = closed.call("operator", "POST", f"/billing/months/{now}:close")
    assert (refused.status_code, "is not over" in refused.json()["detail"]) == (400, True)
    for who in ("acme.owner", "acme.billing", "operator"):
        (found,) = closed.ok(who, "GET", "/invoices")["items"]
        assert found["total_micro_usd"] == 1_190_000_000
        assert found["lines"] is None
        whole = closed.ok(who, "GET", f"/invoices/{found['id']}")
        assert sum(line["amount_micro_usd"] for line in whole["lines"]) == 1_190_000_000
    assert closed.ok("other.owner", "GET", "/invoices")["items"] == []
    org = closed.ids["acme"]["organisation"]
    assert closed.ok("other.owner", "GET", f"/invoices?organisation_id={org}")["items"] == []
    assert closed.call("acme.member", "GET", "/invoices").status_code == 403


def test_a_key_for_one_project_sees_no_invoice(closed):
    path = f"/accounts/{closed.ids['acme']['account.owner']}/api-keys"
    body = {"name": "narrow", "project_id": closed.ids["acme"]["project"]}
    closed.keys["narrow"] = closed.ok("operator", "POST", path, body)["key"]
    assert closed.ok("narrow", "GET", "/invoices")["items"] == []
    (found,) = closed.ok("acme.owner", "GET", "/invoices")["items"]
    assert closed.call("narrow", "GET", f"/invoices/{found['id']}").status_code == 403


@pytest.mark.parametrize(
    ("kind", "media", "start"),
    [
        ("pdf", "application/pdf", b"%PDF-"),
        ("html", "text/html", b"<!doctype html>"),
        ("csv", "text/csv", b"invoice_id,"),
    ],
)
def test_an_invoice_is_a_file_to_be_saved_without_markup_of_tenants(closed, kind, media, start):
    (found,) = closed.ok("acme.billing", "GET", "/invoices")["items"]
    path = f"/invoices/{found['id']}/file?file_format={kind}"
    response = closed.call("acme.billing", "GET", path)
    assert response.headers["Content-Type"].startswith(media)
    assert response.headers["Content-Disposition"] == (
        f'attachment; filename="{found["id"]}.{kind}"'
    )
    assert response.content.startswith(start)
    assert kind != "html" or b"<img" not in response.content


def test_credit_notes_and_payments_are_on_the_statement_and_the_books_are_whole(closed):
    org = closed.ids["acme"]["organisation"]
    (invoice,) = closed.ok("operator", "GET", "/invoices")["items"]
    path = f"/invoices/{invoice['id']}/credit-notes"
    body = {"reason": "wrong", "net_micro_usd": 100_000_000}
    plan = closed.ok("operator", "POST", f"{path}/plan", body)
    assert (plan["left_micro_usd"], plan["owed_micro_usd"]) == (900_000_000, 1_190_000_000)
    assert plan["owed_then_micro_usd"] == 1_071_000_000
    assert sum(posting["amount_micro_usd"] for posting in plan["postings"]) == 0
    assert closed.ok("operator", "GET", "/ledger/verdict")["entry_count"] == 1
    note = closed.ok("operator", "POST", path, body)
    assert note == plan["note"]
    assert (note["corrects"], note["total_micro_usd"]) == (invoice["id"], -119_000_000)
    paid = {"reference": "bank-1", "amount_micro_usd": 71_000_000}
    for _ in range(2):
        closed.ok("operator", "POST", f"/organisations/{org}/payments", paid)
    found = closed.ok("acme.owner", "GET", f"/organisations/{org}/statement")
    assert found["owed_micro_usd"] == 1_000_000_000
    assert found["line_count"] == 3
    more = closed.call("operator", "POST", path, {"reason": "more", "net_micro_usd": 10**9})
    assert more.status_code == 400
    verdict = closed.ok("operator", "GET", "/ledger/verdict")
    assert (verdict["is_whole"], verdict["entry_count"], verdict["invoice_count"]) == (True, 3, 2)
    text = closed.call("operator", "GET", "/ledger/beancount").text
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) == 3


def test_what_was_prepaid_is_given_back_and_a_commitment_is_taken_back(quiet_world):
    world = quiet_world
    last, now = months(world)
    org = world.ids["acme"]["organisation"]
    path = f"/organisations/{org}/contract-items"
    span = {"from_month": last, "to_month": now}
    for kind, amount in (("commitment", 500), ("minimum", 200)):
        body = {"kind": kind, "name": kind, "amount_micro_usd": amount * 10**6, **span}
        world.ok("operator", "POST", path, body)
    world.ok("operator", "POST", f"/billing/months/{last}:close")
    (invoice,) = world.ok("operator", "GET", "/invoices")["items"]
    assert invoice["total_micro_usd"] == 500 * 10**6
    notes = f"/invoices/{invoice['id']}/credit-notes"
    first = world.ok("operator", "POST", notes, {"reason": "x", "net_micro_usd": 50 * 10**6})
    assert first["total_micro_usd"] == 0
    items = world.ok("acme.owner", "GET", path)["items"]
    (sold,) = [item for item in items if item["kind"] == "commitment"]
    assert sold["used_micro_usd"] == 150 * 10**6
    second = world.ok("operator", "POST", notes, {"reason": "x", "item_id": sold["id"]})
    assert second["total_micro_usd"] == -350 * 10**6
    (after,) = [
        one for one in world.ok("operator", "GET", "/invoices")["items"] if not one["corrects"]
    ]
    assert (after["credited_micro_usd"], after["open_micro_usd"]) == (350 * 10**6, 150 * 10**6)
    assert world.call("operator", "POST", notes, {"reason": "x", "item_id": "x"}).status_code == 400
    text = world.call("operator", "GET", "/ledger/beancount").text
    assert loader.load_string(text)[1] == []


def test_what_is_agreed_late_or_wrong_is_refused(closed):
    last, now = months(closed)
    path = f"/organisations/{closed.ids['acme']['organisation']}/contract-items"
    body = {"kind": "credit", "name": "c", "amount_micro_usd": 5, "to_month": now}
    late = closed.call("operator", "POST", path, {**body, "from_month": last})
    assert (late.status_code, "closed up to" in late.json()["detail"]) == (400, True)
    wrong = {**body, "from_month": now, "rate_ppm": 5}
    assert closed.call("operator", "POST", path, wrong).status_code == 400
    price = {"product": "llm.tokens", "price_micro_usd": 5, "from_month": now}
    assert closed.call("operator", "POST", "/product-prices", price).status_code == 400
    whole = {**price, "unit": "million", "parts_per_unit": 10**6}
    closed.ok("operator", "POST", "/product-prices", whole)
    (found,) = closed.ok("operator", "GET", "/product-prices")["items"]
    assert found["unit"] == "million"


def test_a_cap_refuses_a_launch_by_name_and_what_runs_goes_on(quiet_world):
    world = quiet_world
    project = world.ids["acme"]["project"]
    body = {"project_id": project, "name": "first", "gpu_count": 8}
    first = world.ok("acme.member", "POST", "/clusters", body)
    path = f"/projects/{project}/budget"
    before = world.ok("acme.member", "GET", path)
    assert before["amount_micro_usd"] is None
    assert before["committed_micro_usd"] > 0
    cap = {"amount_micro_usd": 1, "is_cap": True}
    assert world.call("acme.member", "PUT", path, cap).status_code == 403
    world.ok("acme.owner", "PUT", path, cap)
    for where in ("/plans", "/clusters"):
        refused = world.call("acme.member", "POST", where, {**body, "name": "second"})
        assert refused.status_code == 403
        said = refused.json()["detail"]
        assert "the cap of project" in said
        assert "is $0.00 in" in said
        assert "are spent" in said
        assert "are committed" in said
    assert world.ok("acme.member", "GET", f"/clusters/{first['id']}")["name"] == "first"
    world.ok("acme.owner", "DELETE", path)
    world.ok("acme.member", "POST", "/plans", {**body, "name": "second"})


def test_what_runs_is_in_the_plan_of_this_month(world):
    project = world.ids["acme"]["project"]
    body = {"project_id": project, "name": "train", "gpu_count": 16}
    made = world.ok("acme.member", "POST", "/clusters", body)
    assert world.ended(made["operation_id"])["state"] == "done"
    world.ok("acme.member", "PUT", f"/clusters/{made['id']}/cost-tag", {"tag": "research"})
    _, now = months(world)
    plan = world.ok("operator", "GET", f"/billing/months/{now}/plan")
    assert not plan["is_over"]
    (invoice,) = plan["invoices"]
    assert invoice["organisation_name"] == "acme"
    assert invoice["line_count"] >= 1
    world.ok("operator", "GET", f"/organisations/{world.ids['acme']['organisation']}/budget")
