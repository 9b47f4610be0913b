"""A cluster's life over HTTP.

Goal: plan, apply, watch, change, release and cancel do what they say; a plan binds what it showed;
quotas, versions and idempotency keys hold.
Method: a real server on loopback with its worker, on a small fleet with fake devices.
"""

from typing import Any

import pytest


def wish(world: Any, name: str = "train", gpu_count: int = 16, **more: Any) -> dict[str, Any]:
    return {
        "project_id": world.ids["acme"]["project"],
        "name": name,
        "gpu_count": gpu_count,
        **more,
    }


def launched(world: Any, name: str = "train", gpu_count: int = 16, **more: Any) -> dict[str, Any]:
    made = world.ok("acme.member", "POST", "/clusters", wish(world, name, gpu_count, **more))
    assert world.ended(made["operation_id"])["state"] == "done"
    found: dict[str, Any] = world.ok("acme.member", "GET", f"/clusters/{made['id']}")
    return found


def test_a_plan_binds_what_it_showed_even_when_others_commit_meanwhile(world: Any):
    ssh = {"name": "laptop", "public_key": "ssh-ed25519 AAAA me@laptop"}
    key = world.ok("acme.member", "POST", f"/projects/{world.ids['acme']['project']}/ssh-keys", ssh)
    plan = world.ok(
        "acme.member",
        "POST",
        "/plans",
        wish(world, gpu_count=64, spare_count=1, storage_bytes=1 << 40, ssh_key_ids=[key["id"]]),
    )
    assert plan["price_micro_usd_per_hour"] > 0
    assert set(plan["planes"]) == {"fabric", "in_band", "out_of_band", "storage", "host"}
    assert len(plan["nodes"]) == 8
    # It takes the keys that the plan would have taken; the plan keeps its nodes.
    launched(world, "other", 8, excluded_node_ids=plan["nodes"] + plan["spares"])
    made = world.ok("acme.member", "POST", f"/plans/{plan['id']}:apply")
    ended = world.ended(made["operation_id"])
    assert ended["state"] == "done"
    assert all(stage["done_count"] == stage["step_count"] for stage in ended["stages"])
    found = world.ok("acme.member", "GET", f"/clusters/{made['id']}")
    assert found["state"] == "active"
    assert found["status"]["members"] == plan["nodes"]
    assert found["status"]["spares"] == plan["spares"]
    assert found["status"]["price_micro_usd_per_hour"] == plan["price_micro_usd_per_hour"]
    assert found["config"]["ssh_public_keys"] == [ssh["public_key"]]
    assert world.ok("acme.member", "GET", f"/clusters/{made['id']}/evidence")["items"]
    again = world.call("acme.member", "POST", f"/plans/{plan['id']}:apply")
    assert again.status_code == 409


def test_a_plan_whose_nodes_were_taken_is_refused_whole(world: Any):
    plan = world.ok("acme.member", "POST", "/plans", wish(world, "late"))
    world.ok("operator", "POST", f"/nodes/{plan['nodes'][0]}:drain", {"reason": "fan"})
    answer = world.call("acme.member", "POST", f"/plans/{plan['id']}:apply")
    assert answer.status_code == 409
    assert plan["nodes"][0] in answer.json()["detail"]
    assert world.ok("acme.member", "GET", "/clusters")["items"] == []


def test_grow_shrink_replace_and_release(world: Any):
    found = launched(world, gpu_count=32)
    place = f"/clusters/{found['id']}"
    for verb, body, count in (
        ("grow", {"gpu_count": 16}, 48),
        ("shrink", {"gpu_count": 8}, 40),
        ("replace", {"node_ids": found["status"]["members"][:1]}, 40),
    ):
        before = world.ok("acme.member", "GET", place)
        match = {"If-Match": f'"{before["version"]}"'}
        made = world.ok("acme.member", "POST", f"{place}:{verb}", body, headers=match)
        assert world.ended(made["operation_id"])["state"] == "done", verb
        after = world.ok("acme.member", "GET", place)
        assert after["config"]["gpu_count"] == count
        assert after["version"] > before["version"]
        stale = world.call("acme.member", "POST", f"{place}:{verb}", body, match)
        assert stale.status_code == 412
    made = world.ok("acme.member", "POST", f"{place}:release")
    assert world.ended(made["operation_id"])["state"] == "done"
    gone = world.ok("acme.member", "GET", place)
    assert gone["state"] == "released"
    assert gone["status"] is None
    assert world.call("acme.member", "POST", f"{place}:grow", {"gpu_count": 8}).status_code == 409
    assert world.call("acme.member", "GET", f"{place}/files").status_code == 409
    assert world.ok("acme.member", "GET", "/clusters")["items"] == []
    ended = world.ok("acme.member", "GET", "/clusters?with_ended=true")["items"]
    assert [item["id"] for item in ended] == [found["id"]]


