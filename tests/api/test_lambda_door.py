"""The Lambda-compatible door itself: keys, forms, errors, limits, SSH keys and the audit.

Goal: what tools send is taken, what is wrong is answered in the form that they read, and nothing
that anybody sends makes a server error.
Method: real HTTP with the headers and bodies that curl, requests and generated clients send.
"""

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from gigawatt.app.rate import RateLimiter
from gigawatt.errors import RateError

OWNER = "acme.owner"
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILCLA me@here"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, new_world_of: Any) -> Iterator[Any]:
    """A world with keys of one project for tests that add nothing but SSH keys."""
    with new_world_of(tmp_path_factory.mktemp("home"), 64, with_worker=False) as world:
        yield world


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def error_of(answer: Any) -> dict[str, Any]:
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) <= {"code", "message", "suggestion"}
    return error


def test_a_key_comes_as_bearer_or_as_user_of_basic(door: Any):
    key = door.keys[OWNER]
    for headers in ({"Authorization": f"Bearer {key}"}, basic(f"{key}:"), basic(key)):
        assert door.ask(None, "GET", "/regions", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer gw_0000000000000000_" + "A" * 43},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic"},
        {"Authorization": "Digest x"},
        basic("user:password"),
        basic(":password"),
        {"Authorization": "Basic " + base64.b64encode(b"\xff:").decode()},
    ],
)
def test_without_a_key_nothing_is_told(door: Any, headers: dict[str, str]):
    door.service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
    answer = door.ask(None, "GET", "/instances", headers=headers)
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "global/invalid-api-key"


