"""How long a cluster's in-band network takes to come and go, beside what the kernel itself takes.

Run in a room: ``PYTHONPATH=src python -P -m gigawatt.lab.room python -P bench/in_band.py``; without
-P the interpreter takes bench files for modules of its own. 16 bare-metal ports on 4 leaves and a
gateway. The floor does the bare minimum for one port in one ``ip -batch`` and one ``nft`` without
reading, locks, notes, DHCP or undoing. All switches share this machine's processors; see the load.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Gateway, NetworkPort
from gigawatt.drivers.evpn.access import Leave, access_table
from gigawatt.drivers.evpn.nft_json import loading
from gigawatt.drivers.evpn.opening import open_evpn
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.opening import Opening
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.network.part import NetworkPart, in_band_settings
from gigawatt.lab.room import is_in_room
from gigawatt.lab.running import Running

SPEC = LabSpec(name="bench", node_count=16, hypervisor_count=0)
VNI, ROUND_COUNT = 0x1000, 5
FENCE = Fence(ClusterId("clu_bench"), 1)


def in_turn_s(calls: list[object]) -> list[float]:
    """Seconds of each call, one after the other."""

    async def run() -> list[float]:
        found = []
        for call in calls:
            began_s = time.perf_counter()
            await call()  # type: ignore[operator]
            found.append(time.perf_counter() - began_s)
        return found

    return asyncio.run(run())


def together_s(calls: list[object]) -> float:
    """Seconds of all calls at once."""

    async def run() -> None:
        await asyncio.gather(*(call() for call in calls))  # type: ignore[operator]

    began_s = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - began_s


def floor_s(lab: Running) -> float:
    """One port into one network and out again, by the kernel's own tools; half of both."""
    leaf, name = lab.layout.leaf_of(0), lab.layout.leaf_port(0, 0)
    lines = [
        f"link add br{VNI} type bridge",
        f"link add vxlan{VNI} type vxlan id {VNI} local 192.0.2.3 dstport 4789 nolearning",
        f"link set dev vxlan{VNI} master br{VNI} up",
        f"link set dev {name} master br{VNI} up",
        f"link set dev {name} nomaster down",
        f"link del vxlan{VNI}",
        f"link del br{VNI}",
    ]
    leave = {name: Leave(lab.layout.mac_of(0, 0), "10.0.0.10")}
    began_s = time.perf_counter()
    lab.run(
        ["nft", "-j", "-f", "-"],
        namespace=leaf,
        stdin=loading(access_table("in_band", frozenset({name}), leave)),
    )
    lab.run(["ip", "-batch", "-"], namespace=leaf, stdin="\n".join(lines) + "\n")
    return (time.perf_counter() - began_s) / 2


def measure(lab: Running, driver: FencedDriver) -> None:
    site = lab.fleet.sites.ids[0]
    gateway = Gateway(site, VNI, "10.0.0.0/20", ("198.51.100.0/24",))
    ports = [
        NetworkPort(NodeId(node_id), 0, VNI, f"10.0.0.{10 + row}/20")
        for row, node_id in enumerate(lab.fleet.nodes.ids)
    ]

    def calls(what: str, entries: list[NetworkPort] | list[Gateway]) -> list[object]:
        return [
            lambda entry=entry: getattr(driver, what)(entry.device, [entry], FENCE)
            for entry in entries
        ]

    devices = [DeviceId(f"port/{node_id}") for node_id in lab.fleet.nodes.ids]
    rows: dict[str, list[float]] = {}
    for _ in range(ROUND_COUNT):
        rows.setdefault("kernel's tools, one port", []).append(floor_s(lab))
        rows.setdefault("gateway comes", []).extend(in_turn_s(calls("ensure", [gateway])))
        rows.setdefault("one port comes", []).extend(in_turn_s(calls("ensure", ports)))
        rows.setdefault("reading 16 ports", []).append(
            together_s([lambda: driver.observe(devices)])
        )
        rows.setdefault("one port goes", []).extend(in_turn_s(calls("remove", ports)))
        rows.setdefault("16 ports come at once", []).append(together_s(calls("ensure", ports)))
        rows.setdefault("16 ports go at once", []).append(together_s(calls("remove", ports)))
        rows.setdefault("gateway goes", []).extend(in_turn_s(calls("remove", [gateway])))
    for name, found in rows.items():
        print(f"{name:26} {statistics.median(found) * 1_000:8.0f} ms, worst {max(found):6.2f} s")


def main() -> None:
    if not is_in_room():
        print("left out: not in a lab room")
        return
    fleet = lab_fleet(SPEC)
    with TemporaryDirectory() as folder:
        lab = Running(fleet, Layout(SPEC, fleet), Path(folder))
        began_s = time.perf_counter()
        NetworkPart().start(lab)
        print(f"2 spines, 4 leaves, gateway up in {time.perf_counter() - began_s:.1f} s")
        opening = Opening(fleet, SystemClock(), None, None, lab.folder)  # type: ignore[arg-type]
        measure(lab, open_evpn(in_band_settings(lab, "frr"), opening))
        print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        lab.stop()


if __name__ == "__main__":
    main()
