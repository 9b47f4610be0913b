"""Login through a real provider, as a browser goes through it.

Goal: people who were asked in come in and nobody else; what comes back from the provider counts
once, in the browser that began; a session ends when it should; a provider that is down or has new
keys is lived through. Method: oidc-provider in a process of its own, driven by its own forms; each
attack on the way back is one changed answer.
"""

import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import gigawatt
from gigawatt.app.rate import RateLimiter

CALLBACK = "/gw/v1/login/callback"


def me(site: Any, browser: Any) -> httpx.Response:
    answer: httpx.Response = browser.http.get(f"{site.world.url}/gw/v1/me")
    return answer


def fetch(url: str, **more: Any) -> httpx.Response:
    """One request without any cookie but those given."""
    return httpx.get(url, timeout=30.0, **more)


def accounts(site: Any, name: str = "acme") -> list[str]:
    path = f"/organisations/{site.world.ids[name]['organisation']}/accounts"
    return [item["name"] for item in site.world.ok("operator", "GET", path)["items"]]


def changed(site: Any, browser: Any, **headers: str) -> httpx.Response:
    """A request that changes something, by cookie; ``headers`` replace those of our own page."""
    sent = {
        "Origin": site.world.url,
        "Sec-Fetch-Site": "same-origin",
        "X-CSRF-Token": me(site, browser).json()["csrf_token"],
        **headers,
    }
    path = f"/gw/v1/projects/{site.world.ids['acme']['project']}/ssh-keys"
    body = {"name": f"k{time.monotonic_ns()}", "public_key": "ssh-ed25519 AAAA"}
    answer: httpx.Response = browser.http.post(
        site.world.url + path, json=body, headers={k: v for k, v in sent.items() if v}
    )
    return answer


def test_who_is_invited_comes_in_and_out(site: Any):
    invitation = site.invite("ada@ACME.example")
    assert invitation["email"] == "ada@acme.example"
    browser = site.browser("ada")
    begun = browser.visit(invitation["link"], until=site.world.url + CALLBACK)
    back = browser.http.get(begun.headers["Location"])
    assert back.headers["Location"] == "/", "whoever comes in sees the console"
    cookies = {line.split("=", 1)[0]: line for line in back.headers.get_list("Set-Cookie")}
    for word in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert word in cookies["gw_session"]
    assert "Max-Age=0" in cookies["gw_login"]
    found = me(site, browser).json()
    assert (found["name"], found["role"]) == ("ada@acme.example", "member")
    assert found["key_id"].startswith("ses_")
    assert changed(site, browser).status_code == 201
    path = f"/invitations/{invitation['id']}"
    shown = site.world.ok("acme.owner", "GET", path)
    assert (shown["state"], shown["account_id"]) == ("accepted", found["account_id"])
    assert shown["link"] is None
    sessions = browser.http.get(f"{site.world.url}/gw/v1/sessions").json()["items"]
    assert [item["id"] for item in sessions] == [found["key_id"]]
    audit = f"/organisations/{site.world.ids['acme']['organisation']}/audit"
    operations = [item["operation"] for item in site.world.ok("acme.owner", "GET", audit)["items"]]
    assert {"login", "create_ssh_key", "create_invitation"} <= set(operations)
    cookie = browser.http.cookies["gw_session"]
    proof = {"Origin": site.world.url, "X-CSRF-Token": found["csrf_token"]}
    assert browser.http.post(f"{site.world.url}/gw/v1/logout", headers=proof).status_code == 204
    kept = fetch(f"{site.world.url}/gw/v1/me", headers={"Cookie": f"gw_session={cookie}"})
    assert kept.status_code == 401
    # The second login finds the account, and needs no invitation.
    again = site.logged_in("ada")
    assert me(site, again).json()["account_id"] == found["account_id"]


def test_a_change_by_cookie_needs_our_own_page(site: Any):
    site.invite("ada@acme.example")
    browser = site.logged_in("ada")
    evil = "https://evil.example"
    assert changed(site, browser).status_code == 201
    assert changed(site, browser, Origin="").status_code == 201
    for wrong in (
        {"Origin": evil},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": ""},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "x" * 43},
    ):
        assert changed(site, browser, **wrong).status_code == 403, wrong
    # A wrong key is not made good by a right cookie.
    assert changed(site, browser, Authorization="Bearer gw_x_y").status_code == 401
    key = {"Authorization": f"Bearer {site.world.keys['acme.member']}", "Origin": evil}
    assert changed(site, browser, **key).status_code == 201