def test_files_are_served_as_text(world: Any):
    place = f"/clusters/{launched(world)['id']}/files"
    names = {item["name"] for item in world.ok("acme.member", "GET", place)["items"]}
    assert {"ssh_config", "hostfile", "nccl.env", "slurm.conf"} <= names
    answer = world.call("acme.member", "GET", f"{place}/hostfile")
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.text.splitlines()) >= 2
    assert world.call("acme.member", "GET", f"{place}/..%2Fsecret").status_code == 404


def test_a_launch_is_cancelled_and_leaves_nothing(quiet_world: Any):
    world = quiet_world
    made = world.ok("acme.member", "POST", "/clusters", wish(world, gpu_count=64))
    found = world.ok("acme.member", "GET", f"/operations/{made['operation_id']}")
    assert found["is_cancellable"]
    world.ok("acme.member", "POST", f"/operations/{made['operation_id']}:cancel")
    world.service.worker.start()
    ended = world.ended(made["operation_id"])
    assert ended["state"] == "unwound"
    assert "cancelled by acc_" in ended["state_reason"]
    assert world.ok("acme.member", "GET", f"/clusters/{made['id']}")["state"] == "failed"
    fleet = world.ok("acme.member", "GET", "/fleet")
    assert fleet["free_gpu_count"] == fleet["gpu_count"]
    again = world.call("acme.member", "POST", f"/operations/{made['operation_id']}:cancel")
    assert again.status_code == 409


def test_a_release_cannot_be_cancelled(world: Any):
    found = launched(world)
    world.service.worker.stop(10.0)
    made = world.ok("acme.member", "POST", f"/clusters/{found['id']}:release")
    answer = world.call("acme.member", "POST", f"/operations/{made['operation_id']}:cancel")
    assert answer.status_code == 409
    assert "only goes forward" in answer.json()["detail"]


def test_a_quota_binds_plans_creates_and_growth_and_never_giving_back(world: Any):
    project = world.ids["acme"]["project"]
    quota = f"/projects/{project}/quota"
    world.ok("operator", "PUT", quota, {"granted_gpu_count": 32})
    for path in ("/plans", "/clusters"):
        answer = world.call("acme.member", "POST", path, wish(world, gpu_count=32, spare_count=1))
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("QuotaError")
    found = launched(world, gpu_count=32)
    assert world.ok("acme.billing", "GET", quota)["held_gpu_count"] == 32
    place = f"/clusters/{found['id']}"
    assert world.call("acme.member", "POST", f"{place}:grow", {"gpu_count": 8}).status_code == 403
    world.ok("operator", "PUT", quota, {"granted_gpu_count": 0})
    made = world.ok("acme.member", "POST", f"{place}:shrink", {"gpu_count": 16})
    assert world.ended(made["operation_id"])["state"] == "done"
    made = world.ok("acme.member", "POST", f"{place}:release")
    assert world.ended(made["operation_id"])["state"] == "done"


def test_a_plan_made_within_the_quota_is_refused_once_the_quota_is_used(quiet_world: Any):
    world = quiet_world
    world.ok(
        "operator",
        "PUT",
        f"/projects/{world.ids['acme']['project']}/quota",
        {"granted_gpu_count": 32},
    )
    first = world.ok("acme.member", "POST", "/plans", wish(world, "a", 32))
    nodes = first["nodes"]
    other = wish(world, "b", 32, excluded_node_ids=nodes)
    world.ok("acme.member", "POST", "/clusters", other)
    assert world.call("acme.member", "POST", f"/plans/{first['id']}:apply").status_code == 403