def test_json_is_taken_with_and_without_its_name(door: Any):
    for number, headers in enumerate(({}, {"Content-Type": "application/json; charset=utf-8"})):
        body = {"name": f"typed-{number}", "public_key": PUBLIC}
        assert door.ask(OWNER, "POST", "/ssh-keys", body, headers).status_code == 200
    answer = door.ask(OWNER, "POST", "/ssh-keys", {}, {"Content-Type": "text/xml"})
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "global/invalid-parameters"


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/ssh-keys", b"{", 400, "global/invalid-parameters"),
        ("POST", "/ssh-keys", b"[]", 400, "global/invalid-parameters"),
        ("POST", "/ssh-keys", b"\xff", 400, "global/invalid-parameters"),
        ("POST", "/ssh-keys", b"[" * 100_000, 400, "global/invalid-parameters"),
        ("POST", "/ssh-keys", b" " * 1_100_000, 400, "global/invalid-parameters"),
        ("POST", "/instance-operations/terminate", b'{"instance_ids": []}', 400, None),
        ("GET", "/tickets", b"", 404, "global/not-found"),
        ("GET", "/instances/", b"", 404, None),
        ("PATCH", "/instances", b"", 404, "global/not-found"),
        ("GET", "/instances/%00", b"", 400, "global/invalid-parameters"),
        ("GET", "/instances/" + "a" * 5_000, b"", 404, "global/object-does-not-exist"),
        ("GET", "/instances?cluster_id=" + "a" * 200, b"", 400, "global/invalid-parameters"),
        ("GET", "/audit-events?start=yesterday", b"", 400, "global/invalid-parameters"),
        ("GET", "/audit-events?page_token=AAAA", b"", 400, "global/invalid-parameters"),
        ("DELETE", "/ssh-keys/nothing", b"", 404, "global/object-does-not-exist"),
    ],
)
def test_what_is_wrong_is_said_in_the_form_that_tools_read(
    door: Any, method: str, path: str, content: bytes, status: int, code: str | None
):
    headers = {"Authorization": f"Bearer {door.keys[OWNER]}"}
    answer = door.http.request(method, f"{door.url}/api/v1{path}", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert error_of(answer)["code"] == (code or error_of(answer)["code"])


def test_the_native_door_keeps_its_own_form(door: Any):
    answer = door.http.get(f"{door.url}/gw/v1/nothing")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_adding_the_same_key_again_is_no_error(door: Any):
    first = door.data(OWNER, "POST", "/ssh-keys", {"name": "again", "public_key": PUBLIC})
    # Tools read the key from a file and do not always strip it.
    second = door.data(OWNER, "POST", "/ssh-keys", {"name": "again", "public_key": PUBLIC + "\n"})
    assert first == second == {"id": first["id"], "name": "again", "public_key": PUBLIC}
    names = [key["name"] for key in door.data(OWNER, "GET", "/ssh-keys")]
    assert names.count("again") == 1
    other = {"name": "again", "public_key": "ssh-ed25519 BBBB"}
    answer = door.ask(OWNER, "POST", "/ssh-keys", other)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "global/invalid-parameters"


def test_of_many_that_add_one_key_at_once_all_get_it(door: Any):
    answers: list[Any] = []

    def add() -> None:
        answers.append(door.ask(OWNER, "POST", "/ssh-keys", {"name": "race", "public_key": PUBLIC}))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1


def test_a_pair_is_made_once_and_its_private_half_is_not_kept(door: Any):
    made = door.data(OWNER, "POST", "/ssh-keys", {"name": "pair"})
    private = load_ssh_private_key(made["private_key"].encode(), password=None)
    public = load_ssh_public_key(made["public_key"].encode())
    assert private.public_key() == public
    (kept,) = (key for key in door.data(OWNER, "GET", "/ssh-keys") if key["name"] == "pair")
    assert kept == {name: made[name] for name in ("id", "name", "public_key")}
    answer = door.ask(OWNER, "POST", "/ssh-keys", {"name": "pair"})
    assert answer.status_code == 400


def test_openssh_reads_the_pair(door: Any, tmp_path: Path):
    ssh_keygen = shutil.which("ssh-keygen")
    if ssh_keygen is None:
        pytest.skip("ssh-keygen is not installed")
    made = door.data(OWNER, "POST", "/ssh-keys", {"name": "for-openssh"})
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(made["private_key"], encoding="utf-8")
    told = subprocess.run(
        [ssh_keygen, "-y", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert told.stdout.split()[:2] == made["public_key"].split()[:2]


def test_a_key_is_deleted_and_only_by_its_project(door: Any):
    made = door.data(OWNER, "POST", "/ssh-keys", {"name": "gone", "public_key": PUBLIC})
    path = f"/ssh-keys/{made['id']}"
    assert door.ask("other.owner", "DELETE", path).status_code == 404
    answer = door.ask(OWNER, "DELETE", path)
    assert (answer.status_code, answer.json()) == (200, {"data": {}})
    assert door.ask(OWNER, "DELETE", path).status_code == 404
    assert made["id"] not in {key["id"] for key in door.data(OWNER, "GET", "/ssh-keys")}


def test_keys_are_those_of_the_native_door(door: Any):
    project = door.ids["acme"]["project"]
    body = {"name": "native", "public_key": PUBLIC}
    made = door.ok(OWNER, "POST", f"/projects/{project}/ssh-keys", body)
    assert made["id"] in {key["id"] for key in door.data(OWNER, "GET", "/ssh-keys")}


def test_limits_are_generous_unless_parity_is_asked_for(quiet_world: Any):
    world = quiet_world
    for _ in range(20):
        assert world.ask(OWNER, "GET", "/regions").status_code == 200
    now_s = [0.0]
    settings = world.service.lambda_settings.with_parity()
    for limiter in (settings.rate, settings.launch_rate):
        assert limiter is not None
        limiter._now_s = lambda: now_s[0]
    world.service.lambda_settings = settings
    world.ask(OWNER, "GET", "/regions")
    answer = world.ask(OWNER, "GET", "/regions")
    assert answer.status_code == 429
    assert error_of(answer)["code"] == "global/too-many-requests"
    assert int(answer.headers["Retry-After"]) >= 1
    # Another key has a limit of its own.
    assert world.ask("acme.member", "GET", "/regions").status_code == 200
    launch = ("POST", "/instance-operations/launch", {})
    statuses = []
    for now_s[0] in (10.0, 12.0, 20.0, 22.1, 34.2):
        statuses.append(world.ask(OWNER, *launch).status_code)
    assert statuses == [400, 429, 429, 400, 400]


def test_parity_is_one_request_a_second_and_one_launch_in_twelve():
    now_s = [0.0]
    limiter = RateLimiter(1.0 / 12.0, 1.0, now_s=lambda: now_s[0])
    limiter.take("k")
    now_s[0] = 11.9
    with pytest.raises(RateError):
        limiter.take("k")
    now_s[0] = 12.1
    limiter.take("k")


def test_calls_are_in_the_audit_in_lambdas_words(quiet_world: Any):
    world = quiet_world
    made = world.data(OWNER, "POST", "/ssh-keys", {"name": "k", "public_key": PUBLIC})
    world.ask(OWNER, "DELETE", f"/ssh-keys/{made['id']}")
    page = world.ask(OWNER, "GET", "/audit-events").json()
    assert set(page) == {"data", "page_token"}
    assert page["page_token"] is None
    newest, first = page["data"]
    assert (first["resource_name"], first["action"]) == ("ssh_key", "add")
    assert (newest["resource_name"], newest["action"]) == ("ssh_key", "delete")
    assert newest["resource_lrns"] == [f"lrn:cloud:ssh_key:{made['id']}"]
    assert first["actor_lrn"] == f"lrn:cloud:identity:{world.ids['acme']['account.owner']}"
    assert world.data("other.owner", "GET", "/audit-events") == []
    assert world.ask("acme.member", "GET", "/audit-events").status_code == 403


def test_the_audit_is_read_in_pages_and_by_time_and_kind(quiet_world: Any):
    world = quiet_world
    for number in range(104):
        world.ask(OWNER, "POST", "/ssh-keys", {"name": f"k{number}", "public_key": PUBLIC})
    world.ask(OWNER, "POST", "/instances/0/", {})
    world.ask(OWNER, "POST", "/instances/0", {})
    first = world.ask(OWNER, "GET", "/audit-events").json()
    assert len(first["data"]) == 100
    second = world.ask(OWNER, "GET", f"/audit-events?page_token={first['page_token']}").json()
    assert len(second["data"]) == 5
    assert second["page_token"] is None
    ids = [event["event_id"] for page in (first, second) for event in page["data"]]
    assert ids == sorted(set(ids), reverse=True)
    renames = world.data(OWNER, "GET", "/audit-events?resource_type=cloud.instance")
    assert [event["action"] for event in renames] == ["rename"]
    middle = second["data"][0]["event_time"].replace("+", "%2B")
    before = world.data(OWNER, "GET", f"/audit-events?end={middle}")
    after = world.ask(OWNER, "GET", f"/audit-events?start={middle}").json()
    rest = f"/audit-events?start={middle}&page_token={after['page_token']}"
    (last,) = world.data(OWNER, "GET", rest)
    assert before[0] == second["data"][0] == last
    assert len(before) == 5
    assert world.data(OWNER, "GET", "/audit-events?start=2999-01-01T00:00:00") == []


def test_its_document_names_both_ways_to_show_a_key(door: Any):
    document = door.http.get(f"{door.url}/api/v1/openapi.json").json()
    assert document["servers"] == [{"url": "/api/v1"}]
    schemes = document["components"]["securitySchemes"]
    assert {scheme["scheme"] for scheme in schemes.values()} == {"bearer", "basic"}
    ids = [found["operationId"] for path in document["paths"].values() for found in path.values()]
    assert all("_lambda_" in one for one in ids)
    assert json.dumps(document).count("application/problem") == 0