def test_a_rule_admits_by_claim_or_address_and_nobody_else_comes_in(site: Any):
    olu = site.logged_in("olu")
    assert me(site, olu).json()["role"] == "owner"
    pia = site.logged_in("pia")
    found = me(site, pia).json()
    assert found["role"] == "read_only"
    assert found["organisation_id"] == site.world.ids["other"]["organisation"]
    before = accounts(site)
    refused = site.browser("eve").visit(site.login_url())
    assert refused.status_code == 403
    assert "Ask an owner" in refused.text
    assert "<html" in refused.text
    assert "Set-Cookie" not in refused.headers or "gw_session" not in refused.headers["Set-Cookie"]
    assert accounts(site) == before


def test_an_address_that_is_not_verified_counts_for_nothing(site: Any):
    invitation = site.invite("bob@acme.example")
    assert site.browser("bob").visit(site.login_url()).status_code == 403
    assert site.browser("bob").visit(invitation["link"]).status_code == 409
    # Nor does a link that fell into other hands.
    assert site.browser("eve").visit(invitation["link"]).status_code == 409
    assert site.browser("eve").visit(invitation["link"][:-1] + "_").status_code in {404, 409}
    shown = site.world.ok("acme.owner", "GET", f"/invitations/{invitation['id']}")
    assert shown["state"] == "open"


def test_whom_two_organisations_ask_in_says_which(site: Any):
    first = site.invite("eve@evil.example", "billing")
    path = f"/organisations/{site.world.ids['other']['organisation']}/invitations"
    site.world.ok("other.owner", "POST", path, {"email": "eve@evil.example"})
    refused = site.browser("eve").visit(site.login_url())
    assert refused.status_code == 409
    assert "link of the invitation" in refused.text
    browser = site.browser("eve")
    browser.visit(first["link"])
    assert me(site, browser).json()["role"] == "billing"
    other = site.world.ok("other.owner", "GET", path)["items"][0]
    assert other["state"] == "open"


def test_an_invitation_for_one_project_reaches_no_other(site: Any):
    ids = site.world.ids["acme"]
    org = ids["organisation"]
    made = site.world.ok("operator", "POST", f"/organisations/{org}/projects", {"name": "second"})
    site.invite("ada@acme.example", project_id=made["id"])
    browser = site.logged_in("ada")
    get = lambda path: browser.http.get(f"{site.world.url}/gw/v1{path}")  # noqa: E731
    assert get(f"/projects/{made['id']}").status_code == 200
    assert get(f"/projects/{ids['project']}").status_code == 404
    assert [item["id"] for item in get("/projects").json()["items"]] == [made["id"]]
    keys = f"/accounts/{me(site, browser).json()['account_id']}/api-keys"
    narrow = site.world.ok("acme.owner", "POST", keys, {"name": "k"})
    assert narrow["project_id"] == made["id"]
    wider = {"name": "k", "project_id": ids["project"]}
    assert site.world.call("acme.owner", "POST", keys, wider).status_code == 403
    owner = {"email": "x@acme.example", "role": "owner", "project_id": made["id"]}
    path = f"/organisations/{org}/invitations"
    assert site.world.call("acme.owner", "POST", path, owner).status_code == 400


def test_an_answer_counts_once_and_in_the_browser_that_began(site: Any):
    site.invite("ada@acme.example")
    callback = site.world.url + CALLBACK
    browser = site.browser("ada")
    back = browser.visit(site.login_url(), until=callback).headers["Location"]
    query = parse_qs(urlsplit(back).query)
    attempt = browser.http.cookies["gw_login"]
    with_cookie = {"Cookie": f"gw_login={attempt}", "Accept": "text/html"}
    # Another browser, which began nothing or something else, is refused: login CSRF.
    assert fetch(back).status_code == 401
    other = site.browser("eve")
    other.visit(site.login_url(), until=site.provider.issuer)
    assert other.http.get(back).status_code == 401
    forged = back.replace(query["state"][0], "x" * 43)
    assert fetch(forged, headers=with_cookie).status_code == 401
    mixed_up = back.replace("iss=", "iss=https%3A%2F%2Fevil.example&was=")
    assert fetch(mixed_up, headers=with_cookie).status_code == 401
    silent = back.split("&iss=")[0]
    assert fetch(silent, headers=with_cookie).status_code == 401
    assert fetch(back, headers=with_cookie).status_code == 303
    replayed = fetch(back, headers=with_cookie)
    assert replayed.status_code == 401
    assert "refused the code" in replayed.text


