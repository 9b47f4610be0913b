"""File systems and firewall rules at the Lambda-compatible door.

Goal: what Lambda's tools do with file systems and rules has the meaning that it has there, by the
native nouns behind: mounts, gateways, operations.
Method: real HTTP against fake devices; what is behind is looked at by the native API.
"""

import threading
import time
from typing import Any

OWNER = "acme.owner"
SSH = {"protocol": "tcp", "port_range": [22, 22], "source_network": "0.0.0.0/0"}
PING = {"protocol": "icmp", "source_network": "0.0.0.0/0"}
WEB = {
    "protocol": "tcp",
    "port_range": [8080, 8090],
    "source_network": "0.0.0.0/0",
    "description": "SkyPilot auto-generated rule for port 8080-8090/tcp",
}


def without_words(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: rule[name] for name in rule if name != "description"} for rule in rules]


def wish(**more: Any) -> dict[str, Any]:
    start = {"region_name": "site-a", "instance_type_name": "gpu_1x_h100_sxm5"}
    return {**start, "ssh_key_names": ["k"], **more}


def launch(world: Any, **more: Any) -> str:
    body = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
    world.data(OWNER, "POST", "/ssh-keys", body)
    made = world.data(OWNER, "POST", "/instance-operations/launch", wish(**more))
    return str(made["instance_ids"][0])


