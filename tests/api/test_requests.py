"""Requests that repeat, are too large, too many, malformed, or come with a key that is over.

Goal: a repeated request does nothing twice, limits hold, a key ends at once, no secret is logged or
kept. Method: a real server on loopback; keys, bodies and rates are driven past each limit.
"""

import logging
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gigawatt.api.paging import cursor_of, number_place, text_place
from gigawatt.app.rate import RateLimiter
from gigawatt.errors import InputError, RateError
from gigawatt.store import schema


def wish(world: Any, name: str) -> dict[str, Any]:
    return {"project_id": world.ids["acme"]["project"], "name": name, "gpu_count": 8}


def test_the_same_key_and_body_give_the_same_answer_once(quiet_world: Any):
    world = quiet_world
    headers = {"Idempotency-Key": "k-1"}
    answers = [
        world.call("acme.member", "POST", "/clusters", wish(world, "a"), headers) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert answers[1].headers["ETag"] == answers[0].headers["ETag"]
    assert len(world.ok("acme.member", "GET", "/clusters")["items"]) == 1
    other = world.call("acme.member", "POST", "/clusters", wish(world, "b"), headers)
    assert other.status_code == 422
    # Another account's key of the same text is another key.
    mine = world.call("acme.owner", "POST", "/clusters", wish(world, "b"), headers)
    assert mine.status_code == 202


def test_many_at_once_under_one_key_do_it_once(quiet_world: Any):
    world, answers = quiet_world, []

    def send() -> None:
        headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {world.keys['acme.member']}"}
        url = f"{world.url}/gw/v1/clusters"
        answers.append(httpx.post(url, json=wish(world, "a"), headers=headers, timeout=30.0))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {202, 409}
    assert 202 in statuses
    assert len(world.ok("acme.member", "GET", "/operations")["items"]) == 1


def test_a_try_that_was_cut_off_after_its_commit_is_found_again(quiet_world: Any):
    """The server died between commit and answer: the row is there, without an answer."""
    world = quiet_world
    headers = {"Idempotency-Key": "k"}
    first = world.call("acme.member", "POST", "/clusters", wish(world, "a"), headers).json()
    database = world.service.control.around.store.database
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE idempotent_request SET status = NULL, started_s = started_s - 1000"
        )
    again = world.call("acme.member", "POST", "/clusters", wish(world, "a"), headers)
    assert again.status_code == 202
    assert again.json()["operation_id"] == first["operation_id"]
    assert len(world.ok("acme.member", "GET", "/operations")["items"]) == 1


def test_a_refusal_that_time_can_cure_is_not_kept(quiet_world: Any):
    world = quiet_world
    world.ok("acme.member", "POST", "/clusters", wish(world, "a"))
    headers = {"Idempotency-Key": "k"}
    cluster = world.ok("acme.member", "GET", "/clusters")["items"][0]["id"]
    body, path = {"gpu_count": 8}, f"/clusters/{cluster}:grow"
    assert world.call("acme.member", "POST", path, body, headers).status_code == 409
    world.service.worker.start()
    world.ended(world.ok("acme.member", "GET", "/operations")["items"][0]["id"])
    assert world.call("acme.member", "POST", path, body, headers).status_code == 202


def test_a_key_is_shown_once_and_kept_nowhere(quiet_world: Any, caplog: pytest.LogCaptureFixture):
    world = quiet_world
    caplog.set_level(logging.DEBUG)
    path = f"/accounts/{world.ids['acme']['account.member']}/api-keys"
    headers = {"Idempotency-Key": "k"}
    made = world.ok("acme.owner", "POST", path, {"name": "n"}, headers=headers)
    secret = made["key"].split("_", 2)[2]
    again = world.ok("acme.owner", "POST", path, {"name": "n"}, headers=headers)
    assert again == {**made, "key": None}
    assert world.ok("acme.owner", "GET", f"/api-keys/{made['id']}")["key"] is None
    assert world.call(made["key"], "GET", "/me").status_code == 200
    world.call(made["key"] + "x", "GET", "/me")
    world.call("acme.owner", "POST", path, {"name": "n", "key": secret})
    assert secret not in caplog.text
    dump = everything_stored(world)
    assert secret not in dump
    for key in world.keys.values():
        assert key.split("_", 2)[2] not in dump