def test_a_code_is_not_taken_for_another_attempt(site: Any):
    """The code of one attempt with the state and cookie of another: PKCE and nonce refuse it."""
    site.invite("ada@acme.example")
    callback = site.world.url + CALLBACK
    first, second = site.browser("ada"), site.browser("ada")
    stolen = first.visit(site.login_url(), until=callback).headers["Location"]
    own = second.visit(site.login_url(), until=callback).headers["Location"]
    code = parse_qs(urlsplit(stolen).query)["code"][0]
    mixed = own.replace(parse_qs(urlsplit(own).query)["code"][0], code)
    assert second.http.get(mixed).status_code == 401


def test_a_person_who_says_no_at_the_provider_is_told_so(site: Any):
    browser = site.browser("ada")
    gone = browser.visit(site.login_url(), until=site.provider.issuer).headers["Location"]
    state = parse_qs(urlsplit(gone).query)["state"][0]
    said = {"state": state, "error": "access_denied", "iss": site.provider.issuer}
    answer = browser.http.get(site.world.url + CALLBACK, params=said)
    assert answer.status_code == 401
    assert "access_denied" in answer.text


def test_every_login_makes_a_new_session_and_ends_the_old_one(site: Any):
    site.invite("ada@acme.example")
    browser = site.browser("ada")
    # A session that somebody planted is not adopted.
    browser.http.cookies.set("gw_session", "0" * 16 + "_" + "a" * 43, domain="127.0.0.1", path="/")
    browser.visit(site.login_url())
    first = browser.http.cookies["gw_session"]
    assert not first.startswith("0" * 16)
    browser.visit(site.login_url())
    second = browser.http.cookies["gw_session"]
    assert first != second
    old = fetch(f"{site.world.url}/gw/v1/me", headers={"Cookie": f"gw_session={first}"})
    assert old.status_code == 401
    assert me(site, browser).status_code == 200


def test_a_session_ends_when_idle_when_old_and_when_its_account_goes(site: Any):
    site.invite("ada@acme.example")
    browser = site.logged_in("ada")
    found = me(site, browser).json()
    database = site.world.service.control.around.store.database

    def age(column: str, by_s: float) -> None:
        with database.write() as connection:
            sql = f"UPDATE session SET {column} = {column} - {by_s}"  # noqa: S608 - our own words
            connection.exec_driver_sql(sql)

    age("last_used_s", 1_700)
    assert me(site, browser).status_code == 200, "it is used, which prolongs it"
    age("last_used_s", 1_700)
    assert me(site, browser).status_code == 200
    age("last_used_s", 1_801)
    assert me(site, browser).status_code == 401
    browser = site.logged_in("ada")
    age("expires_s", 12 * 3_600)
    assert me(site, browser).status_code == 401
    browser, second = site.logged_in("ada"), site.logged_in("ada")
    ended = me(site, browser).json()["key_id"]
    assert site.world.call("acme.owner", "DELETE", f"/sessions/{ended}").status_code == 204
    assert me(site, browser).status_code == 401
    assert me(site, second).status_code == 200
    site.world.ok("acme.owner", "DELETE", f"/accounts/{found['account_id']}")
    assert me(site, second).status_code == 401
    # The invitation was used up, so nobody comes in by it again.
    assert site.browser("ada").visit(site.login_url()).status_code == 403


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\r\nSet-Cookie: x=y",
    "javascript:alert(1)",
    "gw/v1/me",
    "",
    "/ok\u2028",
)


