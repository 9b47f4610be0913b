"""Firewall rulesets and the network of a cluster, over HTTP.

Goal: a cluster lets in what its rulesets say and nothing else; a change of a ruleset reaches every
cluster that names it, also those that were not active then; what is in use is not deleted.
Method: a real server on loopback with its worker on fake devices, whose gateway is looked at.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gigawatt.app import firewall
from gigawatt.boundary.entries import Gateway
from gigawatt.errors import ConflictError, InputError
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

SITE = "site-a"
SSH = {"protocol": "tcp", "port_range": [22, 22], "source_network": "192.0.2.0/24"}
WEB = {"protocol": "tcp", "port_range": [443, 443], "source_network": "0.0.0.0/0"}


def ruleset(world: Any, name: str = "door", *rules: dict[str, Any], who: str = "acme") -> str:
    body = {
        "project_id": world.ids[who]["project"],
        "name": name,
        "site_id": SITE,
        "rules": list(rules),
    }
    found: str = world.ok(f"{who}.member", "POST", "/firewall-rulesets", body)["id"]
    return found


def committed(world: Any, name: str, *ruleset_ids: str) -> dict[str, Any]:
    body = {
        "project_id": world.ids["acme"]["project"],
        "name": name,
        "gpu_count": 8,
        "firewall_ruleset_ids": list(ruleset_ids),
    }
    found: dict[str, Any] = world.ok("acme.member", "POST", "/clusters", body)
    return found


def launched(world: Any, name: str, *ruleset_ids: str) -> str:
    made = committed(world, name, *ruleset_ids)
    assert world.ended(made["operation_id"])["state"] == "done"
    found: str = made["id"]
    return found


def let_in(world: Any, cluster_id: str) -> set[tuple[str, Any]]:
    """What a cluster's target, and the gateway itself, let in; both must agree."""
    shown = world.ok("acme.member", "GET", f"/clusters/{cluster_id}/network")["inbound_rules"]
    control = world.service.control
    proof, seen = run(control.prove_devices())
    assert proof.is_proven, proof.violations
    vni = control.around.store.cluster(cluster_id).target.keys.vni
    gateway = next(e for e in seen.entries() if isinstance(e, Gateway) and e.vni == vni)
    found = {(rule.source_cidr, rule.port_range) for rule in gateway.inbound_rules}
    assert found == {(r["source_network"], tuple(r["port_range"])) for r in shown}
    return found


def run(work: Any) -> Any:
    import asyncio  # noqa: PLC0415 - the one place that needs it

    return asyncio.run(work)


