"""Redfish of a tenant's own nodes, through the API.

Goal: a tenant commands the nodes that it has as a whole, while it has them, and nothing else; a BMC
that is slow, large, lying or hostile harms neither the service nor other tenants.
Method: a real server and its API; simulated BMCs over loopback, and servers that misbehave; raw
requests where a client would tidy an address up.
"""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gigawatt.app import redfish_proxy
from gigawatt.app.redfish_policy import RedfishCall
from gigawatt.app.redfish_proxy import BmcAnswer, BmcRequest, RedfishProxy, SettingsBook
from gigawatt.app.redfish_sender import ANSWER_BYTES_MAX, send_to_bmc
from gigawatt.drivers.redfish import routes
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import DriverRetryableError, RateError
from gigawatt.ids import ClusterId, NodeId, SiteId
from gigawatt.lab.redfish.certificate import make_certificate
from memory_secrets import MemorySecrets
from simulated_bmcs import GOLDEN, OPERATOR, PASSWORD, SimulatedBmcs

RESET = "v1/Systems/{}/Actions/ComputerSystem.Reset"


@pytest.fixture
def url() -> None:
    """On SQLite only: nothing here asks the database for more than others do."""
    return


class Book:
    """Every BMC is the one at ``url``; ``asked`` has for which cluster and node."""

    def __init__(self, url: str = "https://bmc", fingerprint: str = "0" * 64) -> None:
        self.url, self.fingerprint = url, fingerprint
        self.asked: list[tuple[str, str, str]] = []

    def request_to(self, site_id, cluster_id, node_id, secrets):
        del secrets
        self.asked.append((site_id, cluster_id, node_id))
        return lambda call: BmcRequest(
            url=self.url,
            fingerprint=self.fingerprint,
            method=call.method,
            path=call.path,
            body=call.body,
            username=OPERATOR,
            password=PASSWORD,
            source_ipv4="127.0.0.1",
            connect_s_max=2.0,
            limit_s=5.0,
        )


def launched(world: Any, name: str, gpu_count: int = 16) -> tuple[str, list[str]]:
    body = {"project_id": world.ids["acme"]["project"], "name": name, "gpu_count": gpu_count}
    made = world.ok("acme.member", "POST", "/clusters", body)
    assert world.ended(made["operation_id"])["state"] == "done"
    target = world.service.control.around.store.cluster(ClusterId(made["id"])).target
    return made["id"], [str(member.node_id) for member in target.members]


def use(world: Any, book: Any, send: Any) -> RedfishProxy:
    fleet = world.service.control.around.fleet
    world.service.redfish = RedfishProxy(fleet, MemorySecrets(), book, send)
    return world.service.redfish


def path(cluster_id: str, node_id: str, resource: str) -> str:
    return f"/clusters/{cluster_id}/nodes/{node_id}/redfish/{resource}"


def answering(status: int, body: Any = b"{}", asked: list[BmcRequest] | None = None) -> Any:
    def send(request: BmcRequest) -> BmcAnswer:
        if asked is not None:
            asked.append(request)
        return BmcAnswer(status, body if isinstance(body, bytes) else json.dumps(body).encode())

    return send


def test_a_tenant_commands_its_own_nodes_and_only_while_it_has_them(world: Any):
    cluster_id, nodes = launched(world, "train")
    bmcs = SimulatedBmcs([NodeId(nodes[0])])
    try:
        own = bmcs.reach.bmcs[NodeId(nodes[0])]
        book = Book(bmcs.url(NodeId(nodes[0])), own.fingerprint)
        use(world, book, send_to_bmc)
        _command(world, cluster_id, nodes[0])
        assert {one[1:] for one in book.asked} == {(cluster_id, nodes[0])}
        _strangers(world, cluster_id, nodes[0])
    finally:
        bmcs.close()


