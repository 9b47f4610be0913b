"""The executor over bare metal.

Goal: a node that did not come clean is quarantined, its receipt says why, and nobody gets it before
it was cleaned again.
Method: the executor over a store in SQLite, fake devices on four planes, and the bare-metal driver
over simulated BMCs on the fifth; receipts are the store's.
"""

import asyncio
import shutil

import pytest
from running_metal import NO_HOOKS, metal_fleet, running_metal

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.errors import NoCapacityError
from gigawatt.executor.executor import Surroundings
from gigawatt.ids import NodeId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.store.receipts import open_receipts
from gigawatt.store.sqlite import open_store

FLEET = metal_fleet(2)

pytestmark = pytest.mark.skipif(shutil.which("xorriso") is None, reason="xorriso is not installed")


@pytest.fixture
def site(tmp_path):
    store = open_store(tmp_path / "store.sqlite")
    with running_metal(tmp_path / "metal", FLEET, cleaning=NO_HOOKS) as metal:
        metal.receipts = open_receipts(store)
        clock = SystemClock()
        drivers = fake_drivers(DeviceWorld(FLEET), Faults(), clock)
        drivers[Plane.HOST] = metal.new_driver()
        control = Control(Surroundings(FLEET, store, drivers, clock), CountingIds())
        yield metal, control, store
    store.close()


def launch(control, name):
    request = ClusterRequest(TenantId(f"ten_{name}"), name, 8)
    operation = control.commit(control.plan_create(request, with_alternatives=False))
    done = asyncio.run(control.run(operation.operation_id, "worker"))
    assert done.state == "done", done.error
    (member,) = control.around.store.cluster(done.cluster_id).target.members
    return done.cluster_id, member.node_id


def release(control, cluster_id):
    operation = control.commit(control.plan_release(cluster_id))
    return asyncio.run(control.run(operation.operation_id, "worker"))


def states(control):
    return dict(control.around.store.snapshot(control.around.clock.now_s()).node_states)


def test_a_node_that_is_not_clean_is_quarantined_with_a_receipt_that_says_why(site):
    metal, control, store = site
    bad_cluster, bad = launch(control, "bad")
    good_cluster, good = launch(control, "good")
    bmc = metal.simulator.bmcs[NodeId(bad)]
    assert bmc.machine.state()[0]
    bmc.accounts.make("evil", "Planted-1234", "Administrator", is_policed=False)
    release(control, bad_cluster)
    assert release(control, good_cluster).state == "done"
    assert set(states(control)) == {bad}
    (receipt,) = store_receipts(store, bad)
    assert not receipt.is_passed
    assert receipt.cluster_id == bad_cluster
    assert (receipt.steps[-1].name, receipt.steps[-1].is_passed) == ("BMC accounts", False)
    assert "evil" in receipt.steps[-1].detail
    (receipt,) = store_receipts(store, good)
    assert receipt.is_passed
    # The other node goes to the next tenant; this one to nobody.
    assert launch(control, "next")[1] == good
    with pytest.raises(NoCapacityError):
        launch(control, "last")
    bmc.accounts.remove(bmc.accounts.named("evil"))
    control.around.store.set_node_state(NodeId(bad), "quarantined", "mended", 0.0)
    asyncio.run(control.reconcile("reconciler"))
    assert store_receipts(store, bad)[0].is_passed


def store_receipts(store, node_id):
    return open_receipts(store).of_node(NodeId(node_id))
