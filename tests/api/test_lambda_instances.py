"""Instances at the Lambda-compatible door.

Goal: an instance is launched, seen, renamed and given back as Lambda's tools expect it, and is a
cluster of one node behind, fenced like any other.
Method: real HTTP against a service with fake devices. Where a moment matters, the worker does not
run and operations stay where they were committed.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gigawatt.app.instance_release import release_unwanted
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.catalogue import node_type
from gigawatt.ids import ClusterId, TenantId
from gigawatt.planner.phases import Phase

TYPE = "gpu_1x_h100_sxm5"
NODE = "gpu_8x_h100_sxm5"
OWNER = "acme.owner"


def wish(**more: Any) -> dict[str, Any]:
    start = {"region_name": "site-a", "instance_type_name": TYPE, "ssh_key_names": ["k"]}
    return {**start, **more}


def add_key(world: Any, who: str = OWNER, name: str = "k") -> None:
    world.data(who, "POST", "/ssh-keys", {"name": name, "public_key": "ssh-ed25519 AAAA me"})


def launch(world: Any, **more: Any) -> str:
    made = world.data(OWNER, "POST", "/instance-operations/launch", wish(**more))
    (instance_id,) = made["instance_ids"]
    return str(instance_id)


def listed(world: Any, who: str = OWNER, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.data(who, "GET", f"/instances{query}")
    return found


def one(world: Any, instance_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.data(OWNER, "GET", f"/instances/{instance_id}")
    return found


def refused(world: Any, path: str, body: Any, who: str = OWNER) -> tuple[int, str, str]:
    """Status, code and message of a refusal; its suggestion is never empty."""
    answer = world.ask(who, "POST", path, body)
    error = answer.json()["error"]
    assert error["suggestion"], error
    return answer.status_code, error["code"], error["message"]


def until(world: Any, what: Any, limit_s: float = 30.0) -> Any:
    """What ``what`` gives, as soon as it is true."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        found = what()
        if found:
            return found
        threading.Event().wait(0.02)
    raise AssertionError(str(listed(world)))


def is_active(world: Any, instance_id: str) -> Any:
    return until(world, lambda: one(world, instance_id)["status"] == "active")


def test_an_instance_is_a_fenced_cluster_of_one_slice_and_leaves_nothing(world: Any):
    add_key(world)
    instance_id = launch(world, name="my first", tags=[{"key": "team", "value": "red"}])
    assert len(instance_id) == 32
    assert set(instance_id) <= set("0123456789abcdef")
    is_active(world, instance_id)
    found = one(world, instance_id)
    assert found["name"] == "my first"
    assert found["tags"] == [{"key": "team", "value": "red"}]
    assert found["ssh_key_names"] == ["k"]
    assert found["instance_type"]["specs"]["gpus"] == 1
    assert found["actions"]["terminate"] == {"available": True}
    cluster = world.ok(OWNER, "GET", f"/clusters/{found['cluster_id']}")
    assert (cluster["state"], cluster["config"]["gpu_count"]) == ("active", 1)
    assert cluster["config"]["ssh_public_keys"] == ["ssh-ed25519 AAAA me"]
    assert cluster["config"]["egress_cidrs"] == ["0.0.0.0/0"]
    assert world.service.control.prove_targets().is_isolated
    gone = {"instance_ids": [instance_id]}
    answer = world.data(OWNER, "POST", "/instance-operations/terminate", gone)
    (last,) = answer["terminated_instances"]
    assert (last["id"], last["status"]) == (instance_id, "terminating")
    until(world, lambda: not listed(world))
    assert world.ask(OWNER, "GET", f"/instances/{instance_id}").status_code == 404
    ended = world.ok(OWNER, "GET", f"/clusters/{found['cluster_id']}")
    assert ended["state"] == "released"


def test_addresses_are_left_out_until_they_are_true(quiet_world: Any):
    world = quiet_world
    add_key(world)
    found = one(world, launch(world))
    assert found["status"] == "booting"
    assert {"ip", "private_ip", "name", "jupyter_url"}.isdisjoint(found)
    assert None not in found.values()


