"""Goal: clusters on a real network reach themselves, the world as far as let, and nothing else.

Method: leaves and spines with FRR, a gateway and hosts in a room. ping, arping, netcat, a DHCP
client and tcpdump judge, each with a control that would say so if all were open.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from running_network import (
    FLEET,
    GATEWAY_DEVICE,
    Cluster,
    RunningNetwork,
    node_id,
    port_device,
    running_network,
)

from gigawatt.boundary.entries import ComputePort, Gateway, NetworkPort
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import DeviceId
from gigawatt.intent.firewall import InboundRule
from gigawatt.interfaces.driver import Endpoint
from gigawatt.lab.layout import OUTSIDE

pytestmark = pytest.mark.lab

ELSEWHERE = "203.0.113.7"
"""Another place in the world; RFC 5737, documentation."""
DHCP_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address flush dev $interface
ip address add $ip/$mask dev $interface
ip route replace default via $router
echo "$ip $router $dns $domain" > RESULT
"""


@pytest.fixture(scope="module")
def started() -> Iterator[RunningNetwork]:
    with running_network("frr") as network:
        network.run("outside", "ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
        yield network


@pytest.fixture
def network(started) -> Iterator[RunningNetwork]:
    yield started
    started.everything_free()
    assert started.leftovers() == []


def test_hosts_reach_their_own_cluster_on_any_leaf_and_no_other(network):
    a, b = Cluster(1, [1, 2, 7]), Cluster(2, [3, 6])
    network.carve(a, b)
    assert network.reaches("node1", a.address(2))
    assert network.reaches("node1", a.address(7))
    assert network.reaches("node3", b.address(6))
    for where in ("node1", "node7"):
        for there in b.nodes:
            assert not network.pings(where, b.address(there))
    # As if both clusters had one subnet: nobody hears the question, whoever asks.
    network.run("node3", "ip", "address", "add", f"{a.address(99)}/20", "dev", "eth0")
    assert not network.arpings("node1", a.address(99))
    network.run("node1", "ip", "address", "add", f"{b.address(98)}/20", "dev", "eth0")
    assert not network.arpings("node1", b.address(6))
    assert network.arpings("node3", b.address(6))


def test_a_node_that_moves_is_in_its_new_cluster_at_once_and_in_its_old_one_no_more(network):
    a, b = Cluster(1, [1, 2]), Cluster(2, [5])
    network.carve(a, b)
    assert network.reaches("node1", a.address(2))
    asyncio.run(network.in_band.remove(port_device(2), [a.port(2)], a.fence))
    network.ensure(b, 2)
    assert not network.arpings("node1", a.address(2))
    network.settle(b, 2)
    assert network.reaches("node2", b.address(5))
    assert not network.arpings("node2", a.address(1))


def test_nothing_is_left_of_a_released_cluster(network):
    a = Cluster(1, [1, 2, 7]).letting(["0.0.0.0/0"], [InboundRule("tcp", (22, 22), "0.0.0.0/0")])
    network.carve(a)
    assert network.leftovers() != []
    network.release(a)
    assert network.leftovers() == []


def dhcp(network: RunningNetwork, tmp_path: Path, node: int, hostname: str) -> list[str]:
    """What a DHCP client on a host is told; empty when nobody answers."""
    script, result = tmp_path / f"script{node}", tmp_path / f"lease{node}"
    script.write_text(DHCP_SCRIPT.replace("RESULT", str(result)))
    script.chmod(0o755)
    result.unlink(missing_ok=True)
    network.run(f"node{node}", "ip", "address", "flush", "dev", "eth0")
    network.run(f"node{node}", "ip", "link", "set", "eth0", "up")
    words = ["busybox", "udhcpc", "-f", "-q", "-n", "-t", "3", "-T", "1", "-i", "eth0", "-x"]
    network.does(f"node{node}", *words, f"hostname:{hostname}", "-s", str(script))
    return result.read_text().split() if result.exists() else []


def test_a_host_gets_its_address_and_its_name_is_known_in_its_cluster_only(network, tmp_path):
    a, b = Cluster(1, [1, 7]), Cluster(2, [3])
    network.carve(a, b)
    for node, name in ((1, "worker-0"), (7, "worker-1")):
        router = "10.1.0.1"
        told = dhcp(network, tmp_path, node, name)
        assert told == [a.address(node), router, router, "cluster.internal"]
    assert network.reaches("node1", a.address(7))
    found = network.run("node1", "busybox", "nslookup", "worker-1.cluster.internal", "10.1.0.1")
    assert a.address(7) in found
    dhcp(network, tmp_path, 3, "other")
    assert not network.does("node3", "busybox", "nslookup", "worker-1.cluster.internal", "10.2.0.1")
    assert not network.does("node1", "busybox", "nslookup", "other.cluster.internal", "10.1.0.1")
    found = network.run("node3", "busybox", "nslookup", "other.cluster.internal", "10.2.0.1")
    assert b.address(3) in found
    # A host that left is told nothing any more, and its name goes with it.
    asyncio.run(network.in_band.remove(port_device(7), [a.port(7)], a.fence))
    assert dhcp(network, tmp_path, 7, "worker-1") == []
    assert not network.does("node1", "busybox", "nslookup", "worker-1.cluster.internal", "10.1.0.1")


def test_the_way_out_is_closed_until_named_and_leads_nowhere_else(network):
    a, b = Cluster(1, [1]), Cluster(2, [3]).letting(["0.0.0.0/0"])
    network.carve(a, b)
    assert not network.pings("node1", OUTSIDE)
    network.ensure(a.letting([f"{OUTSIDE}/32"]))
    assert network.reaches("node1", OUTSIDE)
    assert not network.pings("node1", ELSEWHERE)
    assert network.reaches("node3", ELSEWHERE)
    # The whole world is not the inside: neither another cluster, nor BMCs, nor the switches.
    for inside in (a.address(1), "10.1.0.1", "100.64.0.2", "192.0.2.7", "198.51.100.1"):
        assert not network.pings("node3", inside)
    network.ensure(a.letting([]))
    assert not network.pings("node1", OUTSIDE)
    assert not network.pings("outside", a.address(1))


def test_a_rule_opens_one_port_to_one_source_and_nothing_else(network):
    a = Cluster(1, [1, 2]).letting([], [InboundRule("tcp", (2200, 2201), f"{OUTSIDE}/32")])
    network.carve(a)

    def comes_in(port: int, *options: str) -> bool:
        words = ["nc", "-z", "-w", "1", *options, a.address(1), str(port)]
        return network.does("outside", *words)

    with network.listening("node1", 2200), network.listening("node1", 2202):
        assert comes_in(2200)
        assert not comes_in(2202)
        assert not comes_in(2200, "-s", ELSEWHERE)
        assert not network.pings("outside", a.address(1))
        network.ensure(a.letting([], [InboundRule("icmp", None, "0.0.0.0/0")]))
        assert network.reaches("outside", a.address(1))
        assert not comes_in(2200)
        network.ensure(a.letting([], [InboundRule("all", None, f"{ELSEWHERE}/32")]))
        assert comes_in(2202, "-s", ELSEWHERE)
        assert not comes_in(2202)


def test_a_connection_ends_with_the_leave_for_it(network, tmp_path):
    a = Cluster(1, [1]).letting([f"{OUTSIDE}/32"])
    network.carve(a)
    with network.listening("outside", 4000) as server:
        client = network.lab.spawn(
            "talk",
            ["sh", "-c", f"while echo more; do sleep 0.05; done | nc {OUTSIDE} 4000"],
            namespace="node1",
        )
        name = next(n for n, program in network.lab.programs.items() if program is server)
        said = network.lab.log_path(name)

        def grows(wait_s: float) -> bool:
            before = said.stat().st_size
            try:
                network.lab.until(lambda: said.stat().st_size > before, "more", wait_s)
            except Exception:  # noqa: BLE001 - whatever it was, nothing came
                return False
            return True

        assert grows(5.0)
        # Another leave than before: what goes on being let goes on.
        network.ensure(a.letting([f"{OUTSIDE}/32", f"{ELSEWHERE}/32"]))
        assert grows(5.0)
        network.ensure(a.letting([f"{ELSEWHERE}/32"]))
        grows(0.3)
        assert not grows(1.0)
        client.kill()
        client.wait()


def heard(network: RunningNetwork, where: str, expression: str, speak) -> bool:
    """Whether tcpdump at a host sees a packet while ``speak`` runs."""
    words = ["timeout", "3", "tcpdump", "-nUl", "-c", "1", "-i", "eth0", expression]
    name = f"tcpdump-{len(network.lab.programs)}"
    dump = network.lab.spawn(name, words, namespace=where)
    log = network.lab.log_path(name)
    network.lab.until(lambda: b"listening on" in log.read_bytes(), "tcpdump")
    speak()
    dump.wait()
    return dump.returncode == 0


def test_a_host_cannot_speak_as_another(network):
    a = Cluster(1, [2, 3, 7])
    network.carve(a)
    network.pings("node2", a.address(3))
    stolen = a.address(7)

    def with_address() -> None:
        network.run("node2", "ip", "address", "add", f"{stolen}/32", "dev", "eth0")
        network.does("node2", "ping", "-q", "-c", "2", "-W", "1", "-I", stolen, a.address(3))
        network.run("node2", "ip", "address", "del", f"{stolen}/32", "dev", "eth0")

    def with_arp() -> None:
        network.does("node2", *f"arping -q -A -c 2 -w 1 -I eth0 -s {stolen} {stolen}".split())

    def with_mac() -> None:
        other = "02:00:00:00:00:99"
        network.run("node2", "ip", "link", "set", "eth0", "address", other)
        network.pings("node2", a.address(3))
        network.run(
            "node2",
            "ip",
            "link",
            "set",
            "eth0",
            "address",
            network.settings.access_ports[port_device(2)]["slot/0"].mac,
        )

    lies = {
        f"icmp and src host {stolen}": with_address,
        f"arp and arp[14:4] = {int.from_bytes(bytes(map(int, stolen.split('.'))))}": with_arp,
        "ether src 02:00:00:00:00:99": with_mac,
    }
    network.run("node2", "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1")
    for expression, lie in lies.items():
        assert not heard(network, "node3", expression, lie), expression
    leaf = network.settings.access_ports[port_device(2)]["slot/0"].switch
    network.run(leaf, "nft", "delete", "table", "bridge", "gigawatt_in_band")
    for expression, lie in lies.items():
        assert heard(network, "node3", expression, lie), f"the control heard nothing: {expression}"
    found = network.observe(port_device(2))
    assert found is not None
    assert "rules of" in next(iter(found)).ipv4
    network.ensure(a, 2)
    assert network.observe(port_device(2)) == {a.port(2)}
    assert not heard(network, "node3", f"icmp and src host {stolen}", with_address)


def test_a_host_cannot_speak_to_the_switches(network):
    a = Cluster(1, [1, 2])
    network.carve(a)
    leaf = network.settings.access_ports[port_device(1)]["slot/0"].switch
    vtep = network.settings.switches[leaf].vtep
    network.run("node1", "ip", "route", "add", f"{vtep}/32", "dev", "eth0")
    assert not network.arpings("node1", vtep)
    network.run(leaf, "nft", "delete", "table", "bridge", "gigawatt_in_band")
    assert network.arpings("node1", vtep), "the control: without the rules a leaf answers"
    network.ensure(a, 1)
    assert not network.arpings("node1", vtep)


class TestWhenRulesDoNotLoad:
    @pytest.fixture
    def broken(self, network, tmp_path):
        """A driver on whose switches nft fails."""
        switches = {}
        for name, switch in network.settings.switches.items():
            script = tmp_path / name
            words = " ".join(switch.reach)
            script.write_text(
                f"#!/bin/sh\nsed 's#nft -j -f -#nft -j -f /nowhere#' | {words} sh -s\n"
            )
            script.chmod(0o755)
            switches[name] = switch.model_copy(update={"reach": (str(script),)})
        return network.open(network.settings.model_copy(update={"switches": switches}))

    def test_a_gateway_is_not_connected(self, network, broken):
        a = Cluster(1, [1]).letting(["0.0.0.0/0"])
        with pytest.raises(DriverPermanentError, match="nowhere"):
            asyncio.run(broken.ensure(GATEWAY_DEVICE, [a.gateway], a.fence))
        assert network.observe(GATEWAY_DEVICE) == frozenset()
        assert network.leftovers() == []

    def test_a_gateway_keeps_the_rules_that_it_had(self, network, broken):
        a = Cluster(1, [1]).letting([f"{OUTSIDE}/32"])
        network.carve(a)
        before = a.gateway
        with pytest.raises(DriverPermanentError, match="nowhere"):
            asyncio.run(broken.ensure(GATEWAY_DEVICE, [a.letting([]).gateway], a.fence))
        assert network.observe(GATEWAY_DEVICE) == {before}
        assert network.reaches("node1", OUTSIDE)

    def test_a_port_is_not_connected(self, network, broken):
        a = Cluster(1, [1, 2])
        network.carve(Cluster(1, [2]))
        with pytest.raises(DriverPermanentError):
            asyncio.run(broken.ensure(port_device(1), [a.port(1)], a.fence))
        assert network.observe(port_device(1)) == frozenset()
        assert not network.arpings("node1", a.address(2))


def test_without_its_gateway_a_network_is_closed(network):
    a = Cluster(1, [1]).letting(["0.0.0.0/0"], [InboundRule("all", None, "0.0.0.0/0")])
    network.carve(a)
    assert network.reaches("node1", OUTSIDE)
    assert network.reaches("outside", a.address(1))
    network.run("gateway", "ip", "link", "del", f"leg{a.vni}")
    assert not network.pings("node1", OUTSIDE)
    assert not network.pings("outside", a.address(1))
    assert network.observe(GATEWAY_DEVICE) != {a.gateway}
    network.ensure(a)
    assert network.observe(GATEWAY_DEVICE) == {a.gateway}
    assert network.reaches("node1", OUTSIDE)


TAMPERING = {
    "policy": "nft chain inet gigawatt forward '{ policy accept; }'",
    "rule": "nft insert rule inet gigawatt forward accept",
    "wider rule": "nft add rule inet gigawatt forward ip daddr 192.0.2.0/24 accept",
    "flush": "nft flush ruleset",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_rules_that_were_tampered_with_are_seen_and_put_back(network, how):
    a = Cluster(1, [1]).letting([f"{ELSEWHERE}/32"])
    network.carve(a)
    network.run(f"gw-{a.vni}", "sh", "-c", TAMPERING[how])
    found = network.observe(GATEWAY_DEVICE)
    assert found is not None
    assert found != {a.gateway}
    assert isinstance(one := next(iter(found)), Gateway)
    assert "(" in "".join(one.egress_cidrs)
    network.ensure(a)
    assert network.observe(GATEWAY_DEVICE) == {a.gateway}


def test_a_port_in_a_network_by_another_hand_is_seen(network):
    a = Cluster(1, [2])
    network.carve(a)
    where = network.settings.access_ports[port_device(3)]["slot/0"]
    network.run(where.switch, "ip", "link", "set", where.interface, "master", f"br{a.vni}", "up")
    found = network.observe(port_device(3))
    assert found is not None
    assert isinstance(port := next(iter(found)), NetworkPort)
    assert port.vni == a.vni
    assert not network.arpings("node3", a.address(2)), "its rules keep it silent"


def test_probes_say_what_is_so_while_hosts_are_off(network):
    a, b = Cluster(1, [1, 2, 7]), Cluster(2, [3, 6])
    network.carve(a, b)
    for node in (*a.nodes, *b.nodes):
        network.run(f"node{node}", "ip", "link", "set", "eth0", "down")
    inside = [(1, 2), (2, 1), (1, 7), (7, 1), (3, 6)]
    across = [(1, 3), (3, 1), (7, 6), (1, 5), (5, 1), (5, 5)]
    assert all(network.probe(*inside))
    assert not any(network.probe(*across))
    network.run("leaf3", "ip", "link", "set", f"vxlan{a.vni}", "down")
    # While BGP tells the others of the loss, real traffic between them may be lost as well.
    network.lab.until(lambda: network.probe((1, 2), (1, 7)) == (True, False), "the probes")


def cut(network, node: int, how: str) -> None:
    """Cut the cable of a node, or mend it, where neither end notices."""
    port = network.settings.access_ports[port_device(node)]["slot/0"]
    lines = ["delete table netdev cut"]
    if how != "mended":
        hook = f"type filter hook {how} device {port.interface} priority 0; policy drop;"
        lines = ["add table netdev cut", f"add chain netdev cut cut {{ {hook} }}"]
    network.run(port.switch, "nft", "-f", "-", stdin="\n".join(lines) + "\n")


@pytest.mark.parametrize("how", ["ingress", "egress"])
def test_a_machine_is_heard_by_its_own_cable_or_not_at_all(network, how):
    a, b = Cluster(1, [1, 2]), Cluster(2, [3])
    network.carve(a, b)
    own = [(1, 1), (2, 2), (3, 3)]
    assert network.probe(*own, (4, 4), (1, 3)) == (True, True, True, False, False)
    cut(network, 2, how)
    try:
        assert network.observe(port_device(2)) == {a.port(2)}, "its port is up all the same"
        assert network.probe((1, 2), *own) == (True, True, False, True)
    finally:
        cut(network, 2, "mended")
    assert all(network.probe(*own))
    # Not another machine of its network in its place, and not a switch that remembers it.
    network.run("node2", "ip", "link", "set", "eth0", "down")
    network.run("node1", "ip", "address", "add", f"{a.address(2)}/32", "dev", "eth0")
    assert network.probe(*own) == (True, False, True)
    network.run("node1", "ip", "address", "del", f"{a.address(2)}/32", "dev", "eth0")


def test_a_machine_without_a_way_to_its_gateway_is_not_handed_over(network):
    a = Cluster(1, [1])
    network.carve(a)
    assert network.probe((1, 1)) == (True,)
    network.run("gateway", "ip", "link", "set", f"vxlan{a.vni}", "down")
    assert network.probe((1, 1)) == (False,)


def test_probes_at_the_same_time_do_not_answer_each_other(network):
    a, b = Cluster(1, [1, 2]), Cluster(2, [3, 6])
    network.carve(a, b)
    ends = {node: Endpoint(node_id(node), 0) for node in (1, 2, 3, 6)}
    assert network.reaches("node1", a.address(2))
    assert network.reaches("node3", b.address(6))
    # The first pair decides which address a probe gives to which network.
    asked = [
        [(ends[1], ends[2]), (ends[1], ends[3]), (ends[2], ends[6])],
        [(ends[3], ends[6]), (ends[3], ends[2]), (ends[6], ends[1])],
        [(ends[6], ends[3]), (ends[2], ends[1])],
    ]

    async def probe_at_once():
        drivers = [network.open(network.settings) for _ in asked]
        return await asyncio.gather(
            *(driver.probe(pairs) for driver, pairs in zip(drivers, asked, strict=True))
        )

    for _ in range(2):
        answers = asyncio.run(probe_at_once())
        assert answers == [(True, False, False), (True, False, False), (True, True)]


def test_nobody_across_ever_answers_while_clusters_come_and_go(network):
    a, b = Cluster(1, [1, 2]), Cluster(2, [3, 5])
    network.carve(a)
    stop, answers, asked = threading.Event(), list[str](), list[str]()

    def ask() -> None:
        while not stop.is_set():
            for target in (b.address(3), b.address(5), "10.2.0.1"):
                asked.append(target)
                words = f"arping -q -f -c 1 -w 1 -I eth0 {target}".split()
                if network.does("node1", *words):
                    answers.append(target)

    network.run("node1", "ip", "route", "add", b.subnet, "dev", "eth0")
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(2):
            network.carve(b)
            assert network.reaches("node3", b.address(5))
            network.release(b)
    finally:
        stop.set()
        asking.join()
    assert len(asked) > 3
    assert answers == []
    assert network.arpings("node1", a.address(2)), "the control: it does ask"


def test_nics_of_a_roce_fabric_reach_their_cluster_on_every_rail_and_no_other(network):
    device, fence = DeviceId("fabric/eth0"), Cluster(1, []).fence

    def entries(vni: int, nodes: list[int]) -> list[ComputePort]:
        first = FLEET.first_nic_of_node
        return [
            ComputePort("eth0", vni, int(FLEET.nics.guid[int(first[node]) + rail]))
            for node in nodes
            for rail in range(2)
        ]

    def address(node: int, rail: int) -> str:
        return f"172.16.{rail}.{node}"

    async def hold() -> None:
        await network.compute.ensure(device, entries(0x800001, [1, 7]), fence)
        await network.compute.ensure(
            device, entries(0x800002, [3]), replace(fence, cluster_id="clu_2")
        )

    asyncio.run(hold())
    for node in (1, 3, 7):
        for rail in range(2):
            name = f"rdma{rail}"
            network.run(f"node{node}", "ip", "link", "set", name, "up")
            network.run(
                f"node{node}", "ip", "address", "add", f"{address(node, rail)}/24", "dev", name
            )
    for rail in range(2):
        assert network.reaches("node1", address(7, rail))
        assert not network.pings("node1", address(3, rail))
    one, other = Endpoint(node_id(1), 0), Endpoint(node_id(7), 0)
    across = Endpoint(node_id(3), 0)
    pairs = [(one, other), (other, one), (one, across), (across, other)]
    said = (True, True, False, False)
    network.lab.until(lambda: asyncio.run(network.compute.probe(pairs)) == said, "the probes")

    async def release() -> None:
        for fence_of, vni, nodes in (
            (fence, 0x800001, [1, 7]),
            (replace(fence, cluster_id="clu_2"), 0x800002, [3]),
        ):
            await network.compute.remove(device, entries(vni, nodes), fence_of)

    asyncio.run(release())
    assert not network.pings("node1", address(7, 0))
