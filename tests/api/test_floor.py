"""The floor over HTTP: power, load, stranded GPUs, finding nodes, and the reconciler.

Goal: who runs the site sees for every feed what may be drawn and what is reported, which free GPUs
are of no use and what would free them, finds a node by what is at hand, and sees what passes of the
reconciler found and what is owed.
Method: a real server on loopback with its worker and fake devices that are tampered with.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigawatt.app.gpu_loads import GpuLoads
from gigawatt.app.home import Home
from gigawatt.app.watch.telemetry import RelayedTelemetry
from gigawatt.app.wiring import open_world
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.ids import DeviceId, NodeId
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client


@pytest.fixture
def operator(world: Any) -> Iterator[Client]:
    """The operator's client."""
    with Client(world.url, world.keys["operator"]) as client:
        yield client


@pytest.fixture
def devices(world: Any, tmp_path: Path) -> Iterator[DeviceWorld]:
    """The devices from their own side."""
    with open_world(Home(tmp_path / "home", None), world.service.control.around.fleet) as made:
        yield made


def launched(world: Any, name: str, gpu_count: int, who: str = "acme") -> Any:
    """A cluster that runs."""
    body = {"project_id": world.ids[who]["project"], "name": name, "gpu_count": gpu_count}
    made = world.ok(f"{who}.owner", "POST", "/clusters", body)
    assert world.ended(made["operation_id"])["state"] == "done"
    return world.ok("operator", "GET", f"/clusters/{made['id']}")


def test_power_says_what_may_be_drawn_and_what_is_reported(world: Any, operator: Client):
    launched(world, "train", 64)
    found = operator.get_fleet_power()
    assert found.source.state == "none"
    [feed] = found.feeds
    assert feed.limit_w == pytest.approx(sum(rack.limit_w for rack in found.racks))
    assert feed.held_w_max == pytest.approx(feed.all_w_max * 64 / 512)
    assert feed.held_w_max == pytest.approx(sum(rack.held_w_max for rack in found.racks))
    assert feed.gpu_w is None, "nobody reports, so nothing is said"
    assert operator.get_fleet_load().utilisation_percent == []
    around, service = world.service.control.around, world.service
    node_id = around.fleet.nodes.ids[5]
    text = f'DCGM_FI_DEV_POWER_USAGE{{gpu="2",Hostname="{node_id}"}} 300.4\n'
    text += f'DCGM_FI_DEV_GPU_UTIL{{gpu="2",Hostname="{node_id}"}} 55\n'
    service.loads = GpuLoads(around.fleet, around.clock, RelayedTelemetry(lambda: text, "test"))
    service.loads.now()
    service.loads.settle(10.0)
    found = operator.get_fleet_power()
    assert (found.source.state, found.source.reporting_gpu_count) == ("live", 1)
    assert [rack.gpu_w for rack in found.racks if rack.gpu_w is not None] == [300.4]
    assert found.feeds[0].gpu_w == 300.4
    load = operator.get_fleet_load()
    assert len(load.power_w) == len(load.utilisation_percent) == 512
    assert (load.power_w[42], load.utilisation_percent[42]) == (300, 55)
    assert load.power_w.count(-1) == 511