def until(is_so: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait until something is so, and fail when it is not in time."""
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come"
        threading.Event().wait(0.02)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters that do not follow yet are asked again at the next look."""
    monkeypatch.setattr(firewall, "FOLLOW_PAUSE_S", 0.0)


def test_a_change_of_a_ruleset_reaches_every_cluster_that_names_it(world: Any):
    door = ruleset(world, "door", SSH)
    one, other = (launched(world, name, door) for name in ("one", "other"))
    closed = launched(world, "closed")
    assert let_in(world, one) == {("192.0.2.0/24", (22, 22))}
    assert let_in(world, closed) == set()
    shown = world.ok("acme.member", "GET", f"/firewall-rulesets/{door}")
    assert (shown["is_applied"], sorted(shown["cluster_ids"])) == (True, sorted([one, other]))
    path = f"/firewall-rulesets/{door}"
    changed = world.ok("acme.member", "PATCH", path, {"rules": [WEB]})
    assert (changed["version"], changed["is_applied"]) == (2, False)
    for operation_id in changed["operation_ids"]:
        assert world.ended(operation_id)["kind"] == "configure"
    until(lambda: world.ok("acme.member", "GET", path)["is_applied"])
    for cluster in (one, other):
        assert let_in(world, cluster) == {("0.0.0.0/0", (443, 443))}
    assert let_in(world, closed) == set()


def test_one_that_is_launching_follows_when_it_is_active(quiet_world: Any):
    """A plan that was made with the rules of before is not carried out either."""
    world = quiet_world
    door = ruleset(world, "door", SSH)
    made = committed(world, "late", door)
    shown = world.ok(
        "acme.member",
        "POST",
        "/plans",
        {
            "project_id": world.ids["acme"]["project"],
            "name": "planned",
            "gpu_count": 8,
            "firewall_ruleset_ids": [door],
        },
    )
    path = f"/firewall-rulesets/{door}"
    changed = world.ok("acme.member", "PATCH", path, {"rules": [WEB]})
    assert (changed["is_applied"], changed["operation_ids"]) == (False, [])
    stale = world.call("acme.member", "POST", f"/plans/{shown['id']}:apply")
    assert (stale.status_code, "has changed" in stale.json()["detail"]) == (409, True)
    world.service.worker.start()
    until(lambda: world.ok("acme.member", "GET", path)["is_applied"])
    assert let_in(world, made["id"]) == {("0.0.0.0/0", (443, 443))}


def test_a_running_cluster_is_configured_and_a_ruleset_in_use_stays(world: Any):
    door, window = ruleset(world, "door", SSH), ruleset(world, "window", SSH, WEB)
    with Client(world.url, world.keys["acme.member"]) as client:
        cluster = launched(world, "train", door)
        with pytest.raises(ConflictError, match="in use"):
            client.delete_firewall_ruleset(door)
        made = client.configure_cluster(
            cluster, egress_cidrs=["203.0.113.0/24"], firewall_ruleset_ids=[door, window]
        )
        assert made.operation_id is not None
        assert world.ended(made.operation_id)["state"] == "done"
        assert let_in(world, cluster) == {("192.0.2.0/24", (22, 22)), ("0.0.0.0/0", (443, 443))}
        made = client.configure_cluster(cluster, firewall_ruleset_ids=[])
        assert made.operation_id is not None
        assert world.ended(made.operation_id)["state"] == "done"
        network = client.get_cluster_network(cluster)
        assert (network.inbound_rules, network.egress_cidrs) == ([], ["203.0.113.0/24"])
        assert network.hosts[0].ipv4.startswith(network.gateway_ipv4.rpartition(".")[0])
        assert "vni" not in network.model_dump_json()
        client.delete_firewall_ruleset(door)
        with pytest.raises(InputError, match="inside network"):
            client.configure_cluster(cluster, egress_cidrs=["10.0.0.0/20"])
        with pytest.raises(ConflictError, match="already"):
            client.create_firewall_ruleset(
                doc.CreateFirewallRuleset(
                    project_id=world.ids["acme"]["project"], name="window", site_id=SITE
                )
            )


def test_wrong_rules_and_foreign_rulesets_are_refused(world: Any):
    project_id = world.ids["acme"]["project"]
    for wrong in (
        {**SSH, "source_network": "10.1.0.0/16"},
        {**SSH, "source_network": "100.64.0.0/10"},
        {**SSH, "source_network": "192.0.2.1/24"},
        {**SSH, "port_range": [23, 22]},
        {**SSH, "protocol": "icmp"},
        {**SSH, "protocol": "gre"},
        {**SSH, "description": "x" * 129},
    ):
        body = {"project_id": project_id, "name": "n", "site_id": SITE, "rules": [wrong]}
        assert world.call("acme.member", "POST", "/firewall-rulesets", body).status_code == 400
    body = {"project_id": project_id, "name": "n", "site_id": SITE, "rules": [SSH] * 101}
    assert world.call("acme.member", "POST", "/firewall-rulesets", body).status_code == 400
    theirs = ruleset(world, "theirs", SSH, who="other")
    assert world.call("acme.member", "GET", f"/firewall-rulesets/{theirs}").status_code == 404
    cluster = launched(world, "train")
    for path, more in (
        ("/clusters", {"project_id": project_id, "name": "nosy", "gpu_count": 8}),
        (f"/clusters/{cluster}:configure", {}),
    ):
        body = {**more, "firewall_ruleset_ids": [theirs]}
        assert world.call("acme.member", "POST", path, body).status_code == 404
        assert world.call("operator", "POST", path, body).status_code == 404
