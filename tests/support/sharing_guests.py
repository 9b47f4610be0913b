"""Guests of a lab with a storage plane: two tenants, their file systems, and what they try."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Export, FileSystem, HostSlice
from gigawatt.drivers.btrfs.opening import open_btrfs
from gigawatt.drivers.btrfs.settings import BtrfsSettings
from gigawatt.drivers.cephfs.opening import open_cephfs
from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.driver import StorageDriver
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.lab.audit_scene import AuditScene
from gigawatt.lab.audit_shares import audit_shares
from gigawatt.lab.folder import LabFolder
from gigawatt.lab.running import Running
from gigawatt.lab.storage.btrfs import BtrfsPart
from gigawatt.lab.storage.cephfs import CephfsPart
from memory_secrets import MemorySecrets
from running_guests import RunningGuests, guest_processes, put, running_guests, seen

MIB = 2**20
A, B = ClusterId("clu_a"), ClusterId("clu_b")
VNI = {A: 4100, B: 4200}
SLOT = {A: 0, B: 4}
MASK = {A: 0x0F, B: 0xF0}
SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes"),
)
Done = subprocess.CompletedProcess[str]


class Sharing:
    """Guests with storage, and what a person would do in them."""

    def __init__(self, guests: RunningGuests, key: Path) -> None:
        self.guests, self.key = guests, key
        self.pool_id = guests.lab.fleet.storage_pools.ids[0]
        self.pool = DeviceId(f"pool/{self.pool_id}")
        hypervisor = guests.settings.hypervisors[0]
        self.folder = Path(hypervisor.storage_pools[self.pool_id])
        self.storage = _opened(guests.lab)

    def slice(self, whose: ClusterId) -> HostSlice:
        key = self.key.with_suffix(".pub").read_text().strip()
        return self.guests.slice(MASK[whose], hostname=f"{whose[-1]}-0", ssh_public_keys=(key,))

    def start(self, whose: ClusterId) -> HostSlice:
        """A guest that runs in its network."""
        entry = self.slice(whose)
        self.guests.connect(entry, VNI[whose], Fence(whose, 1))
        put(self.guests.open(), entry, Fence(whose, 1))
        self.until_up(whose)
        return entry

    def give(self, whose: ClusterId, number: int, quota_mib: int = 20) -> None:
        """A file system, exported to its cluster's network."""
        path = f"/tenants/{whose}/{number}"
        files = FileSystem(self.pool_id, number, path, quota_mib * MIB)
        export = Export(self.pool_id, number, VNI[whose])
        asyncio.run(self.storage.ensure(self.pool, [files, export], Fence(whose, number)))

    def cut(self, whose: ClusterId, number: int) -> None:
        """The end of an export."""
        export = Export(self.pool_id, number, VNI[whose])
        asyncio.run(self.storage.remove(self.pool, [export], Fence(whose, number)))

    def sh(self, whose: ClusterId, command: str) -> Done:
        """A command of a guest's root, in the folder of the pool."""
        words = [*SSH, "-i", str(self.key), f"root@10.77.{SLOT[whose]}.10"]
        inside = f"cd /mnt/{self.pool_id} && {command}"
        return subprocess.run([*words, inside], capture_output=True, text=True, check=False)

    def said(self, whose: ClusterId, command: str) -> str:
        done = self.sh(whose, command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def until(self, whose: ClusterId, command: str, said: str) -> None:
        """Look until a guest says so: names live on in it for a second at most."""
        self.guests.lab.until(lambda: self.sh(whose, command).stdout.strip() == said, said)

    def until_up(self, whose: ClusterId) -> None:
        """Look until a guest answers."""
        self.guests.lab.until(lambda: self.sh(whose, "true").returncode == 0, f"ssh to {whose}")

    def switch(self, whose: ClusterId) -> None:
        """A leaf whose port to a slice is in the bridge of its network."""
        layout, slot = self.guests.lab.layout, SLOT[whose]
        leaf, bridge = layout.leaf_of(0), f"br{VNI[whose]}"
        self.guests.lab.add_namespace(leaf)
        for words in (
            f"{bridge} type bridge",
            f"{layout.leaf_port(0, slot)} type veth peer name far",
        ):
            self.guests.lab.run(["ip", "link", "add", *words.split()], namespace=leaf)
        port = ["ip", "link", "set", layout.leaf_port(0, slot), "master", bridge]
        self.guests.lab.run(port, namespace=leaf)

    def audit(self) -> set[str]:
        """What a lab's audit finds of shares."""
        lab = self.guests.lab
        scene = AuditScene(LabFolder(lab.folder), lab.layout.spec, lab.layout)
        scene.folder.rubbish_path.mkdir(exist_ok=True)
        names = self.guests.virsh("list", "--all", "--name").split()
        return {leftover.what for leftover in audit_shares(scene, names)}

    def empty(self) -> None:
        """No guest is left, nothing stored, no port in a network, and so their drivers end."""
        driver, entry = self.guests.open("emptying"), self.slice(A)
        held = sorted(seen(driver, entry) or (), key=str)
        asyncio.run(driver.remove(entry.device, held, Fence(OPERATOR, 99)))
        there = asyncio.run(self.storage.observe([self.pool])).entries[self.pool]
        order = sorted(there, key=lambda one: isinstance(one, FileSystem))
        asyncio.run(self.storage.remove(self.pool, order, Fence(OPERATOR, 99)))
        assert servers() == guest_processes() == self.guests.files() == []
        self.guests.disconnect()


def _opened(lab: Running) -> StorageDriver:
    (settings,) = lab.settings["storage"]
    opening = Opening(lab.fleet, SystemClock(), MemorySecrets(), None, lab.folder / "fs")
    if settings["driver"] == "btrfs":
        return open_btrfs(BtrfsSettings.model_validate(settings), opening)
    return open_cephfs(CephfsSettings.model_validate(settings), opening)


def servers() -> list[str]:
    """Command lines of all servers of shares in the room."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(word.endswith("virtiofsd") for word in words):
            found.append(" ".join(words))
    return found


@contextmanager
def sharing_guests(folder: Path, engine: Literal["btrfs", "cephfs"]) -> Iterator[Sharing]:
    """Start storage, libvirtd, and DHCP on the bridges of both; at the end nothing runs."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    storage = BtrfsPart() if engine == "btrfs" else CephfsPart()
    with running_guests(folder, storage=storage) as guests:
        ranges = []
        for slot in SLOT.values():
            bridge = guests.lab.layout.host_bridge(0, slot)
            guests.lab.run(["ip", "address", "add", f"10.77.{slot}.1/24", "dev", bridge])
            ranges.append(f"--dhcp-range=10.77.{slot}.10,10.77.{slot}.10")
        files = ["--pid-file=", f"--dhcp-leasefile={folder / 'leases'}", "--conf-file=/dev/null"]
        words = ["--keep-in-foreground", "--port=0", "--user=root", "--dhcp-authoritative"]
        guests.lab.spawn("dnsmasq", ["dnsmasq", *words, *files, *ranges])
        sharing = Sharing(guests, key)
        yield sharing
        for path in (sharing.folder / "exports", sharing.folder / "disk"):
            subprocess.run(["umount", "-lR", str(path)], check=False, stderr=subprocess.DEVNULL)
