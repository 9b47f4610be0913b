"""The console in a real browser against a real server.

Goal: a tenant goes from sign-in to a running cluster and to its release, at a desk and on a
phone; nobody is shut out by what axe can find; text of others stays text, and nothing comes from
elsewhere. Method: Debian's Chromium, driven by Playwright. Every request is looked at, and each
test also fails on an error of a script or of the policy.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from console_browser import Tab, button, check_quiet, missing, tab
from console_pages import PAGES, PHONE, WIDE
from gigawatt.api import console

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"
MARKUP = "<img src=x onerror=window.broken=1>"


def launch(made: Tab) -> str:
    """A cluster of 64 GPUs with the project's key, watched until it is ready; its id."""
    page = made.page
    made.open("/launch")
    page.get_by_label("ada").check()
    button(page, "64").click()
    card = page.locator(".plan-card")
    expect(card).to_contain_text("8 nodes")
    expect(card).to_contain_text("$160.00/h")
    button(page, "Launch 64 GPUs for $160.00/h").click()
    expect(page.locator("h1")).to_contain_text("train")
    expect(page.locator(".note.good")).to_contain_text("It is yours")
    expect(page.locator(".planes li.closed")).to_have_count(4)
    expect(page.locator(".planes li.untouched")).to_contain_text("Storage")
    page.get_by_role("link", name="Open the cluster").click()
    made.settle()
    return page.url.rpartition("/")[2]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
def test_a_tenant_goes_from_sign_in_to_a_cluster_and_to_its_release(
    plain_world: Any, browser: Any, size: dict[str, int]
):
    with tab(browser, plain_world.url, size) as made:
        page = made.page
        made.sign_in(plain_world.keys["acme.member"])
        expect(page.get_by_text("No cluster yet")).to_be_visible()
        made.open("/ssh-keys")
        page.get_by_label("Public key").fill(PUBLIC_KEY)
        button(page, "Add the key").click()
        expect(button(page, "Remove ada")).to_be_visible()
        cluster_id = launch(made)

        for name, sentence in (
            ("topology", "All nodes are healthy"),
            ("isolation", "Closed on all five planes"),
            ("events", "Launch done"),
        ):
            made.open(f"/clusters/{cluster_id}?tab={name}")
            expect(page.locator("main")).to_contain_text(sentence)
            assert not made.has_overflow(), name
        made.open(f"/clusters/{cluster_id}?tab=connect")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download hostfile").click()
        assert download.value.path().read_text(encoding="utf-8").count("slots=8") == 8

        made.open(f"/clusters/{cluster_id}?tab=change")
        button(page, "Plan it").first.click()
        button(page, "Grow by 8 GPUs").click()
        expect(page.locator(".note.good")).to_be_visible()
        made.open(f"/clusters/{cluster_id}?tab=change")
        expect(page.locator("main")).to_contain_text("It has 72")
        button(page, "Release this cluster").click()
        expect(button(page, "Release it")).to_be_disabled()
        page.get_by_label("Type train to confirm").fill("train")
        button(page, "Release it").click()
        expect(page.locator(".note.good")).to_contain_text("Released")
        made.open("/clusters")
        expect(page.get_by_text("No cluster yet")).to_be_visible()
        check_quiet(made)


@pytest.fixture(scope="module")
def busy_world(new_plain_world: Any) -> Iterator[Any]:
    """A world in which acme has a cluster, a key and a file system."""
    with new_plain_world() as world:
        project = world.ids["acme"]["project"]
        key = {"name": "ada", "public_key": PUBLIC_KEY}
        world.ok("acme.owner", "POST", f"/projects/{project}/ssh-keys", key)
        body = {"project_id": project, "name": "train", "gpu_count": 64, "spare_count": 1}
        made = world.ok("acme.owner", "POST", "/clusters", body)
        world.ended(made["operation_id"])
        world.ids["shown"] = {"cluster": made["id"], "operation": made["operation_id"]}
        yield world


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_every_page_is_open_to_all_and_fits(
    busy_world: Any, browser: Any, size: dict[str, int], scheme: str
):
    """No serious finding of axe, nothing wider than the window, nothing from elsewhere."""
    with tab(browser, busy_world.url, size, scheme) as made:
        made.page.goto(busy_world.url)
        made.settle()
        found = {"sign-in": made.findings()}
        made.sign_in(busy_world.keys["acme.owner"])
        for name, path in PAGES.items():
            made.open(path.format(**busy_world.ids["shown"]))
            found[name] = made.findings() + ["wider than its window"] * made.has_overflow()
        assert {name: lines for name, lines in found.items() if lines} == {}
        check_quiet(made)