def _command(world: Any, cluster_id: str, node_id: str) -> None:
    root = world.ok("acme.member", "GET", path(cluster_id, node_id, "v1/"))
    assert root["@odata.id"].startswith("/gw/v1/clusters/")
    assert "AccountService" not in json.dumps(root)
    # A client that follows links finds the system behind them.
    systems = world.http.get(
        world.url + root["Systems"]["@odata.id"],
        headers={"Authorization": f"Bearer {world.keys['acme.member']}"},
    ).json()
    system = systems["Members"][0]["@odata.id"].partition("/redfish/")[2]
    shown = world.ok("acme.member", "GET", path(cluster_id, node_id, system))
    assert shown["PowerState"] in {"On", "Off"}
    assert "LogServices" not in shown
    action = shown["Actions"]["#ComputerSystem.Reset"]["target"].partition("/redfish/")[2]
    world.ok("acme.member", "POST", path(cluster_id, node_id, action), {"ResetType": "On"})
    shown = world.ok("acme.member", "GET", path(cluster_id, node_id, system))
    assert shown["PowerState"] == "On"
    boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}
    world.ok("acme.member", "PATCH", path(cluster_id, node_id, system), {"Boot": boot})
    shown = world.ok("acme.member", "GET", path(cluster_id, node_id, system))
    assert shown["Boot"]["BootSourceOverrideTarget"] == "Cd"
    absent = world.call("acme.member", "GET", path(cluster_id, node_id, "v1/Systems/none"))
    assert absent.status_code == 404
    organisation = world.ids["acme"]["organisation"]
    audit = world.ok("acme.owner", "GET", f"/organisations/{organisation}/audit")["items"]
    (reset,) = [row for row in audit if row["operation"] == "call_redfish"]
    assert reset["after"]["body"] == {"ResetType": "On"}
    assert reset["after"]["node_id"] == node_id


def _strangers(world: Any, cluster_id: str, node_id: str) -> None:
    at = path(cluster_id, node_id, "v1")
    assert world.call(None, "GET", at).status_code == 401
    assert world.call("other.member", "GET", at).status_code == 404
    assert world.call("acme.read_only", "GET", at).status_code == 403
    everybody = world.service.control.around.fleet.nodes.ids
    target = world.service.control.around.store.cluster(ClusterId(cluster_id)).target
    own = {member.node_id for member in target.members}
    foreign = next(node for node in everybody if node not in own)
    assert world.call("acme.member", "GET", path(cluster_id, foreign, "v1")).status_code == 404
    gone = world.ok("acme.member", "POST", f"/clusters/{cluster_id}:release")
    assert world.call("acme.member", "GET", at).status_code in {404, 409}
    world.ended(gone["operation_id"])
    assert world.call("acme.member", "GET", at).status_code in {404, 409}


def test_a_part_of_a_node_is_not_commanded(world: Any):
    cluster_id, nodes = launched(world, "part", gpu_count=4)
    asked: list[BmcRequest] = []
    use(world, Book(), answering(200, {}, asked))
    answer = world.call("acme.member", "GET", path(cluster_id, nodes[0], "v1"))
    assert answer.status_code == 409
    assert "part of" in answer.json()["detail"]
    assert not asked


def test_without_real_bmcs_there_is_nothing_to_command(world: Any):
    cluster_id, nodes = launched(world, "fake")
    answer = world.call("acme.member", "GET", path(cluster_id, nodes[0], "v1"))
    assert answer.status_code == 409
    assert "site.yaml" in answer.json()["next_step"]


def test_no_trick_with_an_address_reaches_a_bmc(world: Any):
    cluster_id, nodes = launched(world, "tricks")
    asked: list[BmcRequest] = []
    use(world, Book(), answering(200, {}, asked))
    base = f"/gw/v1/clusters/{cluster_id}/nodes/{nodes[0]}/redfish/"
    statuses = {}
    for resource in (
        *("v1/Systems/../AccountService", "v1/Systems/%2e%2e/AccountService"),
        *("v1/Systems/..%2fAccountService", "v1//Systems", "v1/systems", "v1/AccountService"),
        *("v1/Systems?$expand=*", "v1/Systems/1%00", "v1/Systems/1%0d%0aHost:x", "/v1/Systems"),
        *("v1/Systems/redfish/v1/AccountService", "https://evil.example/", "v1/%53ystems"),
        *("../../../../nodes", "v1/Systems/%252e%252e/AccountService"),
    ):
        for method in ("GET", "POST", "PATCH"):
            status = raw(world, method, base + resource, b'{"ResetType": "On"}')
            statuses[method, resource] = status
    assert set(statuses.values()) <= {400, 403, 404}, statuses
    assert not asked
    assert raw(world, "GET", base + "v1/Systems") == 200
    assert [one.path for one in asked] == ["/redfish/v1/Systems"]
    for method in ("PUT", "DELETE"):
        assert raw(world, method, base + "v1/Systems/1") in {404, 405}
    assert len(asked) == 1