def test_stranded_gpus_are_told_with_what_would_free_them(world: Any, operator: Client):
    launched(world, "small", 1)
    launched(world, "train", 64)
    nodes = world.service.control.around.fleet.nodes.ids
    operator.drain_node(nodes[-1], "a fan")
    [found] = operator.get_stranded().types
    assert (found.gpu_type, found.gpu_count, found.held_gpu_count) == ("h100", 512, 65)
    assert (found.out_gpu_count, found.placeable_gpu_count) == (8, 512 - 65 - 8)
    assert found.part_gpu_count == 7
    sizes = {one.gpu_count: one for one in found.sizes}
    assert set(sizes) == {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
    assert sizes[1].fit_count == found.placeable_gpu_count
    assert sizes[8].in_part_gpu_count == 7
    assert sizes[8].fit_count == (512 - 64 - 8 - 8) // 8
    assert sizes[512].fit_count == 0
    assert sizes[512].too_few_gpu_count == 512 - 64 - 8 - 8
    assert found.emptied == [], "there is no other node in part that could take it"
    assert [(one.node_id, one.state) for one in found.out_nodes] == [(nodes[-1], "drained")]


def test_a_node_in_part_is_named_for_emptying(world: Any, operator: Client):
    clusters = [launched(world, f"one-{number}", 1) for number in range(2)]
    [held] = {node_id for one in clusters for node_id in one["status"]["members"]}
    operator.quarantine_node(held, "so that the next lies elsewhere")
    launched(world, "two", 2)
    operator.return_node(held, "it was well")
    [found] = operator.get_stranded().types
    assert found.emptied
    one = found.emptied[0]
    assert found.part_gpu_count == 6 + 6
    assert one.gained_gpu_count + one.moved_gpu_count == 8
    assert set(one.cluster_names) <= {"one-0", "one-1", "two"}
    assert one.to_node_ids


def test_nodes_are_found_by_what_is_at_hand(world: Any, operator: Client):
    fleet = world.service.control.around.fleet
    made = launched(world, "train", 16)
    mine = set(made["status"]["members"])
    node_id = fleet.nodes.ids[9]
    node = operator.get_node(node_id)
    operator.quarantine_node(fleet.nodes.ids[-1], "XID 79 on GPU 3")

    def ids(**wanted: Any) -> set[str]:
        return {one.id for one in operator.list_nodes(doc.NodeFilter(limit=500, **wanted)).items}

    assert ids(text=node_id.upper()) == {node_id}
    in_rack = {
        one
        for row, one in enumerate(fleet.nodes.ids)
        if fleet.racks.ids[int(fleet.nodes.rack[row])] == node.config.rack_id
    }
    assert ids(text=node.config.rack_id) == in_rack
    assert ids(text="TRAIN") == mine
    assert ids(text=made["id"]) == mine
    assert ids(text=world.ids["acme"]["project"]) == mine
    assert ids(project_id=world.ids["acme"]["project"]) == mine
    assert ids(project_id=world.ids["other"]["project"]) == set()
    assert ids(text="olu") == {fleet.nodes.ids[-1]}, "whoever took it out"
    assert ids(text="xid 79") == ids(text="quarantined") == {fleet.nodes.ids[-1]}
    assert ids(text="available") == set(fleet.nodes.ids[:-1])
    assert ids(text=node.config.bmc_address) >= {node_id}
    guid = int(fleet.nics.guid[fleet.first_nic_of_node[9]])
    assert ids(text=f"0x{guid:016x}") == {node_id}
    assert ids(text=":".join(f"{guid:016x}"[i : i + 2] for i in range(0, 16, 2))) == {node_id}
    assert ids(text="no such thing") == set()
    assert ids(text="train", state="quarantined") == set()
    assert world.call("operator", "GET", "/nodes?text=").status_code == 400


@pytest.mark.parametrize("verb", ["drain", "quarantine"])
def test_a_node_that_changes_its_state_has_one_line_in_its_history(
    world: Any, operator: Client, verb: str
):
    node_id = world.service.control.around.fleet.nodes.ids[0]
    getattr(operator, f"{verb}_node")(node_id, "a fan")
    operator.return_node(node_id, "it is mended")
    found = world.ok("operator", "GET", f"/events?node_id={node_id}")["items"]
    assert [line["kind"] for line in found] == ["node", "node"]
    me = world.ok("operator", "GET", "/me")
    assert found[0]["message"].endswith(": a fan")
    assert found[1]["message"].endswith("is available: it is mended")
    assert [line["data"]["state"] for line in found][1] == "available"
    for line in found:
        assert (line["data"]["by"], line["data"]["by_name"]) == (me["account_id"], me["name"])


def reconciled(operator: Client) -> doc.ReconciliationResult:
    """What one pass found."""
    begun = operator.create_reconciliation()
    while begun.state == "running":
        begun = operator.get_reconciliation(begun.id, wait_s=10.0)
    assert begun.result is not None, begun.state_reason
    return begun.result


def test_a_pass_that_was_asked_for_is_remembered_with_what_it_mended(
    world: Any, operator: Client, devices: DeviceWorld
):
    assert operator.list_reconciliations().items == []
    made = launched(world, "train", 16)
    node_id = sorted(made["status"]["members"])[0]
    port = DeviceId(f"port/{node_id}")
    for entry in devices.entries(port):
        devices.uproot(entry)
    result = reconciled(operator)
    assert result.drift_count == result.repaired_count > 0
    assert reconciled(operator).drift_count == 0
    newest, before = operator.list_reconciliations().items
    assert (newest.state, newest.drift_count, newest.drift) == ("done", 0, [])
    assert newest.by == world.ok("operator", "GET", "/me")["account_id"]
    assert before.drift == before.repaired == result.drift
    assert any(node_id in line for line in before.drift)
    status = operator.get_reconciler()
    assert (status.stuck_operations, status.absences, status.absence_count) == ([], [], 0)
    assert (status.running_on, status.asked_pass_id) == (None, None)
    assert world.call("acme.owner", "GET", "/reconciliations").status_code == 403


def test_upkeep_keeps_what_it_found_and_a_pass_that_found_nothing_leaves_no_line(
    world: Any, operator: Client, devices: DeviceWorld
):
    upkeep = world.service.upkeep
    upkeep.period_s = 0.05
    node_id = NodeId(world.service.control.around.fleet.nodes.ids[0])
    launched(world, "train", 8)
    upkeep.start()
    try:
        wait_until(lambda: upkeep.pass_count >= 1)
        assert operator.list_reconciliations().items == []
        for entry in devices.entries(DeviceId(f"bmc/{node_id}")):
            devices.uproot(entry)
        wait_until(lambda: bool(operator.list_reconciliations().items))
    finally:
        upkeep.stop()
    [line] = operator.list_reconciliations().items
    assert line.by == world.service.worker.name
    assert line.repaired_count == line.drift_count > 0
    status = operator.get_reconciler()
    assert status.counts_from is not None
    assert status.next_at is not None
    assert (status.next_at - status.counts_from).total_seconds() == pytest.approx(0.05, abs=1e-5)


def wait_until(is_so: Any, limit_s: float = 30.0) -> None:
    """Look again and again, for so long at most."""
    for _ in range(int(limit_s / 0.05)):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come so far")
