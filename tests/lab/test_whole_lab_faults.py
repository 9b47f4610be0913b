"""Goal: whatever breaks in a network as a cluster comes or goes, no other tenant is ever reached.

Method: a whole lab with all five planes for real, and ``breaks_in_the_middle`` of it for each
fault of the compute fabric and of the in-band network. That its watch sees is shown by a leak of
each plane, planted by hand.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from fault_change import (
    Act,
    Fault,
    breaks_in_the_middle,
    create,
    fit_again,
    leftovers,
    standing,
)
from fault_lab import A_NODES, B_NODES, ENDED, FaultLab
from lab_watch import LabWatch, proxies

from gigawatt.drivers.opensm.subnet import hang_up
from gigawatt.lab.network.underlay import silent_neighbours, start_daemon

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

RAIL = 4
STATE = re.compile(r"Entering (STANDBY|MASTER)|(SUBNET UP)")
SETTLED = {"STANDBY", "SUBNET UP"}


def console(line: Callable[[FaultLab], str]) -> Act:
    """A line for the simulator of one rail."""
    return lambda lab: lab.subnets[RAIL].console(line(lab))


def nic(lab: FaultLab) -> str:
    return f'"H-{lab.guid(B_NODES[0], RAIL) - 1:016x}"'


def spine_guid(lab: FaultLab) -> int:
    fleet, leaf_guid = lab.lab.fleet, lab.subnets[RAIL].leaf_guids[-1]
    leaf = fleet.switches.guid.tolist().index(leaf_guid)
    return int(fleet.switches.guid[int(fleet.links.upper[fleet.links.lower.tolist().index(leaf)])])


def spine(lab: FaultLab) -> str:
    return f'"S-{spine_guid(lab):016x}"'


def leaf(lab: FaultLab) -> str:
    return f'"S-{lab.subnets[RAIL].leaf_guids[0]:016x}"'


def kill_manager(lab: FaultLab) -> None:
    manager = lab.subnets[RAIL].managers[0]
    manager.kill()
    manager.wait()


def start_manager(lab: FaultLab, number: int = 0) -> None:
    """Start it, and wait until it has found its place."""
    subnet, before = lab.subnets[RAIL], states(lab, number)
    subnet.start_manager(lab.folder.path / "ib0" / "partitions.conf", number)
    lab.until(lambda: SETTLED & set(states(lab, number)[len(before) :]), f"OpenSM {number}")


def states(lab: FaultLab, number: int) -> list[str]:
    """What a subnet manager has been so far; the log is kept from one to the next."""
    return [a or b for a, b in STATE.findall(lab.subnets[RAIL].log(number))]


def end_master(lab: FaultLab) -> None:
    """The first is killed, the second told to end."""
    first, second = lab.subnets[RAIL].managers
    if first.poll() is None and states(lab, 0)[-1] != "STANDBY":
        first.kill()
        first.wait()
    else:
        assert states(lab, 1)[-1] != "STANDBY"
        second.terminate()
        second.wait()


def add_standby(lab: FaultLab) -> None:
    """Another standby, in place of the first manager; it has a higher GUID, so it stays one.

    One that is handed the subnet over never sweeps it (OpenSM 3.3.23 over ibsim).
    """
    subnet = lab.subnets[RAIL]
    if subnet.managers[0].poll() is not None:
        subnet.leaf_guids = (spine_guid(lab), *subnet.leaf_guids[1:])
        start_manager(lab)
        assert states(lab, 0)[-1] == "STANDBY"


def links(switch: str, names: tuple[str, ...], state: str) -> Act:
    def act(lab: FaultLab) -> None:
        for name in names:
            lab.run("ip", "link", "set", name, state, where=switch)
        if state == "up" and switch.startswith(("leaf", "spine")):
            lab.until(lambda: not silent_neighbours(lab.lab, switch), "its neighbours")

    return act


def cut_cable(lab: FaultLab) -> None:
    """Nothing passes; the machine at its end may switch its interface on as it likes."""
    cable = lab.lab.layout.leaf_port(B_NODES[0], 0)
    lines = ["add table netdev cut"]
    for way in ("ingress", "egress"):
        hook = f"type filter hook {way} device {cable} priority 0; policy drop;"
        lines.append(f"add chain netdev cut {way} {{ {hook} }}")
    lab.run("nft", "-f", "-", where="leaf0", stdin="\n".join(lines) + "\n")


def mend_cable(lab: FaultLab) -> None:
    lab.run("nft", "delete", "table", "netdev", "cut", where="leaf0")


def kill_bgpd(lab: FaultLab) -> None:
    lab.kill("leaf0-bgpd")


def start_bgpd(lab: FaultLab) -> None:
    start_daemon(lab.lab, "leaf0", "bgpd")
    lab.until(lambda: not silent_neighbours(lab.lab, "leaf0"), "the neighbours of leaf0")


FABRIC = (
    Fault("OpenSM killed, no standby", kill_manager, start_manager),
    Fault(
        "InfiniBand link of a host cut",
        console(lambda lab: f"Unlink {nic(lab)}"),
        console(lambda lab: f"ReLink {nic(lab)}"),
    ),
    Fault(
        "InfiniBand spine cut",
        console(lambda lab: f"Unlink {spine(lab)}"),
        console(lambda lab: f"ReLink {spine(lab)}"),
    ),
    Fault(
        "InfiniBand leaf cut",
        console(lambda lab: f"Unlink {leaf(lab)}"),
        console(lambda lab: f"ReLink {leaf(lab)}"),
    ),
)
TAKEN_OVER = Fault(
    "OpenSM killed, a standby takes over",
    end_master,
    add_standby,
    may_lead_to=frozenset({"active"}),
    broken_s_max=60.0,
)
IN_BAND = (
    Fault(
        "leaf cut off",
        links("leaf0", ("fab0", "fab1"), "down"),
        links("leaf0", ("fab0", "fab1"), "up"),
    ),
    Fault(
        "spine cut off",
        links("spine0", ("down0", "down1", "down2"), "down"),
        links("spine0", ("down0", "down1", "down2"), "up"),
    ),
    Fault("link of a host cut", cut_cable, mend_cable),
    Fault("bgpd of a leaf killed", kill_bgpd, start_bgpd),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[FaultLab]:
    """A stands, nothing of B is there (each test ends so), and every node is fit."""
    with standing(tmp_path_factory.mktemp("faults") / "lab") as lab:
        yield lab


@pytest.mark.parametrize(
    "fault", [*FABRIC, *IN_BAND], ids=lambda fault: fault.name.replace(" ", "-")
)
def test_what_breaks_in_the_middle_opens_nothing(lab: FaultLab, fault: Fault):
    breaks_in_the_middle(lab, fault)


@contextmanager
def planted_partition(lab: FaultLab) -> Iterator[None]:
    """B's port in A's partition, by hand."""
    path = lab.folder.path / "ib0" / "partitions.conf"
    kept = path.read_bytes()
    own, other = (f"{lab.guid(row, RAIL):#018x}".encode() for row in (A_NODES[0], B_NODES[0]))
    edited = kept.replace(own + b"=full", other + b"=full, " + own + b"=full")
    assert edited != kept
    path.write_bytes(edited)
    hang_up(lab.subnets[RAIL].subnet)
    yield
    path.write_bytes(kept)
    hang_up(lab.subnets[RAIL].subnet)


@contextmanager
def planted_switch_port(lab: FaultLab) -> Iterator[None]:
    """B's switch port in A's network."""
    switch_port = lab.lab.layout.leaf_port(B_NODES[0], 0)
    move = ("ip", "link", "set", switch_port, "master")
    lab.run(*move, f"br{lab.a_vni}", where="leaf0")
    yield
    lab.run(*move, f"br{lab.vni('b')}", where="leaf0")


@contextmanager
def planted_route(lab: FaultLab) -> Iterator[None]:
    """B's proxy let through to A's BMC."""
    (proxy,) = set(proxies()) - {lab.a_proxy}
    layout = lab.lab.layout
    name, address = layout.bmc_namespace(A_NODES[0]), layout.bmc_address(A_NODES[0])
    elements = {
        "allow": f'{{ "mgmt" . {proxy} . {address} }}',
        "back": f'{{ "{name}" . {address} . {proxy} }}',
    }
    for action in ("add", "delete"):
        for rules, element in elements.items():
            words = ("nft", action, "element", "bridge", "gigawatt_oob", rules, element)
            lab.run(*words, where="oob")
        if action == "add":
            yield


@contextmanager
def planted_export(lab: FaultLab) -> Iterator[None]:
    """A's file system among B's exports."""
    exports = lab.disk / "exports"
    (a_export,) = (exports / str(lab.a_vni)).iterdir()
    target = exports / str(lab.vni("b")) / "999"
    target.mkdir()
    lab.run("mount", "--bind", str(a_export), str(target))
    yield
    lab.run("umount", str(target))
    target.rmdir()


def has_leak(watch: LabWatch, plane: str) -> bool:
    return any(leak.plane == plane for leak in watch.leaks)


def test_a_planted_leak_of_every_plane_is_seen(lab: FaultLab):
    cluster_id = create(lab, FABRIC[0])
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "B's cluster")
    plants = {
        "fabric": planted_partition,
        "in_band": planted_switch_port,
        "out_of_band": planted_route,
        "storage": planted_export,
    }
    with LabWatch(lab, a_proxy=lab.a_proxy) as watch:
        lab.until(lambda: not watch.unseen(0.0), lambda: watch.unseen(0.0))
        assert watch.leaks == []
        for plane, plant in plants.items():
            before = {leak.plane for leak in watch.leaks}
            assert plane not in before
            with plant(lab):
                lab.until(partial(has_leak, watch, plane), f"the leak: {plane}")
    assert watch.errors == []
    assert {leak.plane for leak in watch.leaks} >= {*plants, "tables"}
    lab.b.release_cluster(cluster_id)
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "its release")
    fit_again(lab, B_NODES)
    assert leftovers(lab) == []


def test_a_standby_takes_over_in_the_middle_and_opens_nothing(lab: FaultLab):
    """The last of all, as it leaves another manager."""
    start_manager(lab, 1)
    assert states(lab, 1)[-1] == "STANDBY"
    breaks_in_the_middle(lab, TAKEN_OVER)