def everything_stored(world: Any) -> str:
    with world.service.control.around.store.database.read() as connection:
        return "\n".join(
            str(tuple(row))
            for table in schema.metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def test_revoking_a_key_ends_it_at_once(quiet_world: Any):
    world = quiet_world
    ids = world.ids["acme"]
    assert world.call("acme.member", "GET", "/me").status_code == 200
    world.ok("acme.owner", "POST", f"/api-keys/{ids['key.member']}:revoke")
    assert world.call("acme.member", "GET", "/me").status_code == 401
    assert world.call("acme.billing", "GET", "/me").status_code == 200
    world.ok("acme.owner", "DELETE", f"/accounts/{ids['account.billing']}")
    assert world.call("acme.billing", "GET", "/me").status_code == 401
    world.ok("acme.owner", "PATCH", f"/accounts/{ids['account.read_only']}", {"role": "billing"})
    assert world.ok("acme.read_only", "GET", "/me")["role"] == "billing"


def test_nobody_takes_their_own_rights_away(quiet_world: Any):
    world = quiet_world
    mine = f"/accounts/{world.ids['acme']['account.owner']}"
    assert world.call("acme.owner", "DELETE", mine).status_code == 409
    assert world.call("acme.owner", "PATCH", mine, {"role": "member"}).status_code == 409


@pytest.mark.parametrize(
    "said",
    ["", "Bearer", "Basic abc", "Bearer gw_x_y", "Bearer gw_0123456789abcdef_" + "a" * 43],
)
def test_what_is_no_key_is_refused(quiet_world: Any, said: str):
    answer = quiet_world.http.get(quiet_world.url + "/gw/v1/me", headers={"Authorization": said})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def raw(world: Any, content: bytes, **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Bearer {world.keys['acme.member']}", **headers}
    answer: httpx.Response = world.http.post(
        world.url + "/gw/v1/clusters", content=content, headers=sent
    )
    return answer


def test_bodies_are_bounded_and_must_be_json(quiet_world: Any):
    world = quiet_world
    assert raw(world, b"x" * (1 << 20) + b"x").status_code == 413
    chunked = world.http.post(
        world.url + "/gw/v1/clusters",
        content=iter([b"x" * 65_536] * 20),
        headers={"Authorization": f"Bearer {world.keys['acme.member']}"},
    )
    assert chunked.status_code == 413
    assert raw(world, b"<a/>", **{"Content-Type": "application/xml"}).status_code == 415
    assert raw(world, b"{", **{"Content-Type": "application/json"}).status_code == 400
    good = httpx.Response(200, json=wish(world, "quiet")).content
    assert raw(world, good).status_code == 202  # no word about its type is taken for JSON


def test_every_answer_has_an_id_and_safe_headers(quiet_world: Any):
    world = quiet_world
    for path in ("/me", "/nothing"):
        answer = world.call("acme.member", "GET", path, headers={"X-Request-Id": "mine-1"})
        assert answer.headers["X-Request-Id"] == "mine-1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in answer.headers
    strange = world.call("acme.member", "GET", "/me", headers={"X-Request-Id": "a b"})
    assert strange.headers["X-Request-Id"].startswith("req_")


def test_too_many_requests_are_refused_for_one_caller_only(quiet_world: Any):
    world = quiet_world
    world.service.rate = RateLimiter(rate_per_s=1.0, burst_count=5.0)
    statuses = [world.call("acme.member", "GET", "/me").status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    answer = world.call("acme.member", "GET", "/me")
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.call("acme.owner", "GET", "/me").status_code == 200


def test_guessing_keys_is_slow(quiet_world: Any):
    world = quiet_world
    world.service.rate = RateLimiter(rate_per_s=1.0, burst_count=35.0)
    guess = "gw_0123456789abcdef_" + "a" * 43
    statuses = [world.call(guess, "GET", "/me").status_code for _ in range(6)]
    assert statuses == [401] * 3 + [429] * 3
    assert world.call("acme.member", "GET", "/me").status_code == 200


def test_a_bucket_fills_with_time():
    now_s = [0.0]
    limiter = RateLimiter(rate_per_s=2.0, burst_count=2.0, now_s=lambda: now_s[0])
    limiter.take("a", 2.0)
    with pytest.raises(RateError) as caught:
        limiter.take("a")
    assert caught.value.retry_after_s == pytest.approx(0.5)
    now_s[0] = 0.5
    limiter.take("a")


@given(st.text(max_size=40))
@settings(max_examples=100)
def test_any_cursor_is_read_or_refused(text: str):
    for read in (lambda: text_place(text), lambda: number_place(text, 0)):
        try:
            read()
        except InputError:
            continue
    assert text_place(cursor_of(text)) == text


def test_health_and_readiness(quiet_world: Any):
    world = quiet_world
    assert world.http.get(world.url + "/healthz").status_code == 200
    assert world.http.get(world.url + "/readyz").status_code == 503
    world.service.worker.start()
    assert world.http.get(world.url + "/readyz").status_code == 200
    world.service.is_stopping = True
    assert world.http.get(world.url + "/readyz").status_code == 503