def raw(world: Any, method: str, target: str, body: bytes = b"") -> int:
    """The status of a request whose address nobody tidies up."""
    host, _, tcp_port = world.url.removeprefix("http://").partition(":")
    key = world.keys["acme.member"]
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(tcp_port)), timeout=30.0) as connection:
        connection.sendall(head.encode() + body)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


def test_what_a_bmc_answers_is_told_in_our_words(world: Any):
    cluster_id, nodes = launched(world, "words")
    at = path(cluster_id, nodes[0], "v1/Systems/1")
    secret = {"error": "https://bmc/ operator is not allowed"}
    for status, wanted in (
        *((200, 200), (204, 200), (301, 502), (302, 502), (304, 502), (400, 409), (401, 502)),
        *((403, 502), (404, 404), (405, 409), (409, 409), (429, 503), (500, 503), (503, 503)),
    ):
        use(world, Book(), answering(status, b"" if status == 204 else secret))
        answer = world.call("acme.member", "GET", at)
        assert answer.status_code == wanted, (status, answer.text)
        assert "https://bmc" not in answer.text
        assert "WWW-Authenticate" not in answer.headers
    for body in (b"<html>", b"[" * 100_000, b"\xff", b"NaN1", b'"text"', b"[]"):
        use(world, Book(), answering(200, body))
        answer = world.call("acme.member", "GET", at)
        assert answer.status_code in {200, 502}, answer.text
        assert answer.json() == {} or answer.status_code == 502


def test_a_large_body_is_refused_before_a_bmc_hears_of_it(world: Any):
    cluster_id, nodes = launched(world, "large")
    asked: list[BmcRequest] = []
    use(world, Book(), answering(200, {}, asked))
    at = path(cluster_id, nodes[0], RESET.format(1))
    body = {"ResetType": "On", "x": "y" * (2 << 20)}
    assert world.call("acme.member", "POST", at, body).status_code == 413
    assert world.call("acme.member", "POST", at, ["ResetType"]).status_code == 400
    assert not asked


def test_a_repeated_reset_is_done_once(world: Any):
    cluster_id, nodes = launched(world, "once")
    asked: list[BmcRequest] = []
    use(world, Book(), answering(204, b"", asked))
    at, headers = path(cluster_id, nodes[0], RESET.format(1)), {"Idempotency-Key": "k"}
    for _ in range(3):
        body = {"ResetType": "ForceRestart"}
        assert world.call("acme.member", "POST", at, body, headers).status_code == 200
    assert len(asked) == 1


def test_two_requests_hold_a_bmc_and_no_more(world: Any):
    cluster_id, nodes = launched(world, "busy")
    record = world.service.control.around.store.cluster(ClusterId(cluster_id))
    let_go, begun = threading.Event(), threading.Semaphore(0)

    def send(request: BmcRequest) -> BmcAnswer:
        del request
        begun.release()
        let_go.wait(30.0)
        return BmcAnswer(200, b"{}")

    proxy = use(world, Book(), send)
    call = RedfishCall("GET", "/redfish/v1")
    threads = [
        threading.Thread(target=proxy.carry, args=(record, NodeId(nodes[0]), call, ""))
        for _ in range(redfish_proxy.CALLS_AT_ONCE_MAX)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=30.0)
    with pytest.raises(RateError):
        proxy.carry(record, NodeId(nodes[0]), call, "")
    let_go.set()
    for thread in threads:
        thread.join()
    assert proxy.carry(record, NodeId(nodes[0]), call, "") == {}


# --- the sender against servers that misbehave -------------------------------------------------


