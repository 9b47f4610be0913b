"""The guests of one hypervisor: made, stopped and cleaned away, one slot at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.cleaning import HookSettings, Slice, Step, clean, hook_step
from gigawatt.drivers.guests.domain_xml import guest_xml, idle_xml
from gigawatt.drivers.guests.guest_files import GuestFiles
from gigawatt.drivers.guests.metadata import SliceMetadata
from gigawatt.drivers.guests.shares import Attachment
from gigawatt.drivers.guests.spec import GuestSpec, Hypervisor, guest_name
from gigawatt.drivers.guests.virtual_machines import (
    SHUT_OFF,
    VirtualMachine,
    VirtualMachines,
    strangers_slice,
)
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.receipts import Receipts

NOBODY = ClusterId("unknown")
"""Whose a virtual machine in one of our places is that does not say it."""
IMAGE_UNLIKE = ""
"""Image of a slice that is not as it was put: no entry of a target has it, so it is drift."""


@dataclass(frozen=True, slots=True)
class BootLimits:
    """Longest wait for a guest's ready line, and how often it is tried."""

    boot_s_max: float
    boot_tries: int


@dataclass(frozen=True)
class Slots:
    """One hypervisor's guests, and the means to change them."""

    hypervisor: Hypervisor
    vms: VirtualMachines
    files: GuestFiles
    limits: BootLimits
    hooks: Mapping[str, HookSettings]
    clock: Clock
    receipts: Receipts
    command_s_max: float

    @property
    def _device(self) -> DeviceId:
        return DeviceId(f"host/{self.hypervisor.settings.node_id}")

    async def read(self) -> dict[int, VirtualMachine]:
        """Virtual machines by slot, read now.

        Raises:
            DriverRetryableError: libvirt does not answer.
        """
        return await self.vms.read()

    def entry_of(self, vm: VirtualMachine) -> HostSlice:
        """The slice that a virtual machine is.

        One that is neither as it was put nor simply off has the empty image: paused, or with
        other GPUs, NICs or shares than its slice's.
        """
        if vm.metadata is None:
            return strangers_slice(self.hypervisor.settings.node_id, vm)
        entry = vm.metadata.entry
        if vm.state == SHUT_OFF or self._is_as_put(vm):
            return entry
        return HostSlice(
            entry.node_id,
            entry.gpu_mask,
            entry.guest,
            entry.hostname,
            IMAGE_UNLIKE,
            entry.ssh_public_keys,
            entry.power,
        )

    def _is_as_put(self, vm: VirtualMachine) -> bool:
        assert vm.metadata is not None, "asked of those that say what they are"
        entry = vm.metadata.entry
        hypervisor = self.hypervisor
        if (
            entry.image not in hypervisor.images
            or entry.slot not in hypervisor.settings.nic_of_slot
        ):
            return False
        attachment = vm.metadata.attachment
        pools = () if attachment is None else attachment.storage_pools
        if not hypervisor.settings.storage_pools.keys() >= set(pools):
            return False
        spec = hypervisor.spec(entry, vm.metadata.cluster_id, attachment)
        nics = set() if spec.nic.bridge is None else {(spec.nic.mac, spec.nic.bridge)}
        is_with_its_own = vm.functions == spec.functions and vm.shares == set(spec.shares)
        return vm.state == "running" and is_with_its_own and vm.nics == nics

    async def make(
        self, entry: HostSlice, cluster_id: ClusterId, attachment: Attachment | None
    ) -> None:
        """Make a slot hold ``entry``: nothing of a guest that was there before stays.

        Raises:
            DriverRetryableError: libvirt did not answer.
            DriverPermanentError: refused, or the guest does not come up.
        """
        if entry.power == "off":
            await self.make_idle(entry, cluster_id)
        else:
            await self._make_guest(self.hypervisor.spec(entry, cluster_id, attachment))

    async def make_idle(self, entry: HostSlice, cluster_id: ClusterId) -> None:
        """Make a slot hold ``entry`` with nothing running and no file."""
        name = guest_name(entry.node_id, entry.slot)
        has_run = await self._empty(entry.slot, name)
        metadata = SliceMetadata(entry, cluster_id, has_run)
        await self.vms.define(idle_xml(metadata, has_tpm=self.hypervisor.board.has_tpm))

    async def _make_guest(self, spec: GuestSpec) -> None:
        await self.files.check_image(spec.entry.image, spec.image)
        await self._empty(spec.entry.slot, spec.name)
        # Defined before anything of the tenant's is on a disk: what is left after a crash says
        # whose it is.
        await self.vms.define(guest_xml(spec))
        await self.files.lay_out(spec)
        words = ""
        for _ in range(self.limits.boot_tries):
            await self.vms.start(spec.name)
            if await self.files.hear(spec, self.limits.boot_s_max):
                await self.vms.expect_running(spec.name)
                return
            words = await self.files.last_words(spec)
            await self.vms.stop(spec.name)
        tries, wait_s = self.limits.boot_tries, self.limits.boot_s_max
        raise DriverPermanentError(
            f"{self._device}: {spec.name} did not come up in {tries} tries of {wait_s:g} s;"
            f" its console ended with: {words}",
            device=self._device,
            next_step="Boot the image by hand, or allow more time (boot_s_max).",
        )

    async def _empty(self, slot: int, name: str) -> bool:
        """Stop what runs in a slot and discard its files; whether a guest may have run there."""
        vm = (await self.read()).get(slot)
        if vm is not None:
            await self.vms.stop(name)
        await self.files.discard(f"{self.hypervisor.settings.folder}/{name}")
        return vm is not None and (vm.metadata is None or vm.metadata.has_run)

    async def clear(self, slot: int) -> None:
        """Make a slot hold nothing; where a guest may have run is cleaned, with a receipt.

        The definition goes last, so a slot that was not cleaned stays held.

        Raises:
            DriverRetryableError: libvirt did not answer.
            DriverPermanentError: a step of the cleaning did not pass; the receipt says which.
        """
        vm = (await self.read()).get(slot)
        if vm is None:
            return
        metadata = vm.metadata
        if metadata is None or metadata.has_run:
            entry = self.entry_of(vm)
            owner = NOBODY if metadata is None else metadata.cluster_id
            subject = Slice(entry.node_id, entry.gpu_mask, owner)
            await clean(subject, self._cleaning(vm), self.clock, self.receipts)
        else:
            await self._empty(slot, vm.name)
        await self.vms.undefine(vm.name)

    def _cleaning(self, vm: VirtualMachine) -> Sequence[Step]:
        async def power_off() -> str:
            await self.vms.stop(vm.name)
            return f"{vm.name} is off"

        async def discard() -> str:
            return await self.files.discard(f"{self.hypervisor.settings.folder}/{vm.name}")

        node_id, limit_s = self.hypervisor.settings.node_id, 3 * self.command_s_max
        return (
            Step("power off", limit_s, power_off),
            Step("discard disk, seed and console", limit_s, discard),
            *(hook_step(name, hook, node_id) for name, hook in self.hooks.items()),
        )
