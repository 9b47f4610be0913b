"""What one guest shall be made of: the slice's own GPUs, NICs, CPUs and memory, by NUMA node.

Disjoint slices get disjoint parts, because each part belongs to one GPU of the node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from uuid import NAMESPACE_URL, uuid5

from gigawatt.artefacts.shape import shape_of
from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.guests.settings import (
    BoardSettings,
    HypervisorSettings,
    ImageSettings,
    NicSettings,
)
from gigawatt.drivers.guests.shares import Attachment, Share, shares_of
from gigawatt.errors import InputError
from gigawatt.fleet.model import NodeType
from gigawatt.fleet.slices import gpus_in_mask, nics_of_mask
from gigawatt.ids import ClusterId, NodeId

NAME_PREFIX = "gw-"
"""What the names of our virtual machines begin with; others are left alone."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One NUMA cell of a guest: the host's NUMA node, CPUs that it is pinned to, memory in MiB."""

    host_node: int
    cpus: tuple[int, ...]
    memory_mib: int


@dataclass(frozen=True, slots=True)
class PciSwitch:
    """GPUs and NICs that sit beside each other: the guest's NUMA cell, host PCI functions."""

    cell: int
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """One guest.

    Fields:
        entry, cluster_id: what it is for, kept with it.
        cells, switches: in the guest's order; empty where the board has nothing to hand over.
        files: folder of its disk, seed and console.
        has_disk: whether it has a disk to write on.
        attachment, shares: what it mounts of storage pools.
    """

    entry: HostSlice
    cluster_id: ClusterId
    board: BoardSettings
    image: ImageSettings
    nic: NicSettings
    cells: tuple[Cell, ...]
    switches: tuple[PciSwitch, ...]
    files: str
    has_disk: bool
    attachment: Attachment | None
    shares: tuple[Share, ...]

    @property
    def name(self) -> str:
        """Name of the virtual machine."""
        return guest_name(self.entry.node_id, self.entry.slot)

    @property
    def uuid(self) -> str:
        """Number of the virtual machine; of its place, not of its tenant."""
        return guest_uuid(self.name)

    @property
    def functions(self) -> frozenset[str]:
        """PCI functions of the host that it has, the in-band one too."""
        own = {address for switch in self.switches for address in switch.functions}
        return frozenset(own | {self.nic.virtual_function or ""}) - {""}

    @property
    def disk_path(self) -> str:
        """Its disk."""
        return f"{self.files}/disk.qcow2"

    @property
    def seed_path(self) -> str:
        """Its seed (NoCloud)."""
        return f"{self.files}/seed.iso"

    @property
    def variables_path(self) -> str:
        """Variables of its firmware."""
        return f"{self.files}/variables.fd"

    @property
    def console_path(self) -> str:
        """What its serial console said since it was started."""
        return f"{self.files}/console.log"


def guest_name(node_id: NodeId, slot: int) -> str:
    """Name of the virtual machine in one slot of a node."""
    return f"{NAME_PREFIX}{node_id}-s{slot}"


def guest_uuid(name: str) -> str:
    """The UUID of a virtual machine by its name."""
    return str(uuid5(NAMESPACE_URL, f"urn:gigawatt:guest:{name}"))


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """One node that runs guests, with everything that its guests may be made of."""

    settings: HypervisorSettings
    node_type: NodeType
    board: BoardSettings
    images: Mapping[str, ImageSettings]
    disk_mib: int

    @property
    def full_mask(self) -> int:
        """All GPUs."""
        return (1 << self.node_type.gpu_count) - 1

    def checked(self) -> "Hypervisor":
        """Itself, if the board fits the node type.

        Raises:
            InputError: another number of GPUs, NICs or NUMA nodes.
        """
        board, kind, node_id = self.board, self.node_type, self.settings.node_id
        if board.gpus:
            has = (len(board.gpus), len(board.nics), len(board.numas))
            wanted = (kind.gpu_count, kind.nic_count, kind.numa_count)
            if has != wanted:
                raise InputError(
                    f"{node_id}: its board has {has} GPUs, NICs and NUMA nodes,"
                    f" {kind.name} has {wanted}"
                )
        return self

    def spec(
        self, entry: HostSlice, cluster_id: ClusterId, attachment: Attachment | None = None
    ) -> GuestSpec:
        """What a guest for ``entry`` is made of; the slot and the image are known."""
        image = self.images[entry.image]
        has_gpus = bool(self.board.gpus)
        files = f"{self.settings.folder}/{guest_name(entry.node_id, entry.slot)}"
        return GuestSpec(
            entry=entry,
            cluster_id=cluster_id,
            board=self.board,
            image=image,
            nic=self.settings.nic_of_slot[entry.slot],
            cells=self._cells(entry.gpu_mask) if has_gpus else (),
            switches=self._switches(entry.gpu_mask) if has_gpus else (),
            files=files,
            has_disk=image.disk is not None or self.disk_mib > 0,
            attachment=attachment,
            shares=shares_of(attachment, self.settings.storage_pools, files),
        )

    def _cells(self, mask: int) -> tuple[Cell, ...]:
        kind = self.node_type
        cells = []
        by_numa = groupby(gpus_in_mask(mask), lambda g: g * kind.numa_count // kind.gpu_count)
        for number, gpus in by_numa:
            numa = self.board.numas[number]
            siblings = [
                gpu
                for gpu in range(kind.gpu_count)
                if gpu * kind.numa_count // kind.gpu_count == number
            ]
            page_mib = self.board.huge_page_mib or 1
            memory_mib = numa.memory_mib // len(siblings) // page_mib * page_mib
            shares = [_share(numa.cpus, siblings.index(gpu), len(siblings)) for gpu in gpus]
            cpus = tuple(cpu for share in shares for cpu in share)
            cells.append(Cell(numa.host_node, cpus, memory_mib * len(shares)))
        return tuple(cells)

    def _switches(self, mask: int) -> tuple[PciSwitch, ...]:
        """In the order, and so under the guest's bus numbers, of the tenant's NCCL topology."""
        gpus = [self.board.gpus[number] for number in gpus_in_mask(mask)]
        nics = [self.board.nics[number] for number in nics_of_mask(self.node_type, mask)]
        return tuple(
            PciSwitch(
                group.numa,
                (*(gpus[number] for number in group.gpus), *(nics[n] for n in group.nics)),
            )
            for group in shape_of(self.node_type, mask).groups
        )


def _share(cpus: tuple[int, ...], index: int, count: int) -> tuple[int, ...]:
    """CPUs of one GPU of ``count`` that share ``cpus``."""
    return cpus[index * len(cpus) // count : (index + 1) * len(cpus) // count]