@contextmanager
def bmc_that_says(tmp_path: Path, pieces: Iterator[bytes]) -> Iterator[BmcRequest]:
    """A TLS server that answers one request with these bytes, whatever they are."""
    pem, fingerprint = make_certificate("bmc", "127.0.0.1")
    (tmp_path / "bmc.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "bmc.pem")
    listening = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def serve() -> None:
        try:
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65_536)
                for piece in pieces:
                    if is_over.is_set():
                        return
                    secure.sendall(piece)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield BmcRequest(
            url=f"https://127.0.0.1:{listening.getsockname()[1]}",
            fingerprint=fingerprint,
            method="GET",
            path="/redfish/v1",
            body=None,
            username="u",
            password="Swordfish-1",  # noqa: S106 - of nobody
            source_ipv4=None,
            connect_s_max=5.0,
            limit_s=5.0,
        )
    finally:
        is_over.set()
        listening.close()
        thread.join(5.0)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_an_answer_without_end_is_cut_off(tmp_path):
    def endless() -> Iterator[bytes]:
        yield HEAD + b"\r\n"
        while True:
            yield b" " * 65_536

    with (
        bmc_that_says(tmp_path, endless()) as asked,
        pytest.raises(DriverRetryableError, match=str(ANSWER_BYTES_MAX)),
    ):
        send_to_bmc(asked)


def test_an_answer_that_drips_is_cut_off(tmp_path):
    wait = threading.Event()

    def dripping() -> Iterator[bytes]:
        yield HEAD + b"\r\n"
        for _ in range(1_000):
            wait.wait(0.02)
            yield b" "

    with (
        bmc_that_says(tmp_path, dripping()) as asked,
        pytest.raises(DriverRetryableError, match="in time"),
    ):
        send_to_bmc(replace(asked, limit_s=0.3))


def test_nothing_is_said_to_who_shows_another_certificate(tmp_path):
    with bmc_that_says(tmp_path, iter([HEAD + b"Content-Length: 2\r\n\r\n{}"])) as asked:
        other = replace(asked, fingerprint="0" * 64)
        with pytest.raises(DriverRetryableError) as caught:
            send_to_bmc(other)
        assert "Swordfish" not in str(caught.value) + repr(asked)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /redfish/v1/x\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_redirection_is_not_followed(tmp_path, said):
    with bmc_that_says(tmp_path, iter([said])) as asked:
        assert send_to_bmc(asked).status in {302, 307}


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", HEAD + b"x" * 100_000, b"\0" * 100])
def test_what_is_no_answer_may_be_tried_again(tmp_path, said):
    with bmc_that_says(tmp_path, iter([said])) as asked, pytest.raises(DriverRetryableError):
        send_to_bmc(asked)


# --- where requests go, and from where ----------------------------------------------------------


def test_requests_come_from_the_clusters_own_address_with_its_own_account(monkeypatch, tmp_path):
    address = {"ipv4": "100.64.0.9", "fingerprint": "a" * 64}
    settings = RedfishSettings.model_validate(
        {
            "reach": {
                "bmcs": {"h1": address},
                "username": "op",
                "passwords_path": str(tmp_path / "none"),
                "call_s_max": 7.0,
            },
            "switches": {},
            "golden_accounts": GOLDEN,
        }
    )
    found: list[str | None] = ["100.127.0.7"]

    async def proxy_address_of(*_: Any) -> str | None:
        await asyncio.sleep(0)
        return found[0]

    monkeypatch.setattr(routes, "proxy_address_of", proxy_address_of)
    secrets, book = MemorySecrets(), SettingsBook([settings])
    place = (SiteId("site-a"), ClusterId("clu_a"))
    assert book.request_to(*place, NodeId("elsewhere"), secrets) is None
    record = redfish_proxy.bmc_secret_ref_of(ClusterId("clu_a"), NodeId("h1"))
    secrets.put(record, "the-clusters-own")
    making = book.request_to(*place, NodeId("h1"), secrets)
    assert making is not None
    asked = making(RedfishCall("GET", "/redfish/v1"))
    assert asked.url == "https://100.64.0.9:443"
    assert asked.source_ipv4 == "100.127.0.7"
    assert asked.password == "the-clusters-own"  # noqa: S105 - of nobody
    assert asked.username == redfish_proxy.bmc_username_of(ClusterId("clu_a"))
    assert asked.limit_s == 7.0
    assert "the-clusters-own" not in repr(asked)
    found[0] = None
    with pytest.raises(DriverRetryableError, match="reach no BMC"):
        book.request_to(*place, NodeId("h1"), secrets)


def test_operators_see_which_drivers_are_in_use(world: Any):
    found = world.ok("operator", "GET", "/site")["drivers"]
    assert {one["plane"] for one in found} == {
        *("fabric", "in_band", "out_of_band", "storage", "host"),
    }
    assert {one["driver"] for one in found} == {"fake"}
    assert world.call("acme.owner", "GET", "/site").status_code == 403