def test_the_keyboard_reaches_the_menu_and_a_dialog(busy_world: Any, browser: Any):
    with tab(browser, busy_world.url, WIDE) as made:
        page = made.page
        made.sign_in(busy_world.keys["acme.owner"])
        made.open("/clusters")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the page")
        made.open(f"/clusters/{busy_world.ids['shown']['cluster']}?tab=change")
        button(page, "Release this cluster").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alertdialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("alertdialog")).to_have_count(0)
        expect(button(page, "Release this cluster")).to_be_focused()
        check_quiet(made)


def test_names_and_errors_with_markup_stay_text(busy_world: Any, browser: Any):
    organisation = busy_world.ids["acme"]["organisation"]
    project = busy_world.ids["acme"]["project"]
    key = {"name": MARKUP, "public_key": PUBLIC_KEY}
    busy_world.ok("acme.owner", "POST", f"/projects/{project}/ssh-keys", key)
    busy_world.ok("acme.owner", "PATCH", f"/projects/{project}", {"name": MARKUP})
    account = {"name": MARKUP, "role": "member"}
    busy_world.ok("acme.owner", "POST", f"/organisations/{organisation}/accounts", account)
    problem = {
        "type": "urn:gigawatt:error:NoCapacityError",
        "title": MARKUP,
        "status": 507,
        "detail": MARKUP,
        "next_step": f"<script>window.broken=1</script>{MARKUP}",
        "request_id": MARKUP,
        "reasons": [MARKUP],
        "would_fit": [MARKUP],
    }
    with tab(browser, busy_world.url, WIDE) as made:
        page = made.page
        made.sign_in(busy_world.keys["acme.owner"])
        for path, place in (
            ("/clusters", "main"),
            ("/ssh-keys", "table"),
            ("/members", "main"),
            (f"/clusters/{busy_world.ids['shown']['cluster']}", ".lead"),
        ):
            made.open(path)
            expect(page.locator(place).first).to_contain_text(MARKUP)
        page.route("**/gw/v1/plans", lambda route: route.fulfill(status=507, json=problem))
        made.open("/launch")
        expect(page.get_by_role("alert")).to_contain_text(MARKUP)
        expect(button(page, "Wait in the queue")).to_be_visible()
        assert page.evaluate("window.broken === undefined")
        assert page.locator("main img").count() == 0
        check_quiet(made)
    busy_world.ok("acme.owner", "PATCH", f"/projects/{project}", {"name": "p"})


def test_what_does_not_fit_says_what_would_and_offers_the_queue(busy_world: Any, browser: Any):
    project = busy_world.ids["acme"]["project"]
    quota = {"granted_gpu_count": 4_000}
    busy_world.ok("operator", "PUT", f"/projects/{project}/quota", quota)
    with tab(browser, busy_world.url, WIDE) as made:
        page = made.page
        made.sign_in(busy_world.keys["acme.member"])
        made.open("/launch")
        page.get_by_label("Name").fill("later")
        page.get_by_label("GPUs", exact=True).fill("504")
        page.keyboard.press("Tab")
        expect(page.get_by_role("alert")).to_be_visible()
        button(page, "Wait in the queue").click()
        expect(page.get_by_text("Waiting for room: 1 request")).to_be_visible()
        button(page, "Withdraw").click()
        expect(page.get_by_text("Waiting for room")).to_have_count(0)
        check_quiet(made)