def test_nobody_is_sent_to_another_site_after_login(site: Any):
    for address in ELSEWHERE:
        answer = fetch(site.login_url(), params={"return_to": address})
        assert answer.status_code == 400, address
        assert "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers


def test_a_person_goes_where_they_wanted_to(site: Any):
    site.invite("ada@acme.example")
    browser = site.browser("ada")
    wanted = "/gw/v1/clusters?limit=5"
    url = str(httpx.URL(site.login_url(), params={"return_to": wanted}))
    back = browser.visit(url, until=f"{site.world.url}{wanted}")
    assert back.headers["Location"] == wanted


def test_a_provider_that_is_down_and_comes_back_with_new_keys(site: Any, new_signing_key: Any):
    site.invite("ada@acme.example")
    browser = site.logged_in("ada")
    site.provider.stop()
    # What is known of it is remembered for an hour, so the way out works; the way back does not.
    site.world.service.login._provider._metadata = None
    refused = site.browser("ada").visit(site.login_url())
    assert refused.status_code == 503
    assert "does not answer" in refused.text
    assert "API keys and sessions go on working" in refused.text
    assert me(site, browser).status_code == 200
    assert site.world.call("acme.owner", "GET", "/me").status_code == 200
    site.provider.key = new_signing_key("second")
    site.provider.start()
    site.world.service.login._provider._absent_s = -1e9
    again = site.logged_in("ada")
    assert me(site, again).status_code == 200


def test_claims_may_be_at_userinfo_instead_of_in_the_token(site: Any):
    site.provider.stop()
    site.provider.options["at_userinfo"] = True
    site.provider.start()
    site.invite("ada@acme.example")
    assert me(site, site.logged_in("ada")).json()["name"] == "ada@acme.example"


def test_nothing_secret_is_kept_or_logged(site: Any, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    invitation = site.invite("ada@acme.example")
    browser = site.browser("ada")
    callback = site.world.url + CALLBACK
    back = browser.visit(invitation["link"], until=callback).headers["Location"]
    query = parse_qs(urlsplit(back).query)
    browser.visit(back)
    csrf = me(site, browser).json()["csrf_token"]
    cookie = browser.http.cookies["gw_session"].partition("_")[2]
    link = invitation["link"].rpartition(".")[2]
    with site.world.service.control.around.store.database.read() as connection:
        dump = "\n".join(sqlite3.connect(str(connection.engine.url.database)).iterdump())
    ours = [record for record in caplog.records if record.name.startswith("gigawatt")]
    logged = "\n".join(record.getMessage() for record in ours)
    for secret in (cookie, csrf, link, query["code"][0], query["state"][0], "eyJ", "a secret"):
        assert secret not in dump
        assert secret not in logged


def test_the_server_writes_no_address_with_what_a_provider_put_into_it(
    quiet_world: Any, tmp_path: Path
):
    """A process of its own, whose output is all that a log could hold."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", "server", "--listen", "127.0.0.1:0"],
        env={
            **os.environ,
            "GIGAWATT_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(Path(gigawatt.__file__).parents[1]),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    written = []
    for line in process.stderr:
        written.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            secret = {"state": "state-of-ada", "code": "code-of-ada"}
            assert fetch(found[1] + CALLBACK, params=secret).status_code == 401
            process.terminate()
    assert process.wait(20.0) == 0
    process.stderr.close()
    assert "of-ada" not in "".join(written)
    assert quiet_world.service.login is not None


def test_attempts_are_limited(site: Any):
    site.world.service.login.rate = RateLimiter(rate_per_s=0.01, burst_count=3.0)
    statuses = [fetch(site.login_url()).status_code for _ in range(5)]
    assert statuses == [302] * 3 + [429] * 2
    device = site.world.http.post(site.login_url("/device"))
    assert device.status_code == 429
    assert site.world.call("acme.owner", "GET", "/me").status_code == 200


def test_without_a_provider_the_page_says_what_to_do(site: Any):
    site.world.service.login = None
    answer = site.browser("ada").visit(site.login_url())
    assert answer.status_code == 404
    assert "docs/identity.md" in answer.text
    path = f"/organisations/{site.world.ids['acme']['organisation']}/invitations"
    body = {"email": "x@acme.example"}
    assert site.world.call("acme.owner", "POST", path, body).status_code == 409