def until(what: Any, limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end_s, "it did not come"
        threading.Event().wait(0.02)


def one(world: Any, instance_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.data(OWNER, "GET", f"/instances/{instance_id}")
    return found


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def inbound(world: Any, instance_id: str) -> list[dict[str, Any]]:
    """What the gateway of an instance lets in, as the native API tells it."""
    cluster_id = one(world, instance_id)["cluster_id"]
    network = world.ok(OWNER, "GET", f"/clusters/{cluster_id}/network")
    rules: list[dict[str, Any]] = network["inbound_rules"]
    return rules


def test_a_file_system_is_made_mounted_and_deleted(world: Any):
    made = world.data(OWNER, "POST", "/filesystems", {"name": "data", "region": "site-a"})
    assert made["mount_point"] == "/lambda/nfs/data"
    assert made["region"]["name"] == "site-a"
    (listed,) = world.data(OWNER, "GET", "/file-systems")
    assert listed == made
    native = world.ok(OWNER, "GET", f"/file-systems/{made['id']}")
    until(lambda: world.ok(OWNER, "GET", f"/file-systems/{made['id']}")["state"] == "active")
    assert native["name"] == "data"
    instance_id = launch(world, file_system_names=["data"])
    found = one(world, instance_id)
    assert found["file_system_names"] == ["data"]
    mount = {"mount_point": "/lambda/nfs/data", "file_system_id": made["id"]}
    assert found["file_system_mounts"] == [mount]
    assert world.data(OWNER, "GET", "/file-systems")[0]["is_in_use"] is True
    path = f"/filesystems/{made['id']}"
    refused = world.ask(OWNER, "DELETE", path)
    assert code_of(refused) == (400, "filesystems/filesystem-in-use")
    until(lambda: one(world, instance_id)["status"] == "active")
    world.data(OWNER, "POST", "/instance-operations/terminate", {"instance_ids": [instance_id]})
    until(lambda: not world.data(OWNER, "GET", "/instances"))
    assert world.data(OWNER, "DELETE", path) == {"deleted_ids": [made["id"]]}
    until(lambda: not world.data(OWNER, "GET", "/file-systems"))
    assert code_of(world.ask(OWNER, "DELETE", path)) == (404, "global/object-does-not-exist")


def test_a_mount_may_be_elsewhere_and_must_be_in_reach(world: Any):
    made = world.data(OWNER, "POST", "/filesystems", {"name": "sets", "region": "site-a"})
    until(lambda: world.ok(OWNER, "GET", f"/file-systems/{made['id']}")["state"] == "active")
    mounts = [{"mount_point": "/data/sets", "file_system_id": made["id"]}]
    found = one(world, launch(world, file_system_names=["sets"], file_system_mounts=mounts))
    assert found["file_system_mounts"] == mounts
    again = world.ask(OWNER, "POST", "/filesystems", {"name": "sets", "region": "site-a"})
    assert code_of(again) == (400, "global/duplicate")
    nowhere = world.ask(OWNER, "POST", "/filesystems", {"name": "a", "region": "us-nowhere-1"})
    assert code_of(nowhere)[0] == 404
    foreign = world.ask("other.owner", "DELETE", f"/filesystems/{made['id']}")
    assert code_of(foreign) == (404, "global/object-does-not-exist")
    assert world.data("other.owner", "GET", "/file-systems") == []


def test_ssh_and_ping_come_in_until_somebody_says_otherwise(world: Any):
    rules = world.data(OWNER, "GET", "/firewall-rules")
    assert without_words(rules) == [SSH, PING]
    instance_id = launch(world)
    assert "firewall_rulesets" not in one(world, instance_id)
    assert {rule["protocol"] for rule in inbound(world, instance_id)} == {"tcp", "icmp"}
    assert world.data(OWNER, "GET", "/firewall-rulesets") == []


def test_rules_are_replaced_as_a_whole_and_reach_instances_that_run(world: Any):
    """What SkyPilot does to open a port: read all, add one, write all."""
    instance_id = launch(world)
    until(lambda: one(world, instance_id)["status"] == "active")
    rules = world.data(OWNER, "GET", "/firewall-rules")
    answer = world.data(OWNER, "PUT", "/firewall-rules", {"data": [*rules, WEB]})
    assert answer == [*rules, WEB] == world.data(OWNER, "GET", "/firewall-rules")
    ports = [WEB["port_range"], SSH["port_range"]]
    until(
        lambda: (
            sorted(
                list(rule["port_range"])
                for rule in inbound(world, instance_id)
                if rule["port_range"]
            )
            == sorted(ports)
        )
    )
    assert one(world, instance_id)["status"] == "active"
    shown = world.data(OWNER, "GET", "/firewall-rulesets/global")
    assert shown == {"id": "global", "name": "Global", "rules": answer}
    closed = world.data(OWNER, "PATCH", "/firewall-rulesets/global", {"rules": []})
    assert closed["rules"] == []
    until(lambda: inbound(world, instance_id) == [])


def test_a_ruleset_lives_beside_the_global_one(world: Any):
    body = {"name": "web", "region": "site-a", "rules": [WEB]}
    made = world.data(OWNER, "POST", "/firewall-rulesets", body)
    assert made["instance_ids"] == []
    instance_id = launch(world, firewall_rulesets=[{"id": made["id"]}])
    assert one(world, instance_id)["firewall_rulesets"] == [{"id": made["id"]}]
    path = f"/firewall-rulesets/{made['id']}"
    assert world.data(OWNER, "GET", path)["instance_ids"] == [instance_id]
    assert len(inbound(world, instance_id)) == 3
    refused = world.ask(OWNER, "DELETE", path)
    assert code_of(refused) == (400, "firewall-rulesets/firewall-ruleset-in-use")
    until(lambda: one(world, instance_id)["status"] == "active")
    changed = world.data(OWNER, "PATCH", path, {"name": "closed", "rules": []})
    assert (changed["name"], changed["rules"]) == ("closed", [])
    until(lambda: len(inbound(world, instance_id)) == 2)
    until(lambda: one(world, instance_id)["status"] == "active")
    world.data(OWNER, "POST", "/instance-operations/terminate", {"instance_ids": [instance_id]})
    until(lambda: not world.data(OWNER, "GET", "/instances"))
    assert world.data(OWNER, "DELETE", path) == {}
    assert world.data(OWNER, "GET", "/firewall-rulesets") == []


def test_rules_that_cannot_be_are_refused(quiet_world: Any):
    for rule in (
        {**SSH, "port_range": [0, 22]},
        {**SSH, "port_range": [23, 22]},
        {**SSH, "port_range": [22]},
        {**PING, "port_range": [1, 2]},
        {**SSH, "source_network": "everywhere"},
        {**SSH, "source_network": "10.0.0.0/8"},
        {**SSH, "protocol": "sctp"},
        {**SSH, "description": "d" * 129},
    ):
        answer = quiet_world.ask(OWNER, "PUT", "/firewall-rules", {"data": [rule]})
        assert code_of(answer) == (400, "global/invalid-parameters"), rule
    rules = quiet_world.data(OWNER, "GET", "/firewall-rules")
    assert without_words(rules) == [SSH, PING]
    many = [{**SSH, "port_range": [n, n]} for n in range(1, 102)]
    answer = quiet_world.ask(OWNER, "PUT", "/firewall-rules", {"data": many})
    assert code_of(answer) == (400, "global/invalid-parameters")
