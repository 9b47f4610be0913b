"""libvirt's definition of a guest; pure.

A slice that is held and off is defined without any device. One that is on has its slice of the
board: a CPU and memory cell for each NUMA node, and for each PCIe switch of the board a PCI
expander bus of that cell with a root port for each GPU and NIC. The bus numbers are those that
``artefacts.nccl_topology`` gives the tenant: the expander bus stands for the switch, and the bus
behind its n-th root port is the n-th after it.

Source: libvirt, formatdomain.html; QEMU, docs/pcie.txt (expander buses and root ports).
"""

from itertools import pairwise
from xml.etree import ElementTree as Xml

from gigawatt.artefacts.nccl_topology import BUS_FIRST
from gigawatt.drivers.guests.metadata import METADATA_TAG, SliceMetadata, metadata_element
from gigawatt.drivers.guests.shares import Share
from gigawatt.drivers.guests.spec import Cell, GuestSpec, guest_name, guest_uuid

EXPANDER_SLOT_FIRST = 16
"""Slots of bus 0 from which expander buses are put; libvirt puts its own devices below. Ours."""
SHARE_QUEUE_LENGTH = 1024
"""Requests of a guest to a share that wait at once. Source: libvirt, kbase/virtiofs.html."""
IDLE_MEMORY_MIB = 16
"""Memory of a definition that never runs. Ours."""


def idle_xml(metadata: SliceMetadata, *, has_tpm: bool = False) -> str:
    """Definition of a slice that is held and off: no disk, no network, no GPU.

    It keeps the TPM, because libvirt discards a TPM's memory only with a definition that has it.
    """
    name = guest_name(metadata.entry.node_id, metadata.entry.slot)
    domain = _domain("qemu", name, metadata)
    _add(domain, "memory", str(IDLE_MEMORY_MIB), unit="MiB")
    _add(domain, "vcpu", "1")
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine="q35")
    if has_tpm:
        _add_tpm(_add(domain, "devices"))
    return _text(domain)


QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
"""Namespace of arguments that libvirt passes on to QEMU as they are (drvqemu, "Pass-through")."""


def guest_xml(spec: GuestSpec) -> str:
    """Definition of a guest that runs."""
    metadata = SliceMetadata(spec.entry, spec.cluster_id, has_run=True, attachment=spec.attachment)
    is_kvm = spec.board.accelerator == "kvm"
    domain = _domain("kvm" if is_kvm else "qemu", spec.name, metadata)
    cells = spec.cells
    memory_mib = sum(cell.memory_mib for cell in cells) or spec.board.memory_mib
    _add(domain, "memory", str(memory_mib), unit="MiB")
    _add_memory_backing(domain, spec)
    cpu_count = sum(len(cell.cpus) for cell in cells) or spec.board.cpu_count
    _add(domain, "vcpu", str(cpu_count), placement="static")
    _add_pinning(domain, cells)
    _add_system(domain, spec)
    _add_cpu(domain, spec, cpu_count)
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    _add(domain, "on_crash", "destroy")
    devices = _add(domain, "devices")
    _add_own_devices(devices, spec)
    _add_switches(devices, spec)
    return _text(domain)


def _domain(kind: str, name: str, metadata: SliceMetadata) -> Xml.Element:
    domain = Xml.Element("domain", type=kind)
    _add(domain, "name", name)
    _add(domain, "uuid", guest_uuid(name))
    _add(domain, "metadata").append(metadata_element(metadata))
    return domain


def _add_memory_backing(domain: Xml.Element, spec: GuestSpec) -> None:
    page_mib = spec.board.huge_page_mib
    if page_mib is None and not spec.shares:
        return
    backing = _add(domain, "memoryBacking")
    if page_mib is not None:
        _add(_add(backing, "hugepages"), "page", size=str(page_mib), unit="MiB")
        _add(backing, "nosharepages")
    if spec.shares:
        # A share's server reads and writes the guest's memory itself (libvirt, kbase/virtiofs).
        _add(backing, "source", type="memfd")
        _add(backing, "access", mode="shared")


def _add_pinning(domain: Xml.Element, cells: tuple[Cell, ...]) -> None:
    if not cells:
        return
    tune = _add(domain, "cputune")
    for number, cpu in enumerate(cpu for cell in cells for cpu in cell.cpus):
        _add(tune, "vcpupin", vcpu=str(number), cpuset=str(cpu))
    nodes = ",".join(str(cell.host_node) for cell in cells)
    numa = _add(domain, "numatune")
    _add(numa, "memory", mode="strict", nodeset=nodes)
    for number, cell in enumerate(cells):
        _add(numa, "memnode", cellid=str(number), mode="strict", nodeset=str(cell.host_node))


def _add_system(domain: Xml.Element, spec: GuestSpec) -> None:
    image = spec.image
    system = _add(domain, "os")
    if image.firmware == "efi":
        system.set("firmware", "efi")
    _add(system, "type", "hvm", arch="x86_64", machine="q35")
    if image.firmware == "efi":
        _add(system, "nvram", spec.variables_path)
    if image.kernel is not None:
        _add(system, "kernel", image.kernel.path)
    if image.initrd is not None:
        _add(system, "initrd", image.initrd.path)
    if image.command_line:
        _add(system, "cmdline", image.command_line)
    if image.kernel is None:
        _add(system, "boot", dev="hd")
    if spec.board.mmio64_mib is not None and image.firmware == "efi":
        # Not by <sysinfo>: libvirt keeps names below opt/ovmf to itself and refuses them there.
        more = _add(domain, f"{QEMU}commandline")
        _add(more, f"{QEMU}arg", value="-fw_cfg")
        size = f"name=opt/ovmf/X-PciMmio64Mb,string={spec.board.mmio64_mib}"
        _add(more, f"{QEMU}arg", value=size)
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if spec.board.has_iommu:
        _add(features, "ioapic", driver="qemu")


