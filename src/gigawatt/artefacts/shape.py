"""The shape of one host as its tenant sees it: GPUs, NICs, NUMA domains and CPU cores.

Inside a guest everything is numbered from 0 again: the GPUs 4 to 7 of a node are GPUs 0 to 3 of
the guest that holds them. A whole node is the case in which nothing changes.
"""

from dataclasses import dataclass
from functools import lru_cache

from gigawatt.fleet.model import NodeType
from gigawatt.fleet.slices import gpus_in_mask, nics_of_mask


@dataclass(frozen=True, slots=True)
class PciGroup:
    """GPUs and NICs that sit side by side under one PCIe switch.

    Fields: numa, gpus and nics are the host's own numbers, 0-based.
    """

    numa: int
    gpus: tuple[int, ...]
    nics: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HostShape:
    """What one host has.

    Fields:
        gpu_type: as in the node type, e.g. "h100".
        is_guest: a slice of a node rather than a whole one.
        groups: PCIe switches in order.
        numa_count: NUMA domains, >= 1.
        cpu_core_count: physical cores; a slice has its GPUs' share, >= numa_count.
        memory_bytes: likewise.
    """

    gpu_type: str
    is_guest: bool
    groups: tuple[PciGroup, ...]
    numa_count: int
    cpu_core_count: int
    memory_bytes: int

    @property
    def gpu_count(self) -> int:
        """GPUs of the host."""
        return sum(len(group.gpus) for group in self.groups)

    @property
    def nic_count(self) -> int:
        """NICs of the host on the compute fabric."""
        return sum(len(group.nics) for group in self.groups)

    @property
    def cores_per_numa(self) -> int:
        """CPU cores of each NUMA domain, which share them evenly."""
        return self.cpu_core_count // self.numa_count


def _group_of_gpu(node_type: NodeType, gpu: int) -> int:
    """PCIe switch of a GPU: with fewer NICs than GPUs, those that one NIC serves share one."""
    if 0 < node_type.nic_count < node_type.gpu_count:
        return ((gpu + 1) * node_type.nic_count - 1) // node_type.gpu_count
    return gpu


@lru_cache(maxsize=1024)
def shape_of(node_type: NodeType, gpu_mask: int) -> HostShape:
    """Shape of the host that holds the GPUs of ``gpu_mask`` (not 0) of one node."""
    gpus, nics = gpus_in_mask(gpu_mask), nics_of_mask(node_type, gpu_mask)
    numas = sorted({gpu * node_type.numa_count // node_type.gpu_count for gpu in gpus})
    groups: dict[int, tuple[int, list[int], list[int]]] = {}
    for number, gpu in enumerate(gpus):
        numa = numas.index(gpu * node_type.numa_count // node_type.gpu_count)
        key = _group_of_gpu(node_type, gpu)
        groups.setdefault(key, (numa, [], []))[1].append(number)
    for number, nic in enumerate(nics):
        first_gpu = nic * node_type.gpu_count // node_type.nic_count
        groups[_group_of_gpu(node_type, first_gpu)][2].append(number)
    share = len(gpus)
    return HostShape(
        gpu_type=node_type.gpu_type,
        is_guest=len(gpus) < node_type.gpu_count,
        groups=tuple(PciGroup(n, tuple(g), tuple(c)) for n, g, c in groups.values()),
        numa_count=len(numas),
        cpu_core_count=max(len(numas), node_type.cpu_core_count * share // node_type.gpu_count),
        memory_bytes=node_type.memory_bytes * share // node_type.gpu_count,
    )
