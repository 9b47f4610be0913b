"""A real network for tests in a room: switches, gateway, hosts, and drivers of its two planes."""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from hearing import hears

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Entry, Gateway, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.evpn.opening import open_evpn
from gigawatt.drivers.evpn.settings import EvpnSettings
from gigawatt.drivers.opening import Opening
from gigawatt.errors import GigawattError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Driver, Endpoint, Fence
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.network.cables import (
    WORLD,
    compute_nics,
    guest_side,
    node_space,
    tenant_switches,
)
from gigawatt.lab.network.part import Mode, NetworkPart, compute_settings, in_band_settings
from gigawatt.lab.running import Running
from gigawatt.units import TIB

SITE = "lab"
SPEC = LabSpec(name="net", node_count=8, spine_count=2, leaf_count=4, hypervisor_count=1)


def fleet_of(node_count: int) -> Fleet:
    return build_fleet(
        "net",
        [
            BlockSpec(
                site_id=SITE,
                country="US",
                hall_id="h",
                node_type=HGX_H100,
                node_count=node_count,
                node_prefix="r",
                fabric_id="eth0",
                fabric_kind=FabricKind.ROCE,
                storage_bytes=TIB,
                nodes_per_leaf_group=8,
                leaf_groups_per_pod=1,
            )
        ],
    )


FLEET = fleet_of(SPEC.node_count)
GATEWAY_DEVICE = DeviceId(f"gateway/{SITE}")
GENERATION = 7
ANSWER_S_MAX = 4.0


def node_id(node: int) -> NodeId:
    return NodeId(FLEET.nodes.ids[node])


def port_device(node: int) -> DeviceId:
    return DeviceId(f"port/{node_id(node)}")


class Cluster:
    """Entries of a cluster on whole nodes, from one number; hosts are ``10.<number>.0.<10+n>``."""

    def __init__(self, number: int, nodes: Sequence[int], **gateway: Any) -> None:
        self.fence = Fence(ClusterId(f"clu_{number}"), GENERATION)
        self.vni, self.nodes = 0x1000 + number, tuple(nodes)
        self.subnet = f"10.{number}.0.0/20"
        self.gateway = Gateway(SITE, self.vni, self.subnet, (), **gateway)

    def letting(self, egress: Sequence[str] = (), rules: Sequence[Any] = ()) -> "Cluster":
        self.gateway = Gateway(SITE, self.vni, self.subnet, tuple(egress), tuple(rules))
        return self

    def address(self, node: int) -> str:
        return f"{self.subnet.removesuffix('.0/20')}.{10 + node}"

    def port(self, node: int) -> NetworkPort:
        return NetworkPort(node_id(node), 0, self.vni, f"{self.address(node)}/20")