def _add_cpu(domain: Xml.Element, spec: GuestSpec, cpu_count: int) -> None:
    if spec.board.accelerator == "tcg":
        return
    cpu = _add(domain, "cpu", mode="host-passthrough", check="none", migratable="off")
    cells = spec.cells
    if not cells:
        return
    if all(len(a.cpus) == len(b.cpus) for a, b in pairwise(cells)):
        cores = str(cpu_count // len(cells))
        _add(cpu, "topology", sockets=str(len(cells)), dies="1", cores=cores, threads="1")
    _add(cpu, "maxphysaddr", mode="passthrough")
    numa = _add(cpu, "numa")
    first = 0
    for number, cell in enumerate(cells):
        cpus = f"{first}-{first + len(cell.cpus) - 1}"
        first += len(cell.cpus)
        memory = str(cell.memory_mib)
        _add(numa, "cell", id=str(number), cpus=cpus, memory=memory, unit="MiB")


def _add_own_devices(devices: Xml.Element, spec: GuestSpec) -> None:
    if spec.has_disk:
        _add_disk(devices, "qcow2", spec.disk_path, "vda")
    seed = _add_disk(devices, "raw", spec.seed_path, "vdb")
    _add(seed, "readonly")
    for share in spec.shares:
        _add_share(devices, share)
    nic = spec.nic
    if nic.bridge is not None:
        interface = _add(devices, "interface", type="bridge")
        _add(interface, "mac", address=nic.mac)
        _add(interface, "source", bridge=nic.bridge)
        _add(interface, "model", type="virtio")
    elif nic.virtual_function is not None:
        interface = _add(devices, "interface", type="hostdev", managed="yes")
        _add(interface, "mac", address=nic.mac)
        _add_host_address(_add(interface, "source"), nic.virtual_function, "pci")
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=spec.console_path, append="off")
    _add(devices, "rng", model="virtio").append(_random_backend())
    _add(devices, "memballoon", model="none")
    _add(devices, "controller", type="usb", model="none")
    if spec.board.has_tpm:
        _add_tpm(devices)
    if spec.board.has_iommu:
        iommu = _add(devices, "iommu", model="intel")
        _add(iommu, "driver", intremap="on", caching_mode="on", iotlb="on")


def _add_share(devices: Xml.Element, share: Share) -> None:
    filesystem = _add(devices, "filesystem", type="mount", accessmode="passthrough")
    _add(filesystem, "driver", type="virtiofs", queue=str(SHARE_QUEUE_LENGTH))
    server = _add(filesystem, "binary", path=share.server)
    _add(server, "sandbox", mode="namespace")
    _add(filesystem, "source", dir=share.source)
    _add(filesystem, "target", dir=share.pool_id)


def _add_tpm(devices: Xml.Element) -> None:
    tpm = _add(devices, "tpm", model="tpm-crb")
    _add(tpm, "backend", type="emulator", version="2.0")


def _random_backend() -> Xml.Element:
    backend = Xml.Element("backend", model="random")
    backend.text = "/dev/urandom"
    return backend


def _add_disk(devices: Xml.Element, kind: str, path: str, target: str) -> Xml.Element:
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type=kind)
    _add(disk, "source", file=path)
    _add(disk, "target", dev=target, bus="virtio")
    return disk


def _add_switches(devices: Xml.Element, spec: GuestSpec) -> None:
    bus = BUS_FIRST
    index = 1
    if spec.switches:
        _add(devices, "controller", type="pci", index="0", model="pcie-root")
    for number, switch in enumerate(spec.switches):
        expander, index = index, index + 1
        controller = _add(
            devices, "controller", type="pci", index=str(expander), model="pcie-expander-bus"
        )
        target = _add(controller, "target", busNr=str(bus))
        _add(target, "node", str(switch.cell))
        _add_guest_address(controller, 0, EXPANDER_SLOT_FIRST + number)
        for slot, function in enumerate(switch.functions):
            root_port = _add(
                devices, "controller", type="pci", index=str(index), model="pcie-root-port"
            )
            _add_guest_address(root_port, expander, slot)
            _add_function(devices, function, index)
            index += 1
        bus += 1 + len(switch.functions)


def _add_function(devices: Xml.Element, function: str, bus_index: int) -> None:
    device = _add(devices, "hostdev", mode="subsystem", type="pci", managed="yes")
    _add(device, "driver", name="vfio")
    _add_host_address(_add(device, "source"), function, None)
    _add_guest_address(device, bus_index, 0)


def _add_host_address(parent: Xml.Element, function: str, kind: str | None) -> None:
    domain, bus, rest = function.split(":")
    slot, _, number = rest.partition(".")
    words = {
        "domain": f"0x{domain}",
        "bus": f"0x{bus}",
        "slot": f"0x{slot}",
        "function": f"0x{number}",
    }
    Xml.SubElement(parent, "address", {"type": kind, **words} if kind else words)


def _add_guest_address(parent: Xml.Element, bus_index: int, slot: int) -> None:
    bus, place = f"{bus_index:#04x}", f"{slot:#04x}"
    _add(parent, "address", type="pci", domain="0x0000", bus=bus, slot=place, function="0x0")


def _add(parent: Xml.Element, tag: str, text: str | None = None, **attributes: str) -> Xml.Element:
    child = Xml.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _text(domain: Xml.Element) -> str:
    Xml.register_namespace("gw", METADATA_TAG[1:].partition("}")[0])
    Xml.register_namespace("qemu", QEMU[1:].partition("}")[0])
    Xml.indent(domain)
    return Xml.tostring(domain, encoding="unicode") + "\n"
