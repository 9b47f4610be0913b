"""``nccl-topo.xml``: what sits beside what in one host, in NCCL's own schema.

The file carries the tree (NUMA domain, PCIe switch, GPU, NIC) and the speed of the links, which
is what a guest cannot see. NCCL fills in everything else from the running host: CPU vendor and
affinity, compute capability, NVLinks, NIC speed.

Bus addresses follow a plan of our own: every PCIe switch, then its GPUs, then its NICs take the
next bus, from 16 on. A guest's definition has to use the same addresses.

Source: NCCL src/graph/xml.cc (elements ``system`` version 1, ``cpu``, ``pci``, ``gpu``, ``nic``,
``net``) and src/graph/topo.cc (which attributes are needed, PCI classes, link speeds).
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from gigawatt.artefacts.nccl import HCA_NAME
from gigawatt.artefacts.shape import HostShape, PciGroup

BUS_FIRST = 16
"""Buses below it are left to the machine's own devices. Ours."""
BUS_COUNT = 256
"""Buses of one PCI domain (PCI Express Base Specification: an 8-bit number)."""
CLASS_BRIDGE = "0x060400"
CLASS_GPU = "0x030200"
CLASS_NIC = {True: "0x020700", False: "0x020000"}
"""PCI class codes: InfiniBand and Ethernet controllers (PCI Code and ID Assignment, 1.3)."""

_LINK_SPEED = {"a100": "16.0 GT/s PCIe", "v100": "8.0 GT/s PCIe"}
_LINK_SPEED_DEFAULT = "32.0 GT/s PCIe"
"""PCIe generation of the GPU by its datasheet: V100 3.0, A100 4.0; H100, H200 and B200 5.0."""


def _add_pci(
    parent: ElementTree.Element, bus: int, class_code: str, link_speed: str
) -> ElementTree.Element:
    return ElementTree.SubElement(
        parent,
        "pci",
        {
            "busid": f"0000:{bus:02x}:00.0",
            "class": class_code,
            "link_speed": link_speed,
            "link_width": "16",
        },
    )


def _add_group(
    cpu: ElementTree.Element,
    group: PciGroup,
    buses: Iterator[int],
    link_speed: str,
    nic_class: str,
) -> None:
    bridge = _add_pci(cpu, next(buses), CLASS_BRIDGE, link_speed)
    for gpu in group.gpus:
        slot = _add_pci(bridge, next(buses), CLASS_GPU, link_speed)
        ElementTree.SubElement(slot, "gpu", {"dev": str(gpu)})
    for nic in group.nics:
        slot = _add_pci(bridge, next(buses), nic_class, link_speed)
        holder = ElementTree.SubElement(slot, "nic")
        ElementTree.SubElement(holder, "net", {"name": HCA_NAME.format(nic), "dev": str(nic)})


def nccl_topology(shape: HostShape, *, is_infiniband: bool) -> str:
    """The file for one host of ``shape``; hosts of one shape share it."""
    link_speed = _LINK_SPEED.get(shape.gpu_type, _LINK_SPEED_DEFAULT)
    system = ElementTree.Element("system", {"version": "1"})
    cpus = [
        ElementTree.SubElement(system, "cpu", {"numaid": str(numa)})
        for numa in range(shape.numa_count)
    ]
    buses = iter(range(BUS_FIRST, BUS_COUNT))
    for group in shape.groups:
        _add_group(cpus[group.numa], group, buses, link_speed, CLASS_NIC[is_infiniband])
    ElementTree.indent(system)
    return ElementTree.tostring(system, encoding="unicode") + "\n"
