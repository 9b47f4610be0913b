"""Goal: whatever breaks at hosts, disks and the control plane, no other tenant is ever reached.

Method: a whole lab with all five planes for real, and ``breaks_in_the_middle`` of it for each
fault of BMCs, machines, guests, storage and the control plane.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from fault_change import (
    CLOSE,
    Act,
    Fault,
    breaks_in_the_middle,
    create,
    leftovers,
    nothing,
    standing,
)
from fault_lab import B_NODES, ENDED, SPARE, FaultLab
from lab_watch import machine_of

from gigawatt.errors import GigawattError
from gigawatt.lab.guests.part import start_libvirtd
from gigawatt.lab.oob import control_of
from gigawatt.lab.redfish.faults import Faults

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

HANGS_S = 12.0
"""Longer than a request to a BMC is waited for."""
GUEST_NODE = 0


def bmc(faults: Faults) -> Act:
    return lambda lab: control_of(lab.lab).set_faults(lab.node_id(B_NODES[0]), faults)


def kill_machine(lab: FaultLab) -> None:
    lab.until(lambda: machine_of(B_NODES[0]) is not None, "the machine")
    pid = machine_of(B_NODES[0])
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def exports_of_b(lab: FaultLab) -> list[str]:
    """Export processes of any cluster but A."""
    lines = lab.run("ps", "-eo", "pid=,args=").splitlines()
    found = [line.split() for line in lines if "bindfs" in line and "/exports/" in line]
    return [words[0] for words in found if f"/exports/{lab.a_vni}/" not in " ".join(words)]


def kill_exports(lab: FaultLab) -> None:
    lab.until(lambda: exports_of_b(lab) != [], "an export")
    for pid in exports_of_b(lab):
        os.kill(int(pid), signal.SIGKILL)


def fill_storage(lab: FaultLab) -> None:
    filler = lab.disk / "disk" / "filler"
    lab.run(
        "sh",
        "-c",
        f"fallocate -l 8G {filler} || fallocate -l $(df --output=avail -B1"
        f" {lab.disk / 'disk'} | tail -1) {filler} || true",
    )


def empty_storage(lab: FaultLab) -> None:
    (lab.disk / "disk" / "filler").unlink(missing_ok=True)
    lab.run("sync", "-f", str(lab.disk / "disk"))


def fill_home(lab: FaultLab) -> None:
    lab.run("sh", "-c", f"cat /dev/zero > {lab.folder.home.path}/filler || true")


def empty_home(lab: FaultLab) -> None:
    (lab.folder.home.path / "filler").unlink(missing_ok=True)


def kill_control_plane(lab: FaultLab) -> None:
    lab.kill("control")


def kill_libvirtd(lab: FaultLab) -> None:
    lab.kill("libvirtd")


def guests(lab: FaultLab) -> list[int]:
    """Processes of guests; A has none."""
    lines = lab.run("ps", "-eo", "pid=,comm=").splitlines()
    return [int(line.split()[0]) for line in lines if "qemu-system" in line]


def kill_guest(lab: FaultLab) -> None:
    lab.until(lambda: guests(lab) != [], "a guest")
    for pid in guests(lab):
        os.kill(pid, signal.SIGKILL)


BMCS = (
    Fault("BMC hangs", bmc(Faults(hangs="request")), bmc(Faults()), broken_s_max=HANGS_S),
    Fault("BMC lies", bmc(Faults(lies=True)), bmc(Faults())),
    Fault(
        "BMC hangs, with a spare node",
        bmc(Faults(hangs="request")),
        bmc(Faults()),
        nodes=(*B_NODES, SPARE),
        spare_count=1,
        broken_s_max=HANGS_S,
    ),
)
HOSTS = (
    Fault("machine killed", kill_machine, nothing, after=(CLOSE, "")),
    Fault("guest killed", kill_guest, nothing, after=(CLOSE, ""), nodes=(GUEST_NODE,)),
    Fault(
        "libvirtd killed",
        kill_libvirtd,
        lambda lab: start_libvirtd(lab.lab),
        after=(CLOSE, ""),
        nodes=(GUEST_NODE,),
    ),
)
STORAGE = (
    Fault("storage server's exports killed", kill_exports, nothing, after=(CLOSE, "")),
    Fault("storage full", fill_storage, empty_storage),
)
CONTROL = (
    Fault("disk of the control plane full", fill_home, empty_home),
    Fault(
        "control plane killed",
        kill_control_plane,
        FaultLab.start_control_plane,
        may_lead_to=frozenset({"active"}),
    ),
)


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[FaultLab]:
    with standing(tmp_path_factory.mktemp("faults") / "lab") as lab:
        yield lab


@pytest.fixture
def lab(started: FaultLab) -> Iterator[FaultLab]:
    """A stands, nothing of B is there (each test ends so), and every node is fit."""
    yield started
    for act in (empty_home, empty_storage, bmc(Faults())):
        act(started)


@pytest.mark.parametrize(
    "fault", [*BMCS, *HOSTS, *STORAGE, *CONTROL], ids=lambda fault: fault.name.replace(" ", "-")
)
def test_what_breaks_in_the_middle_opens_nothing(lab: FaultLab, fault: Fault):
    breaks_in_the_middle(lab, fault)


def test_a_bmc_that_lets_a_former_tenant_in_keeps_its_node_from_everybody(lab: FaultLab):
    """The release ends, as its tenant has nothing more; its node is nobody's until it is seen."""
    plain = Fault("none", nothing, nothing)
    cluster_id, node_id = create(lab, plain), lab.node_id(B_NODES[0])
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "B's cluster")
    assert lab.operator.get_cluster(cluster_id).state == "active"
    bmc(Faults(hides=True))(lab)
    lab.b.release_cluster(cluster_id)
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "the release")
    assert lab.operator.get_cluster(cluster_id).state == "released"
    for _ in range(2):
        node = lab.operator.get_node(node_id)
        assert node.state == "quarantined"
        assert f"bmc/{node_id}: says that" in node.state_reason
        assert "still lets it in" in node.state_reason
        with pytest.raises(GigawattError):
            create(lab, plain)
        found = lab.reconciled().result
        assert found is not None
        assert not found.is_converged
        assert any(x.startswith(f"bmc/{node_id}:account/") for x in found.remaining)
        with pytest.raises(GigawattError):
            lab.operator.return_node(node_id, "said to be mended")
    bmc(Faults())(lab)
    found = lab.reconciled().result
    assert found is not None
    assert found.is_converged, found.remaining
    lab.operator.return_node(node_id, "mended")
    assert leftovers(lab) == []
