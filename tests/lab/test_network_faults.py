"""Goal: what breaks in a network is said, closes nothing that it should not, and comes back.

Method: FRR's daemons are killed, before and in the middle of calls; links of leaves, spines and
hosts are cut; a spine is lost. ping judges, beside what the driver says.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from running_network import (
    GATEWAY_DEVICE,
    Cluster,
    RunningNetwork,
    port_device,
    running_network,
)

from gigawatt.errors import DriverRetryableError, GigawattError
from gigawatt.lab.network.underlay import silent_neighbours, start_daemon

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LEAF, FAR_LEAF = "leaf0", "leaf3"
SILENCE_S = 7.0
"""Longer than ARP is listened for, shorter than neighbours are waited for (12 s)."""


@pytest.fixture(scope="module")
def started() -> Iterator[RunningNetwork]:
    with running_network("frr") as network:
        yield network


@pytest.fixture
def network(started) -> Iterator[RunningNetwork]:
    yield started
    for name, program in list(started.lab.programs.items()):
        if program.poll() is not None:
            start_daemon(started.lab, *name.split("-"))
    started.lab.until(lambda: not started.part.ailment(started.lab), "all daemons")
    started.everything_free()
    assert started.leftovers() == []


def kill(network: RunningNetwork, switch: str, daemon: str) -> None:
    process = network.lab.programs[f"{switch}-{daemon}"]
    process.kill()
    process.wait()


def restart(network: RunningNetwork, switch: str, daemon: str) -> None:
    """Start a daemon again, and with zebra bgpd, as FRR's own watchdog does."""
    lab = network.lab
    if daemon == "zebra":
        kill(network, switch, "bgpd")
        start_daemon(lab, switch, "zebra")
    start_daemon(lab, switch, "bgpd")
    lab.until(lambda: not silent_neighbours(lab, switch), f"neighbours of {switch}")


@pytest.mark.parametrize("daemon", ["bgpd", "zebra"])
def test_a_leaf_without_its_routing_daemon_is_not_reachable_and_says_why(network, daemon):
    a = Cluster(1, [1, 7])
    network.carve(a)
    kill(network, LEAF, daemon)
    assert network.observe(port_device(1)) is None
    assert network.observe(port_device(7)) == {a.port(7)}
    assert daemon in network.part.ailment(network.lab)
    for call in (network.in_band.ensure, network.in_band.remove):
        with pytest.raises(DriverRetryableError, match="FRR of switch leaf0"):
            asyncio.run(call(port_device(1), [a.port(1)], a.fence))
    restart(network, LEAF, daemon)
    assert network.part.ailment(network.lab) == ""
    network.lab.until(lambda: network.observe(port_device(1)) == {a.port(1)}, "the port")
    assert network.reaches("node1", a.address(7))


@pytest.mark.parametrize("daemon", ["bgpd", "zebra"])
def test_a_daemon_that_dies_in_the_middle_of_a_call_leaves_nothing_half_done(network, daemon):
    a = Cluster(1, [1, 7])
    network.carve(Cluster(1, [7]))

    async def run() -> None:
        call = asyncio.create_task(network.in_band.ensure(port_device(1), [a.port(1)], a.fence))
        await asyncio.sleep(0)
        await asyncio.to_thread(kill, network, LEAF, daemon)
        with suppress(GigawattError):
            await call

    asyncio.run(run())
    restart(network, LEAF, daemon)
    network.ensure(a, 1)
    assert network.observe(port_device(1)) == {a.port(1)}
    network.settle(a, 1)
    assert network.reaches("node1", a.address(7))


def test_a_cut_between_leaf_and_spine_is_survived_and_a_leaf_cut_off_says_so(network):
    a = Cluster(1, [1, 7])
    network.carve(a)
    assert network.reaches("node1", a.address(7))
    network.run(LEAF, "ip", "link", "set", "fab0", "down")
    assert network.reaches("node1", a.address(7))
    assert network.observe(port_device(1)) == {a.port(1)}
    network.run(LEAF, "ip", "link", "set", "fab1", "down")
    assert not network.pings("node1", a.address(7))
    network.lab.until(lambda: network.observe(port_device(1)) is None, "the leaf to notice")
    assert network.observe(port_device(7)) == {a.port(7)}
    for link in ("fab0", "fab1"):
        network.run(LEAF, "ip", "link", "set", link, "up")
    network.lab.until(lambda: network.observe(port_device(1)) == {a.port(1)}, "the leaf")
    assert network.reaches("node1", a.address(7))