def test_names_are_not_unique_and_change(quiet_world: Any):
    world = quiet_world
    add_key(world)
    first, second = launch(world, name="worker"), launch(world, name="worker")
    assert [seen["name"] for seen in listed(world)] == ["worker", "worker"]
    renamed = world.data(OWNER, "POST", f"/instances/{first}", {"name": "other"})
    assert renamed["name"] == "other"
    assert one(world, second)["name"] == "worker"
    assert "name" not in world.data(OWNER, "POST", f"/instances/{first}", {})


def test_a_launch_takes_all_that_tools_send(quiet_world: Any):
    world = quiet_world
    add_key(world)
    found = world.data(OWNER, "GET", "/images")[1]
    bodies = (
        {"quantity": 1, "file_system_names": [], "name": None, "hostname": "head-1"},
        {"image": {"id": found["id"]}, "user_data": "", "firewall_rulesets": []},
        {"image": {"family": found["family"]}, "file_system_mounts": [], "unheard_of": 1},
    )
    made = [one(world, launch(world, **body)) for body in bodies]
    assert made[0]["hostname"].startswith("head-1-")
    assert len({each["hostname"] for each in made}) == 3


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"quantity": 2}, 400, "global/invalid-parameters"),
        ({"quantity": 0}, 400, "global/invalid-parameters"),
        ({"ssh_key_names": []}, 400, "global/invalid-parameters"),
        ({"ssh_key_names": ["k", "k"]}, 400, "global/invalid-parameters"),
        ({"ssh_key_names": ["of nobody"]}, 404, "global/object-does-not-exist"),
        ({"region_name": "us-nowhere-1"}, 404, "global/object-does-not-exist"),
        ({"instance_type_name": "gpu_1x_a10"}, 404, "global/object-does-not-exist"),
        ({"image": {"family": "windows"}}, 404, "global/object-does-not-exist"),
        ({"image": {"id": "0" * 32}}, 404, "global/object-does-not-exist"),
        ({"file_system_names": ["data"]}, 404, "global/object-does-not-exist"),
        ({"firewall_rulesets": [{"id": "f"}]}, 404, "global/object-does-not-exist"),
        ({"user_data": "#cloud-config"}, 400, "global/invalid-parameters"),
        ({"user_data": "x" * 1_000_001}, 400, "global/invalid-parameters"),
        ({"hostname": "-no"}, 400, "global/invalid-parameters"),
        ({"name": "n" * 65}, 400, "global/invalid-parameters"),
        ({"tags": [{"key": "UPPER", "value": ""}]}, 400, "global/invalid-parameters"),
        ({"tags": [{"key": "key", "value": "v"}] * 51}, 400, "global/invalid-parameters"),
    ],
)
def test_a_launch_that_cannot_be_is_refused_and_leaves_nothing(
    refusing: Any, more: dict[str, Any], status: int, code: str
):
    path = "/instance-operations/launch"
    assert refused(refusing, path, wish(**more))[:2] == (status, code)
    assert listed(refusing) == []


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, new_world_of: Any) -> Iterator[Any]:
    """A world in which nothing is launched."""
    with new_world_of(tmp_path_factory.mktemp("home"), 64, with_worker=False) as world:
        add_key(world)
        yield world


def test_a_booting_instance_is_terminated_too(world: Any):
    add_key(world)
    instance_id = launch(world, instance_type_name=NODE)
    for _ in range(2):
        gone = {"instance_ids": [instance_id, instance_id]}
        answer = world.ask(OWNER, "POST", "/instance-operations/terminate", gone)
        # The second time it may have ended already.
        assert answer.status_code in {200, 404}, answer.text
    until(world, lambda: not listed(world))


