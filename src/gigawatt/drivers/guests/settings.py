"""Settings of the guests' driver: hypervisors, what their boards look like, and images."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gigawatt.drivers.cleaning import HookSettings
from gigawatt.ids import NodeId

PciAddress = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$")]
"""A PCI function as Linux writes it: ``0000:3b:00.0``."""
MacAddress = Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/+@:-]+$")]
"""A path on the hypervisor, of letters that no shell and no libvirt reads otherwise."""
ShareTag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,34}$")]
"""A storage pool's id where it names a share; virtio has 36 bytes for it (VIRTIO 1.2, 5.11.4)."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSettings(_Settings):
    """A file on the hypervisor that must hold exactly this."""

    path: AbsolutePath
    sha256: Sha256


class ImageSettings(_Settings):
    """What a tenant's image consists of; ``kernel`` (booted directly), ``disk``, or both.

    Fields:
        kernel, initrd, command_line: booted by QEMU itself.
        disk: qcow2 on which each guest writes over a layer of its own.
        firmware: "efi" takes OVMF with variables of the guest's own.
        ready_line: the console says so when the guest is up; empty: a running guest counts.
    """

    kernel: FileSettings | None = None
    initrd: FileSettings | None = None
    command_line: str = ""
    disk: FileSettings | None = None
    firmware: Literal["bios", "efi"] = "bios"
    ready_line: Annotated[str, Field(max_length=80)] = ""

    @model_validator(mode="after")
    def _boots(self) -> Self:
        if self.kernel is None and self.disk is None:
            raise ValueError("an image has a kernel, a disk, or both")
        return self

    @property
    def files(self) -> tuple[FileSettings, ...]:
        """All its files."""
        return tuple(file for file in (self.kernel, self.initrd, self.disk) if file is not None)


class NumaSettings(_Settings):
    """What a NUMA node of a board gives to guests; the rest is the hypervisor's own.

    Fields: cpus are host CPU numbers; memory_mib is shared evenly by the GPUs of the NUMA node.
    """

    host_node: Annotated[int, Field(ge=0)]
    cpus: Annotated[tuple[int, ...], Field(min_length=1)]
    memory_mib: Annotated[int, Field(gt=0)]


class BoardSettings(_Settings):
    """One kind of hypervisor.

    Fields:
        gpus, nics: PCI functions to hand over, by GPU and NIC number of the node; both empty
            where there are none (a lab): guests then have ``memory_mib`` and ``cpu_count``.
        numas: as many as the node type has, in order; empty where nothing is handed over.
        huge_page_mib: size of the huge pages that guests live in; None: ordinary pages.
        accelerator: "tcg" emulates the processor.
        has_iommu, has_tpm: whether guests get a virtual IOMMU and a TPM 2.0.
        mmio64_mib: room that OVMF keeps for the GPUs' memory windows; None: as OVMF likes.
    """

    gpus: tuple[PciAddress, ...] = ()
    nics: tuple[PciAddress, ...] = ()
    numas: tuple[NumaSettings, ...] = ()
    huge_page_mib: Literal[2, 1024] | None = None
    accelerator: Literal["kvm", "tcg"] = "kvm"
    has_iommu: bool = False
    has_tpm: bool = False
    mmio64_mib: Annotated[int, Field(gt=0)] | None = None
    memory_mib: Annotated[int, Field(ge=64)] = 128
    cpu_count: Annotated[int, Field(ge=1, le=512)] = 1

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.gpus) != bool(self.numas):
            raise ValueError("a board has GPUs and NUMA nodes to give, or neither")
        if len({*self.gpus, *self.nics}) < len(self.gpus) + len(self.nics):
            raise ValueError("a PCI function is named twice")
        cpus = [cpu for numa in self.numas for cpu in numa.cpus]
        if len(set(cpus)) < len(cpus):
            raise ValueError("a CPU is in two NUMA nodes")
        return self


class NicSettings(_Settings):
    """In-band NIC of a slot: a port of a bridge, or a virtual function (SR-IOV) of a NIC or DPU."""

    mac: MacAddress
    bridge: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")] | None = None
    virtual_function: PciAddress | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.bridge is None) == (self.virtual_function is None):
            raise ValueError("an in-band port is a bridge or a virtual function")
        return self


class HypervisorSettings(_Settings):
    """One node that runs guests.

    Fields:
        board: name of its board in the driver's settings.
        folder: where disks, seeds and consoles of its guests lie; nothing else lies there.
        nic_of_slot: in-band NIC by slot.
        uri: of its libvirt, as the machine sees it on which commands run.
        prefix: words before each command, e.g. ``("ssh", "h0")``; empty: this machine.
        storage_pools: folder of each storage pool, as the hypervisor's machine sees it; its guests
            have the exports of their network from there. Needs to know of networks.
        virtiofsd: program that serves them.
    """

    node_id: NodeId
    board: str
    folder: AbsolutePath
    nic_of_slot: dict[int, NicSettings]
    uri: str = "qemu:///system"
    prefix: tuple[str, ...] = ()
    storage_pools: dict[ShareTag, AbsolutePath] = Field(default_factory=dict)
    virtiofsd: AbsolutePath = "/usr/lib/qemu/virtiofsd"


class GuestsSettings(_Settings):
    """Everything that the driver needs to know.

    Fields:
        has_whole_nodes: whether a whole node (``HostSlice.guest`` false) may be one guest with
            all GPUs; otherwise it is refused on a hypervisor.
        disk_mib: size of the empty disk of a guest whose image has none; 0: no disk.
        command_s_max: longest a command may take.
        boot_s_max, boot_tries: longest wait for the ready line, and how often it is tried.
        cleaning: commands of the site after a guest, by name of the step, in this order.
    """

    driver: Literal["guests"]
    hypervisors: tuple[HypervisorSettings, ...]
    boards: dict[str, BoardSettings]
    images: dict[str, ImageSettings]
    has_whole_nodes: bool = False
    disk_mib: Annotated[int, Field(ge=0)] = 0
    command_s_max: Annotated[float, Field(gt=0)] = 60.0
    boot_s_max: Annotated[float, Field(gt=0)] = 60.0
    boot_tries: Annotated[int, Field(ge=1, le=5)] = 2
    cleaning: dict[str, HookSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for hypervisor in self.hypervisors:
            if hypervisor.board not in self.boards:
                raise ValueError(f"{hypervisor.node_id}: there is no board {hypervisor.board!r}")
        return self