def test_no_capacity_says_why_and_what_would_fit(world: Any):
    project = world.ids["acme"]["project"]
    world.ok("operator", "PUT", f"/projects/{project}/quota", {"granted_gpu_count": 100_000})
    launched(world, "most", 496)
    answer = world.call("acme.member", "POST", "/plans", wish(world, "more", 64))
    assert answer.status_code == 507
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reasons"]
    assert problem["would_fit"]
    assert problem["next_step"]


def test_nodes_are_filtered_paged_drained_and_returned(world: Any):
    found = launched(world)
    seen, cursor = [], ""
    while cursor is not None:
        page = world.ok("operator", "GET", f"/nodes?limit=7{cursor}")
        seen += [node["id"] for node in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert seen == list(world.service.control.around.fleet.nodes.ids)
    held = world.ok("operator", "GET", f"/nodes?cluster_id={found['id']}")["items"]
    assert {node["id"] for node in held} == set(found["status"]["members"])
    assert all(node["status"]["holders"][0]["gpu_mask"] == 0xFF for node in held)
    name = seen[-1]
    node = world.ok("operator", "POST", f"/nodes/{name}:drain", {"reason": "fan"})
    assert node["state"] == "drained"
    assert node["state_reason"] == "fan"
    assert [n["id"] for n in world.ok("operator", "GET", "/nodes?state=drained")["items"]] == [name]
    in_service = world.ok("operator", "GET", "/nodes?state=available&limit=500")["items"]
    assert len(in_service) == len(seen) - 1
    free = world.ok("operator", "GET", "/nodes?only_free=true&limit=500")["items"]
    assert len(free) == len(seen) - 1 - len(held)
    node = world.ok("operator", "POST", f"/nodes/{name}:return", {"reason": "mended"})
    assert node["state"] == "available"
    shown = world.ok("operator", "GET", "/fleet/map")["nodes"]
    assert [n["node_id"] for n in shown] == seen


def test_the_cells_of_the_floor_say_what_the_list_of_nodes_says(world: Any):
    found = launched(world)
    ill = world.service.control.around.fleet.nodes.ids[-1]
    world.ok("operator", "POST", f"/nodes/{ill}:quarantine", {"reason": "xid"})
    cells = world.ok("operator", "GET", "/fleet/cells")
    places = cells["places"]
    nodes = world.ok("operator", "GET", "/nodes?limit=500")["items"]
    assert places["node_ids"] == [node["id"] for node in nodes]
    racks = [places["rack_ids"][rack] for rack in places["node_rack"]]
    assert racks == [node["config"]["rack_id"] for node in nodes]
    halls = [places["hall_ids"][places["rack_hall"][rack]] for rack in places["node_rack"]]
    assert halls == [node["config"]["hall_id"] for node in nodes]
    assert len(places["rack_box_px"]) == 4 * len(places["rack_ids"])
    held = [
        (nodes[row]["id"], mask, cells["cluster_ids"][by])
        for row, mask, by in zip(
            cells["held_node"], cells["held_gpu_mask"], cells["held_by"], strict=True
        )
    ]
    assert sorted(held) == sorted((name, 0xFF, found["id"]) for name in found["status"]["members"])
    assert [nodes[row]["id"] for row in cells["quarantined_node"]] == [ill]
    assert cells["drained_node"] == []
    later = world.ok("operator", "GET", "/fleet/cells?with_places=false")
    assert later == {**cells, "places": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=!", "cursor=AAAA", "state=x"])
def test_bad_pages_are_refused(world: Any, query: str):
    assert world.call("operator", "GET", f"/nodes?{query}").status_code == 400


def test_the_audit_says_who_did_what(quiet_world: Any):
    world = quiet_world
    world.ok("acme.member", "POST", "/clusters", wish(world))
    world.call("acme.read_only", "POST", "/clusters", wish(world))
    path = f"/organisations/{world.ids['acme']['organisation']}/audit"
    found = world.ok("acme.owner", "GET", path)["items"]
    assert [(e["operation"], e["status"]) for e in found[:2]] == [
        ("create_cluster", 403),
        ("create_cluster", 202),
    ]
    assert found[1]["account_id"] == world.ids["acme"]["account.member"]
    assert found[1]["request_id"].startswith("req_")