def test_a_wish_to_terminate_is_not_lost_when_the_launch_ends_in_that_moment(quiet_world: Any):
    """The wish is kept with the instance, and whoever carries operations on begins the release."""
    world = quiet_world
    add_key(world)
    instance_id = launch(world)
    cluster_id = ClusterId(one(world, instance_id)["cluster_id"])
    control, instances = world.service.control, world.service.instances
    instances.ask_release(instance_id, 1.0)
    assert one(world, instance_id)["status"] == "terminating"
    assert instances.unwanted(8) == ()
    (operation,) = control.around.store.operations_of(cluster_id)
    asyncio.run(control.run(operation.operation_id, "w"))
    assert instances.unwanted(8) == (cluster_id,)
    assert one(world, instance_id)["status"] == "terminating"
    release_unwanted(control, instances)
    assert control.around.store.cluster(cluster_id).phase is Phase.RELEASING
    release_unwanted(control, instances)


def test_all_or_none_are_terminated(quiet_world: Any):
    world = quiet_world
    add_key(world)
    instance_id = launch(world)
    path, body = "/instance-operations/terminate", {"instance_ids": [instance_id, "0" * 32]}
    assert refused(world, path, body)[:2] == (404, "global/object-does-not-exist")
    assert one(world, instance_id)["status"] == "booting"


def test_there_is_no_restart_and_it_is_said(quiet_world: Any):
    world = quiet_world
    add_key(world)
    instance_id = launch(world)
    path = "/instance-operations/restart"
    status, code, message = refused(world, path, {"instance_ids": [instance_id]})
    assert (status, code) == (409, "global/conflict")
    assert "not restarted" in message
    assert refused(world, path, {"instance_ids": ["0" * 32]})[0] == 404
    assert one(world, instance_id)["actions"]["restart"]["available"] is False


def test_nodes_of_native_clusters_are_seen_and_not_touched(quiet_world: Any):
    world = quiet_world
    add_key(world)
    body = {"project_id": world.ids["acme"]["project"], "name": "train", "gpu_count": 32}
    cluster_id = world.ok(OWNER, "POST", "/clusters", {**body, "spare_count": 1})["id"]
    mine = launch(world)
    nodes = listed(world, query=f"?cluster_id={cluster_id}")
    assert [node["hostname"] for node in nodes] == [f"train-{n:04d}" for n in range(4)]
    assert {node["instance_type"]["name"] for node in nodes} == {NODE}
    assert len({node["id"] for node in nodes} | {mine}) == 5 == len(listed(world))
    assert listed(world, query="?cluster_id=clu_of_nobody") == []
    node = nodes[2]
    assert one(world, node["id"]) == node
    assert node["actions"]["terminate"]["reason_code"] == "node-of-a-cluster"
    gone = {"instance_ids": [mine, node["id"]]}
    status, code, message = refused(world, "/instance-operations/terminate", gone)
    assert (status, code) == (403, "global/forbidden")
    assert cluster_id in message
    assert refused(world, f"/instances/{node['id']}", {"name": "n"})[1] == "global/forbidden"
    assert one(world, mine)["status"] == "booting"


def test_what_is_foreign_is_absent_for_operators_too(quiet_world: Any):
    world = quiet_world
    add_key(world)
    instance_id = launch(world)
    for who in ("other.owner", "operator"):
        assert listed(world, who) == []
        answers = [
            world.ask(who, "GET", f"/instances/{name}").text.replace(name, "ID")
            for name in (instance_id, "0" * 32)
        ]
        assert answers[0] == answers[1]
        for verb in ("terminate", "restart"):
            body = {"instance_ids": [instance_id]}
            assert refused(world, f"/instance-operations/{verb}", body, who)[0] == 404


def test_a_key_that_stands_for_no_project_is_told_so(quiet_world: Any):
    world = quiet_world
    path = f"/organisations/{world.ids['acme']['organisation']}/projects"
    world.ok("operator", "POST", path, {"name": "second"})
    answer = world.ask(OWNER, "GET", "/instances")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "global/invalid-parameters"
    world.ok("operator", "POST", path, {"name": "default"})
    assert listed(world) == []
    billing = world.ask("acme.billing", "GET", "/ssh-keys")
    assert billing.status_code == 403


