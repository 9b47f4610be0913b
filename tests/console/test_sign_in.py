"""Signing in to the console with an API key.

Goal: who shows a key gets a session with exactly the rights of the key, which ends with it; no
other site, no planted cookie and no guessing gets one. Method: a real server without login
settings, asked over HTTP as a browser asks, with the headers that a browser sends by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from gigawatt.app.rate import RateLimiter

KEY_PATH = "/gw/v1/login/key"


@pytest.fixture
def site(plain_world: Any) -> Any:
    return plain_world


def browser(site: Any, **headers: str) -> httpx.Client:
    """A browser that has the console open."""
    sent = {"Origin": site.url, "Sec-Fetch-Site": "same-origin", **headers}
    return httpx.Client(base_url=site.url, headers={k: v for k, v in sent.items() if v})


@contextmanager
def signed_in(site: Any, who: str) -> Iterator[httpx.Client]:
    with browser(site) as client:
        assert client.post(KEY_PATH, json={"key": site.keys[who]}).status_code == 204
        client.headers["X-CSRF-Token"] = client.get("/gw/v1/me").json()["csrf_token"]
        yield client


def test_a_key_becomes_a_session_with_its_rights(site: Any):
    with browser(site) as client:
        answer = client.post(KEY_PATH, json={"key": f" {site.keys['acme.member']} "})
        cookie = answer.headers["Set-Cookie"]
        for word in ("gw_session=", "HttpOnly", "SameSite=strict", "Path=/"):
            assert word in cookie
        assert site.keys["acme.member"] not in cookie
        me = client.get("/gw/v1/me").json()
        assert (me["role"], me["account_id"]) == ("member", site.ids["acme"]["account.member"])
        assert me["key_id"].startswith("ses_")
    project = site.ids["acme"]["project"]
    body = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
    with signed_in(site, "acme.member") as client:
        assert client.post(f"/gw/v1/projects/{project}/ssh-keys", json=body).status_code == 201
    with signed_in(site, "acme.read_only") as client:
        assert client.post(f"/gw/v1/projects/{project}/ssh-keys", json=body).status_code == 403


def test_a_key_for_one_project_gives_a_session_for_that_project(site: Any):
    path = f"/accounts/{site.ids['acme']['account.owner']}/api-keys"
    project = site.ids["acme"]["project"]
    made = site.ok("operator", "POST", path, {"name": "narrow", "project_id": project})
    site.keys["narrow"] = made["key"]
    with signed_in(site, "narrow") as client:
        assert client.get("/gw/v1/me").json()["project_id"] == project
        organisation = site.ids["acme"]["organisation"]
        answer = client.get(f"/gw/v1/organisations/{organisation}/accounts")
        assert answer.status_code == 403


def test_a_session_ends_with_its_key(site: Any):
    key_id = site.ids["acme"]["key.owner"]
    with signed_in(site, "acme.owner") as client:
        assert client.get("/gw/v1/me").status_code == 200
        site.ok("operator", "POST", f"/api-keys/{key_id}:revoke")
        assert client.get("/gw/v1/me").status_code == 401


def test_a_rotation_ends_sessions_of_the_old_secret_after_its_grace(site: Any):
    key_id = site.ids["acme"]["key.owner"]
    with signed_in(site, "acme.owner") as client:
        site.ok("operator", "POST", f"/api-keys/{key_id}:rotate", {"grace_s": 60})
        assert client.get("/gw/v1/me").status_code == 200
        site.ok("operator", "POST", f"/api-keys/{key_id}:rotate", {"grace_s": 0})
        assert client.get("/gw/v1/me").status_code == 401


def test_a_session_does_not_outlive_a_key_with_an_end(site: Any):
    path = f"/accounts/{site.ids['acme']['account.owner']}/api-keys"
    made = site.ok("operator", "POST", path, {"name": "short", "lifetime_s": 60})
    site.keys["short"] = made["key"]
    with signed_in(site, "short") as client:
        mine = client.get("/gw/v1/me").json()["key_id"]
        found = client.get("/gw/v1/sessions").json()["items"]
        session = next(one for one in found if one["id"] == mine)
        assert session["ends_at"] == made["expires_at"]


def test_a_planted_cookie_is_replaced_and_worth_nothing(site: Any):
    """Session fixation: whoever planted a session has nothing after the sign-in."""
    with signed_in(site, "other.member") as attacker:
        planted = attacker.cookies["gw_session"]
        with browser(site) as victim:
            victim.cookies.set("gw_session", planted)
            victim.post(KEY_PATH, json={"key": site.keys["acme.owner"]})
            mine = victim.cookies.get("gw_session", domain="127.0.0.1")
            assert mine is not None
            assert mine != planted
        assert attacker.get("/gw/v1/me").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_other_site_signs_a_browser_in(site: Any, headers: dict[str, str]):
    with browser(site, **headers) as client:
        answer = client.post(KEY_PATH, json={"key": site.keys["acme.owner"]})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_form_cannot_sign_in(site: Any):
    with browser(site) as client:
        text = f'{{"key": "{site.keys["acme.owner"]}"}}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", None):
            headers = {} if kind is None else {"Content-Type": kind}
            answer = client.post(KEY_PATH, content=text, headers=headers)
            assert answer.status_code in {400, 415}
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"X-CSRF-Token": "guess"}, {"X-CSRF-Token": ""}],
)
def test_no_other_site_uses_the_session(site: Any, headers: dict[str, str]):
    project = site.ids["acme"]["project"]
    with signed_in(site, "acme.owner") as client:
        body = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
        path = f"/gw/v1/projects/{project}/ssh-keys"
        assert client.post(path, json=body, headers=headers).status_code == 403


def test_signing_out_ends_it_at_the_server(site: Any):
    with signed_in(site, "acme.owner") as client:
        cookie = client.cookies["gw_session"]
        assert client.post("/gw/v1/logout").status_code == 204
        answer = httpx.get(f"{site.url}/gw/v1/me", headers={"Cookie": f"gw_session={cookie}"})
        assert answer.status_code == 401


def test_guessing_is_slow_and_says_nothing(site: Any):
    site.service.sign_in_rate = RateLimiter(0.001, 60.0)
    with browser(site) as client:
        wrong = f"gw_{'0' * 16}_{'A' * 43}"
        answers = [client.post(KEY_PATH, json={"key": wrong}).status_code for _ in range(12)]
        assert answers[:5] == [401] * 5
        assert answers[-1] == 429
        body = client.post(KEY_PATH, json={"key": 7, "more": "secret"})
        assert "secret" not in body.text


def test_sessions_say_where_and_in_what_they_began(site: Any):
    named = "<b>Mozilla</b>/5.0 (" + 300 * "x"
    with browser(site, **{"User-Agent": named}) as client:
        client.post(KEY_PATH, json={"key": site.keys["acme.member"]})
        [seen] = client.get("/gw/v1/sessions").json()["items"]
    assert (seen["client_address"], seen["user_agent"]) == ("127.0.0.1", named[:256])


def test_a_sign_in_is_in_the_audit_with_its_key(site: Any):
    with signed_in(site, "acme.owner"):
        pass
    path = f"/organisations/{site.ids['acme']['organisation']}/audit"
    found = site.ok("acme.owner", "GET", path)["items"]
    rows = [row for row in found if row["operation"] == "sign_in"]
    assert [row["key_id"] for row in rows] == [site.ids["acme"]["key.owner"]]


def test_the_stream_of_an_operation_follows_by_cookie(site: Any):
    body = {"project_id": site.ids["acme"]["project"], "name": "train", "gpu_count": 8}
    with signed_in(site, "acme.member") as client:
        made = client.post("/gw/v1/clusters", json=body).json()
        path = f"/gw/v1/operations/{made['operation_id']}:stream"
        with client.stream("GET", path, timeout=30.0) as answer:
            assert answer.status_code == 200
            lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
        assert '"state":"done"' in lines[-1]


def test_behind_tls_the_cookie_is_for_this_host_alone(site: Any):
    host = site.url.removeprefix("http://")
    with browser(site, Origin=f"https://{host}") as client:
        answer = client.post(KEY_PATH, json={"key": site.keys["acme.owner"]})
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-gw_session=")
        assert "Secure" in cookie
