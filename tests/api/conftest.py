"""A service on a small fleet, served on loopback, with one organisation beside the operator's."""

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigawatt.api.application import build_application
from gigawatt.app.home import DATABASE_VARIABLE, Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.server import make_server
from gigawatt.app.service import Service, make_first_key, open_service
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.identity.keys import digest_of, secret_text
from gigawatt.identity.sessions import Session, SessionId, cookie_text, csrf_text
from gigawatt.ids import TenantId
from postgres_server import Server, postgres_server

__all__ = ["postgres_server"]  # a fixture that pytest finds here

BASE = "/gw/v1"

ORIGIN = "http://127.0.0.1"
"""Where browsers are said to see the service; nobody answers for its login provider."""


@dataclass
class World:
    """A running server and who may use it.

    Fields: keys by name, where ``acme.owner`` is the owner of the organisation acme; ids of the
    objects that were made for each organisation, by noun; operations by the door's path.
    """

    url: str
    service: Service
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, dict[str, str]] = field(default_factory=dict)
    described: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30.0))

    def call(
        self,
        who: str | None,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request by a holder of a key."""
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self.keys.get(who, who)}"
        return self.http.request(method, self.url + BASE + path, json=body, headers=sent)

    def ask(
        self,
        who: str | None,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request at the Lambda-compatible door, as its tools send it: bare JSON."""
        sent = dict(headers or {})
        if who is not None:
            sent.setdefault("Authorization", f"Bearer {self.keys.get(who, who)}")
        content = None if body is None else json.dumps(body)
        return self.http.request(method, self.url + "/api/v1" + path, content=content, headers=sent)

    def data(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """What is in an answer of that door, which must be one that its tools take."""
        response = self.ask(who, method, path, body)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def cookie_for(self, account_id: str) -> tuple[str, str]:
        """Cookie and CSRF token of a new session of an account."""
        service, secret = self.service, secret_text(secrets.token_bytes(32))
        now_s = service.now_s()
        session_id = SessionId(f"ses_{secrets.token_hex(8)}")
        account = service.directory.account(AccountId(account_id))
        made = Session(
            session_id, account.account_id, None, digest_of(secret), now_s, now_s, now_s + 3_600
        )
        service.sessions.add_session(made, None)
        return cookie_text(session_id, secret), csrf_text(secret)

    def by_cookie(
        self, account_id: str, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One request of a page of ours, in a browser in which an account is logged in."""
        cookie, csrf = self.cookie_for(account_id)
        sent = {"Cookie": f"gw_session={cookie}", "Origin": ORIGIN, "X-CSRF-Token": csrf, **headers}
        return self.http.request(method, self.url + BASE + path, json=body, headers=sent)

    def ok(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The document of a request that must succeed."""
        response = self.call(who, method, path, body, **more)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    def ended(self, operation_id: str, limit_s: float = 30.0) -> dict[str, Any]:
        """An operation after its end."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            found: dict[str, Any] = self.ok("operator", "GET", f"/operations/{operation_id}")
            if found["finished_at"] is not None:
                return found
            threading.Event().wait(0.02)
        raise AssertionError(f"operation {operation_id} did not end: {json.dumps(found)}")


def small_home(
    path: Path, gpu_count: int = 512, fleet: Fleet | None = None, url: str | None = None
) -> Home:
    """A home with a small fleet."""
    home = Home(path, url)
    home.make()
    home.fleet_path.write_text(dump_fleet(fleet or hgx_fleet(gpu_count)), encoding="utf-8")
    secret_path = path / "secret"
    secret_path.write_text("for tests only", encoding="utf-8")
    secret_path.chmod(0o600)
    home.login_path.write_text(
        f"public_url: {ORIGIN}\nissuer: https://login.example.com\nclient_id: gigawatt\n"
        f"client_secret_file: {secret_path}\n",
        encoding="utf-8",
    )
    return home


@contextmanager
def serving(service: Service, *, with_worker: bool = True) -> Iterator[str]:
    """The address of a real server in a thread."""
    server = make_server(build_application, service, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    if with_worker:
        service.worker.start()
    tcp_port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{tcp_port}"
    finally:
        service.is_stopping = True
        server.should_exit = True
        thread.join()
        service.worker.stop(10.0)


def populate(world: World) -> None:
    """Organisations acme and other: a project, an account and a key of every role, each."""
    service = world.service
    directory, new_id, now_s = service.directory, service.control.new_id, service.now_s()
    for name in ("acme", "other"):
        organisation_id = OrganisationId(new_id("org"))
        directory.add_organisation(Organisation(organisation_id, name, now_s))
        project = Project(TenantId(new_id("ten")), organisation_id, "p", 256, now_s)
        directory.add_project(project)
        ids = {"organisation": organisation_id, "project": project.project_id}
        for role in AccountRole:
            account = Account(
                AccountId(new_id("acc")), organisation_id, role.value, "user", role, now_s
            )
            directory.add_account(account)
            key, text = service.new_key(account.account_id, "k")
            world.keys[f"{name}.{role.value}"] = text
            ids |= {f"account.{role.value}": account.account_id, f"key.{role.value}": key.key_id}
        world.ids[name] = ids


@contextmanager
def new_world(
    path: Path,
    gpu_count: int = 512,
    *,
    with_worker: bool = True,
    fleet: Fleet | None = None,
    url: str | None = None,
) -> Iterator[World]:
    """A populated world in a folder, its store in the database at ``url`` if one is given."""
    with open_service(small_home(path, gpu_count, fleet, url)) as service:
        service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
        with serving(service, with_worker=with_worker) as address:
            world = World(address, service)
            world.keys["operator"] = make_first_key(service, "olu")
            populate(world)
            yield world
            world.http.close()


@pytest.fixture(scope="session")
def new_world_of() -> Any:
    """What makes a world, for fixtures that live longer than a test."""
    return new_world


ENGINES = [
    "sqlite",
    pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres]),
]
"""Every test of a world runs on both; on PostgreSQL in the long run, a sample in the quick one."""


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """URL of an empty database, None where the store is a file; other processes take it too."""
    if request.param == "sqlite":
        yield None
        return
    server: Server = request.getfixturevalue("postgres_server")
    with server.database() as made:
        monkeypatch.setenv(DATABASE_VARIABLE, made)
        yield made


@pytest.fixture
def world(tmp_path: Path, url: str | None) -> Iterator[World]:
    """A world with a worker, for one test alone."""
    with new_world(tmp_path / "home", url=url) as made:
        yield made


@pytest.fixture
def quiet_world(tmp_path: Path, url: str | None) -> Iterator[World]:
    """A world whose worker never starts, so that operations stay where they were committed."""
    with new_world(tmp_path / "home", with_worker=False, url=url) as made:
        yield made


@pytest.fixture(scope="session")
def serving_of() -> Any:
    """What serves a service, for tests with several."""
    return serving