def test_a_quota_binds_instances_too(quiet_world: Any):
    world = quiet_world
    add_key(world)
    quota = f"/projects/{world.ids['acme']['project']}/quota"
    world.ok("operator", "PUT", quota, {"granted_gpu_count": 1})
    launch(world)
    status, code, _ = refused(world, "/instance-operations/launch", wish())
    assert (status, code) == (400, "global/quota-exceeded")
    assert len(listed(world)) == 1


def two_sites() -> Any:
    """Two sites, a node each, and a third with another GPU."""
    specs = [
        BlockSpec(
            site_id=site_id,
            country="US",
            hall_id=f"hall-{site_id}",
            node_type=node_type(kind),
            node_count=1,
            node_prefix=f"{site_id}-n",
            fabric_id=f"ib-{site_id}",
        )
        for site_id, kind in (("east", "hgx-h100"), ("west", "hgx-h100"), ("old", "hgx-a100"))
    ]
    return build_fleet("two-sites", specs)


def test_what_is_full_is_refused_with_the_regions_that_have_room(tmp_path: Path, new_world_of: Any):
    with new_world_of(tmp_path / "home", with_worker=False, fleet=two_sites()) as world:
        add_key(world)
        path, body = "/instance-operations/launch", {"instance_type_name": NODE}
        world.data(OWNER, "POST", path, wish(region_name="east", **body))
        types = world.data(OWNER, "GET", "/instance-types")
        free = [found["name"] for found in types[NODE]["regions_with_capacity_available"]]
        assert free == ["west"]
        for region in ("east", "old"):
            status, code, message = refused(world, path, wish(region_name=region, **body))
            assert status == 400
            assert code == "instance-operations/launch/insufficient-capacity"
            assert message.endswith("Regions with capacity available: west")
        world.data(OWNER, "POST", path, wish(region_name="west", **body))
        _, code, message = refused(world, path, wish(region_name="west", **body))
        assert code == "instance-operations/launch/insufficient-capacity"
        assert "Regions" not in message
        assert len(listed(world)) == 2


def test_a_quarantined_node_makes_its_instance_unhealthy(world: Any):
    add_key(world)
    instance_id = launch(world, instance_type_name=NODE)
    is_active(world, instance_id)
    cluster = world.ok(OWNER, "GET", f"/clusters/{one(world, instance_id)['cluster_id']}")
    (node_id,) = cluster["status"]["members"]
    world.ok("operator", "POST", f"/nodes/{node_id}:quarantine", {"reason": "fan"})
    assert one(world, instance_id)["status"] == "unhealthy"


def test_an_instance_that_grew_natively_is_a_cluster_from_then_on(world: Any):
    add_key(world)
    instance_id = launch(world, instance_type_name=NODE)
    is_active(world, instance_id)
    cluster_id = one(world, instance_id)["cluster_id"]
    world.ok(OWNER, "POST", f"/clusters/{cluster_id}:grow", {"gpu_count": 8})
    until(world, lambda: len(listed(world)) == 2)
    seen = listed(world)
    assert instance_id not in {each["id"] for each in seen}
    gone = {"instance_ids": [seen[0]["id"]]}
    assert refused(world, "/instance-operations/terminate", gone)[1] == "global/forbidden"


def test_two_launches_at_once_both_succeed(quiet_world: Any):
    world = quiet_world
    add_key(world)
    made: list[str] = []

    def go() -> None:
        made.append(launch(world, name="worker"))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4 == len(listed(world))


def test_a_launch_whose_instance_was_written_but_never_committed_is_not_seen(quiet_world: Any):
    """What a crash between the two leaves."""
    world = quiet_world
    add_key(world)
    instance_id = launch(world)
    holding = world.service.instances.holding(TenantId(world.ids["acme"]["project"]))
    (kept,) = holding.instances.values()
    lost = replace(kept, instance_id="1" * 32, cluster_id=ClusterId("clu_never"))
    world.service.instances.add(lost)
    assert [seen["id"] for seen in listed(world)] == [instance_id]
