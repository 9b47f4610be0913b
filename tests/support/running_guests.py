"""libvirt with the lab's small guests, and storage if wanted, for the tests of a module in a room.

In which network a guest's port is says a fake in-band plane, which the tests tell.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.guests.opening import open_guests
from gigawatt.drivers.guests.settings import GuestsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.networks import PortNetworks
from gigawatt.ids import NodeId
from gigawatt.interfaces.driver import Driver, Fence
from gigawatt.interfaces.receipts import CleaningReceipt
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.guests.part import GuestsPart
from gigawatt.lab.layout import GuestImage, LabSpec, Layout
from gigawatt.lab.running import Part, Running


class NoSecrets:
    """Guests have no passwords."""

    def _none(self, secret_ref: str) -> str:
        raise AssertionError(f"the host plane asked for the secret {secret_ref}")

    make = read = rotate = forget = _none

    def put(self, secret_ref: str, secret: str) -> None:
        del secret
        self._none(secret_ref)


@dataclass
class KeptReceipts:
    """Receipts in memory, the newest last."""

    kept: list[CleaningReceipt] = field(default_factory=list)

    def keep(self, receipt: CleaningReceipt) -> None:
        self.kept.append(receipt)

    def of_node(self, node_id: NodeId, limit: int = 100) -> list[CleaningReceipt]:
        return [one for one in reversed(self.kept) if one.node_id == node_id][:limit]


@dataclass
class RunningGuests:
    """A lab that has nothing but guests; its drivers note in the folder ``name``."""

    lab: Running
    settings: GuestsSettings
    receipts: KeptReceipts = field(default_factory=KeptReceipts)
    name: str = "driver"
    in_band: Driver | None = None

    def open(self, name: str = "", **changed: object) -> FencedDriver:
        """A driver; with ``changed`` settings if any."""
        settings = GuestsSettings.model_validate(self.settings.model_dump() | changed)
        folder = self.lab.folder / (name or self.name)
        clock = SystemClock()
        opening = Opening(self.lab.fleet, clock, NoSecrets(), self.receipts, folder)
        driver = open_guests(settings, opening)
        if self.in_band is not None:
            driver.know_networks(PortNetworks(self.in_band))
        return driver

    def connect(self, entry: HostSlice, vni: int, fence: Fence) -> None:
        """Put the port of a slice in a network."""
        assert self.in_band is not None, "with storage only"
        port = NetworkPort(entry.node_id, entry.slot, vni, f"10.77.{entry.slot}.10/24")
        asyncio.run(self.in_band.ensure(port.device, [port], fence))

    def disconnect(self) -> None:
        """Every port in no network, and none remembered."""
        fakes = fake_drivers(DeviceWorld(self.lab.fleet), Faults(), SystemClock())
        self.in_band = fakes[Plane.IN_BAND]

    def slice(self, mask: int, node: int = 0, **fields: object) -> HostSlice:
        """A slice that is on, unless ``fields`` says otherwise."""
        values: dict[str, object] = {
            "node_id": NodeId(self.lab.fleet.nodes.ids[node]),
            "gpu_mask": mask,
            "guest": True,
            "hostname": "train-0",
            "image": "debian-12-gpu",
            "ssh_public_keys": (),
            "power": "on",
        }
        return HostSlice(**{**values, **fields})  # type: ignore[arg-type]

    def virsh(self, *words: str) -> str:
        return self.lab.run(["virsh", "--quiet", *words])

    def files(self) -> list[str]:
        """What lies in the guests' folder."""
        folder = Path(self.settings.hypervisors[0].folder)
        return sorted(path.name for path in folder.glob("*"))


def put(driver: FencedDriver, entry: HostSlice, fence: Fence) -> None:
    asyncio.run(driver.ensure(entry.device, [entry], fence))


def take(driver: FencedDriver, entry: HostSlice, fence: Fence) -> None:
    asyncio.run(driver.remove(entry.device, [entry], fence))


def seen(driver: FencedDriver, entry: HostSlice) -> frozenset[object] | None:
    """What the host of ``entry`` holds; None: it does not answer."""
    return asyncio.run(driver.observe([entry.device])).entries.get(entry.device)


def guest_processes() -> list[int]:
    """Numbers of the QEMU processes in the room."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"qemu-system-x86_64"):
            found.append(int(path.parent.name))
    return found


def taps() -> list[str]:
    """Interfaces that guests are plugged in with."""
    words = ["ip", "-json", "link"]
    links = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return sorted(link["ifname"] for link in links if link["ifname"].startswith("vnet"))


@contextmanager
def running_guests(
    folder: Path, guest_image: GuestImage = "small", storage: Part | None = None
) -> Iterator[RunningGuests]:
    """Start libvirtd and declare, after ``storage``; at the end nothing of them runs."""
    spec = LabSpec(node_count=4, hypervisor_count=2, guest_image=guest_image)
    fleet = lab_fleet(spec)
    lab = Running(fleet, Layout(spec, fleet), folder)
    try:
        if storage is not None:
            storage.start(lab)
        GuestsPart(guest_image).start(lab)
        (declared,) = lab.settings["host"]
        running = RunningGuests(lab, GuestsSettings.model_validate(declared))
        if storage is not None:
            running.disconnect()
        yield running
        for name in running.virsh("list", "--name").split():
            running.virsh("destroy", name)
        for name in running.virsh("list", "--all", "--name").split():
            subprocess.run(["virsh", "--quiet", "undefine", name], check=True)
    finally:
        lab.stop()