class RunningNetwork:
    """The network of a fleet, by default ``FLEET``, and what a person at its hosts would do."""

    def __init__(
        self, mode: Mode, folder: Path, spec: LabSpec = SPEC, fleet: Fleet = FLEET
    ) -> None:
        self.lab = Running(fleet, Layout(spec, fleet), folder)
        self.part = NetworkPart(mode)
        self.part.start(self.lab)
        own = in_band_settings(self.lab, mode)
        # Hosts have their addresses before they are asked; one that is silent stays so.
        self.settings = own.model_copy(update={"answer_s_max": ANSWER_S_MAX})
        self.in_band = self.open(self.settings)
        self.compute = self.open(compute_settings(self.lab, mode))
        self.drivers: dict[Plane, Driver] = {
            Plane.IN_BAND: self.in_band,
            Plane.FABRIC: self.compute,
        }

    def open(self, settings: EvpnSettings) -> Driver:
        opening: Any = Opening(
            self.lab.fleet,
            SystemClock(),
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            self.lab.folder / f"driver-{settings.plane}",
        )
        return open_evpn(settings, opening)

    def carve(self, *clusters: Cluster) -> None:
        async def run() -> None:
            for cluster in clusters:
                await self.in_band.ensure(GATEWAY_DEVICE, [cluster.gateway], cluster.fence)
                for node in cluster.nodes:
                    await self.in_band.ensure(
                        port_device(node), [cluster.port(node)], cluster.fence
                    )

        asyncio.run(run())
        for cluster in clusters:
            for node in cluster.nodes:
                self.settle(cluster, node)

    def release(self, *clusters: Cluster) -> None:
        async def run() -> None:
            for cluster in clusters:
                for node in cluster.nodes:
                    await self.in_band.remove(
                        port_device(node), [cluster.port(node)], cluster.fence
                    )
                await self.in_band.remove(GATEWAY_DEVICE, [cluster.gateway], cluster.fence)

        asyncio.run(run())

    def settle(self, cluster: Cluster, node: int) -> None:
        """Give a host its address by hand, in place of any other, and the way out."""
        lines = [
            "address flush dev eth0",
            "link set dev eth0 up",
            f"address add {cluster.address(node)}/20 dev eth0",
            f"route replace default via {cluster.subnet.removesuffix('0/20')}1",
        ]
        self.run(f"node{node}", "ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def run(self, where: str, *command: str, stdin: str = "") -> str:
        return self.lab.run(command, namespace=where, stdin=stdin)

    def does(self, where: str, *command: str) -> bool:
        """Whether a command succeeds there."""
        try:
            self.run(where, *command)
        except GigawattError:
            return False
        return True

    def pings(self, where: str, address: str, wait_s: float = 1.0) -> bool:
        return self.does(where, "ping", "-q", "-c", "1", "-W", str(wait_s), address)

    def reaches(self, where: str, address: str) -> bool:
        """Whether a host answers in some seconds: BGP must have told the switches of each other."""
        return self.does(where, *["ping", "-q", "-i", "0.3", "-c", "1", "-w", "6"], address)

    def arpings(self, where: str, address: str) -> bool:
        return self.does(where, "sh", "-c", hears(address, wait_s=1))

    @contextmanager
    def listening(
        self, where: str, port: int, *options: str
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A netcat that listens there; it is up when the block begins."""
        name = f"nc-{where}-{port}-{len(self.lab.programs)}"
        process = self.lab.spawn(name, ["nc", "-lk", *options, str(port)], namespace=where)
        kind = "-lun" if "-u" in options else "-ltn"
        self.lab.until(lambda: f":{port} " in self.run(where, "ss", kind), f"nc on {port}")
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def ensure(self, cluster: Cluster, *nodes: int) -> None:
        """The gateway of a cluster, or the ports of these nodes, once more."""

        async def run() -> None:
            if not nodes:
                await self.in_band.ensure(GATEWAY_DEVICE, [cluster.gateway], cluster.fence)
            for node in nodes:
                await self.in_band.ensure(port_device(node), [cluster.port(node)], cluster.fence)

        asyncio.run(run())

    def observe(self, device: DeviceId) -> frozenset[Entry] | None:
        """What a device holds; None when it does not answer."""
        seen = asyncio.run(self.in_band.observe([device]))
        return seen.entries.get(device)

    def probe(self, *pairs: tuple[int, int]) -> tuple[bool, ...]:
        ends = [(Endpoint(node_id(a), 0), Endpoint(node_id(b), 0)) for a, b in pairs]
        return asyncio.run(self.in_band.probe(ends))

    def everything_free(self) -> None:
        """Take all away by the operator's hand, whatever a test left."""

        async def run() -> None:
            ids = self.lab.fleet.nodes.ids
            devices = [*(DeviceId(f"port/{one}") for one in ids), GATEWAY_DEVICE]
            seen = await self.in_band.observe(devices)
            assert not seen.unreachable
            for device, entries in seen.entries.items():
                if entries:
                    await self.in_band.remove(device, list(entries), Fence(OPERATOR, 10**9))

        asyncio.run(run())

    def leftovers(self) -> list[str]:
        """Everything of any cluster's network that is still anywhere."""
        found = [
            name for name in self.run("gateway", "ls", "/run/netns").split() if name[:3] == "gw-"
        ]
        found += [x for x in self.run("gateway", "ls", "/run/netns").split() if "probe" in x]
        for switch in self.settings.switches:
            links = self.run(switch, "ip", "-o", "link", "show")
            for line in links.splitlines():
                name = line.split()[1].rstrip(":").partition("@")[0]
                if name.startswith(("br", "vxlan", "leg", "up", "pb")):
                    found.append(f"{switch} {name}")
                if name.startswith(("p", "c")) and ("master" in line or ",UP" in line):
                    found.append(f"{switch} {name} is on")
            for row in self.run(switch, "nft", "list", "ruleset").splitlines():
                if "02:67:7" in row:
                    found.append(f"{switch} {row.strip()}")
        found += [str(path) for path in Path("/run/gigawatt/evpn").rglob("*")]
        for commands in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if commands.read_bytes().startswith(b"dnsmasq"):
                    found.append(commands.read_bytes().decode())
        return found


@contextmanager
def running_network(
    mode: Mode, spec: LabSpec = SPEC, fleet: Fleet = FLEET
) -> Iterator[RunningNetwork]:
    """A network that is up; all of it is gone at the end."""
    with TemporaryDirectory(prefix="gigawatt-net-") as folder:
        network = RunningNetwork(mode, Path(folder), spec, fleet)
        try:
            yield network
        finally:
            network.lab.stop()
            tear_down(network.lab)


def tear_down(lab: Running) -> None:
    """Make the room as bare as before, for the next network in it."""
    layout = lab.layout
    nodes = range(len(layout.fleet.nodes))
    for node in filter(layout.is_hypervisor, nodes):
        for slot in layout.slots_of(node):
            lab.run(["ip", "link", "del", layout.host_bridge(node, slot)])
            lab.run(["ip", "link", "del", guest_side(node, slot)])
    for node, rail, _ in compute_nics(layout):
        if layout.is_hypervisor(node):
            lab.run(["ip", "link", "del", f"x{node}r{rail}"])
    bare = [n for n in nodes if not layout.is_hypervisor(n)]
    switches = (*layout.spines, *tenant_switches(layout))
    for name in (*switches, WORLD, *map(node_space, bare)):
        lab.run(["ip", "netns", "del", name])
    for switch in switches:
        rmtree(Path("/run/frr") / switch, ignore_errors=True)