def test_a_lost_spine_is_survived(network):
    a = Cluster(1, [1, 7])
    network.carve(a)
    assert network.reaches("node1", a.address(7))
    ends = [f"down{column}" for column in range(5)]
    for end in ends:
        network.run("spine0", "ip", "link", "set", end, "down")
    assert network.reaches("node1", a.address(7))
    b = Cluster(2, [2, 6])
    network.carve(b)
    assert network.reaches("node2", b.address(6))
    assert not network.pings("node1", b.address(6))
    assert "neighbours" in network.part.ailment(network.lab)
    for end in ends:
        network.run("spine0", "ip", "link", "set", end, "up")
    lab = network.lab
    lab.until(lambda: not silent_neighbours(lab, "spine0"), "the neighbours of spine0")


def test_a_host_whose_link_was_cut_is_where_it_was_when_it_is_back(network):
    a = Cluster(1, [1, 2])
    network.carve(a)
    assert network.reaches("node1", a.address(2))
    network.run("node2", "ip", "link", "set", "eth0", "down")
    assert not network.pings("node1", a.address(2))
    assert network.observe(port_device(2)) == {a.port(2)}
    network.settle(a, 2)
    assert network.reaches("node1", a.address(2))


def test_what_is_missing_of_a_network_is_said_and_made_again(network):
    a = Cluster(1, [1, 7])
    network.carve(a)
    breaks = {
        f"there is no vxlan{a.vni}": ["link", "del", f"vxlan{a.vni}"],
        f"vxlan{a.vni} is down": ["link", "set", f"vxlan{a.vni}", "down"],
        "is switched off": ["link", "set", "p7s0", "down"],
    }
    for said, how in breaks.items():
        network.run(FAR_LEAF, "ip", *how)
        found = network.observe(port_device(7))
        assert found is not None
        assert said in next(iter(found)).ipv4
        network.ensure(a, 7)
        assert network.observe(port_device(7)) == {a.port(7)}
        assert network.reaches("node1", a.address(7))


def test_a_probe_waits_until_the_switches_have_heard_of_each_other(network):
    """A network that came to a leaf while no spine passes news on is no network without a way."""
    a = Cluster(1, [1, 7])
    network.carve(Cluster(1, [1]))
    spines = [network.lab.programs[f"spine{number}-bgpd"] for number in range(2)]
    for spine in spines:
        spine.send_signal(signal.SIGSTOP)
    waking = threading.Timer(
        SILENCE_S, lambda: [spine.send_signal(signal.SIGCONT) for spine in spines]
    )
    waking.start()
    network.ensure(a, 7)
    rows = network.run(LEAF, "bridge", "fdb", "show", "dev", f"vxlan{a.vni}")
    far = network.settings.switches[FAR_LEAF].vtep
    assert far not in rows, "the control: the one leaf has not heard of the other"
    assert network.probe((1, 7), (7, 1), (1, 2)) == (True, True, False)
    waking.join()


def test_a_dhcp_server_that_died_is_missed_and_started_again(network):
    a = Cluster(1, [1])
    network.carve(a)
    network.run("gateway", "sh", "-c", f"kill -9 $(cat /run/gigawatt/evpn/{a.vni}/pid)")
    network.lab.until(
        lambda: "DHCP" in next(iter(network.observe(GATEWAY_DEVICE) or [a.gateway])).subnet,
        "the loss to be seen",
    )
    network.ensure(a)
    assert network.observe(GATEWAY_DEVICE) == {a.gateway}


@pytest.mark.parametrize(("lost_bytes", "is_reached"), [(40, True), (4_000, False)])
def test_one_lost_frame_makes_no_node_unreached(network, lost_bytes, is_reached):
    """ARP has 28 bytes: the first frame is lost, or all are."""
    a = Cluster(1, [1, 7])
    network.carve(a)
    assert network.probe((1, 7)) == (True,)
    lines = [
        "add table bridge lossy",
        "add chain bridge lossy c { type filter hook forward priority 0; }",
        f"add rule bridge lossy c ether type arp quota until {lost_bytes} bytes drop",
    ]
    network.run(LEAF, "nft", "-f", "-", stdin="\n".join(lines) + "\n")
    try:
        assert network.probe((1, 7)) == (is_reached,)
    finally:
        network.run(LEAF, "nft", "delete", "table", "bridge", "lossy")


def test_a_switch_that_does_not_answer_is_unreachable_and_holds_up_no_other(network):
    a = Cluster(1, [1, 7])
    network.carve(a)
    reach = {**network.settings.switches}
    reach[LEAF] = reach[LEAF].model_copy(update={"reach": ("sleep", "60", "#")})
    settings = network.settings.model_copy(update={"switches": reach, "wait_s_max": 0.5})
    driver = network.open(settings)
    seen = asyncio.run(driver.observe([port_device(1), port_device(7)]))
    assert seen.unreachable == {port_device(1)}
    assert seen.entries == {port_device(7): {a.port(7)}}