def test_what_others_do_appears_by_itself_also_after_the_line_was_cut(
    plain_world: Any, browser: Any
):
    with tab(browser, plain_world.url, WIDE) as made:
        page, cut = made.page, iter((True, True))
        page.route(
            "**/gw/v1/events:stream",
            lambda route: route.abort() if next(cut, False) else route.fallback(),
        )
        made.sign_in(plain_world.keys["acme.member"])
        expect(page.locator(".live-mark.waiting")).to_be_visible()
        project = plain_world.ids["acme"]["project"]
        body = {"project_id": project, "name": "by-others", "gpu_count": 8}
        plain_world.ok("acme.owner", "POST", "/clusters", body)
        row = page.get_by_role("row", name=re.compile("by-others"))
        expect(row).to_contain_text("active")
        expect(page.locator(".live-mark.live")).to_be_visible()
        plain_world.ok("acme.owner", "POST", "/clusters", {**body, "name": "later"})
        expect(page.get_by_role("row", name=re.compile("later"))).to_contain_text("active")
        check_quiet(made)


def test_the_pages_follow_the_role(busy_world: Any, browser: Any):
    with tab(browser, busy_world.url, WIDE) as made:
        page = made.page
        made.sign_in(busy_world.keys["acme.read_only"])
        made.open("/clusters")
        expect(page.get_by_role("link", name="Launch a cluster")).to_have_count(0)
        made.open(f"/clusters/{busy_world.ids['shown']['cluster']}")
        expect(page.get_by_role("tab", name="Change")).to_have_count(0)
        check_quiet(made)


def test_a_wrong_key_says_so_and_signing_out_shuts_the_pages(busy_world: Any, browser: Any):
    with tab(browser, busy_world.url, PHONE) as made:
        page = made.page
        page.goto(busy_world.url + "/quotas")
        page.get_by_label("API key").fill("gw_wrong")
        button(page, "Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("Copy the whole key")
        page.get_by_label("API key").fill(busy_world.keys["acme.owner"])
        button(page, "Sign in").click()
        expect(page.locator("h1")).to_have_text("Quotas")
        kept = page.evaluate("JSON.stringify([document.cookie, {...localStorage}])")
        assert "gw_" not in json.loads(kept)[0]
        assert busy_world.keys["acme.owner"] not in kept
        button(page, "Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        check_quiet(made)


def test_the_policy_refuses_what_is_inline_or_from_elsewhere(busy_world: Any, browser: Any):
    answer = httpx.get(busy_world.url + "/", headers={"Accept": "text/html"})
    policy = answer.headers["Content-Security-Policy"]
    for part in ("default-src 'self'", "script-src 'self'", "style-src 'self'"):
        assert part in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with tab(browser, busy_world.url, WIDE) as made:
        made.page.goto(busy_world.url)
        made.settle()
        made.page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.broken = 1";
              document.head.append(script);
            }"""
        )
        assert made.page.evaluate("window.broken === undefined")
        assert any("Content Security Policy" in fault for fault in made.faults)


def test_a_request_to_elsewhere_is_noted(browser: Any):
    nowhere, there = "http://127.0.0.1:1", "http://elsewhere.example/x.png"
    with tab(browser, nowhere, WIDE, provider_url=nowhere) as made:
        made.page.set_content(f'<img src="{there}">')
        assert made.elsewhere == [there]


def test_addresses_lead_to_pages_and_what_is_absent_stays_absent(busy_world: Any):
    def get(path: str, accept: str = "text/html") -> httpx.Response:
        return httpx.get(busy_world.url + path, headers={"Accept": accept})

    assert "/assets/" in get("/clusters/clu_1?tab=events").text
    assert get("/clusters", "application/json").status_code == 404
    assert get("/gw/v1/nothing").headers["Content-Type"] == "application/problem+json"
    assert get("/assets/%2e%2e/%2e%2e/pyproject.toml").status_code == 404
    assert get("/assets/nothing.js").status_code == 404
    script = re.findall(r'src="(/assets/[^"]+\.js)"', get("/").text)[0]
    kept = get(script)
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["Content-Encoding"] == "gzip"
    assert httpx.post(busy_world.url + "/clusters").status_code == 404


def test_a_server_without_the_console_says_how_to_build_it(
    busy_world: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(console, "FOLDER", tmp_path)
    answer = httpx.get(busy_world.url + "/")
    assert answer.status_code == 200
    assert "make console" in answer.text
    assert httpx.get(busy_world.url + "/gw/v1/me").status_code == 401
