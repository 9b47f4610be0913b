"""Virtual machines as libvirt has them: read, define, start, destroy, undefine."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from gigawatt.boundary.entries import HostSlice, Power
from gigawatt.drivers.guests.commands import Commands
from gigawatt.drivers.guests.metadata import SliceMetadata, read_metadata
from gigawatt.drivers.guests.shares import Share
from gigawatt.drivers.guests.spec import guest_name
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId, NodeId

RUNNING, SHUT_OFF = "running", "shut off"
OFF_STATES = frozenset({SHUT_OFF, "crashed"})
"""States in which no process of the guest is there (virsh(1), domstate)."""
UNDEFINE = ("--nvram", "--tpm", "--managed-save", "--snapshots-metadata")
"""What goes with a definition; each is harmless where there is none."""


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One virtual machine, read now.

    Fields:
        state: as ``virsh domstate`` says.
        metadata: what it says of itself; None: it does not say it.
        functions: PCI functions of the host that it has.
        nics: (MAC, bridge) of each NIC on a bridge.
        shares: file systems of the host that it has, whoever gave them.
    """

    name: str
    state: str
    metadata: SliceMetadata | None
    functions: frozenset[str]
    nics: frozenset[tuple[str, str]]
    shares: frozenset[Share]

    @property
    def power(self) -> Power:
        """On as long as a process of it is there: a paused guest is on."""
        return "off" if self.state in OFF_STATES else "on"


class VirtualMachines:
    """Our virtual machines at one hypervisor's libvirt that belong to one node."""

    def __init__(self, node_id: NodeId, gpu_count: int, commands: Commands) -> None:
        """Those of ``node_id``, a slot for each of its GPUs."""
        self._node_id = node_id
        self._slot_of_name = {guest_name(node_id, slot): slot for slot in range(gpu_count)}
        self._commands = commands

    async def read(self) -> dict[int, VirtualMachine]:
        """Each by its slot.

        Raises:
            DriverRetryableError: libvirt does not answer.
            DriverPermanentError: it says what nobody understands.
        """
        listed = (await self._commands.virsh("list", "--all", "--name")).split()
        names = [name for name in listed if name in self._slot_of_name]
        if not names:
            return {}
        script = "; ".join(f"dumpxml {name}; domstate {name}" for name in names)
        try:
            said = await self._commands.virsh(script)
            return {self._slot_of_name[one.name]: one for one in _parse(said, names)}
        except (DriverPermanentError, Xml.ParseError, ValueError) as error:
            # One of them may have gone between the two commands; the next look tells.
            raise DriverRetryableError(
                f"host/{self._node_id}: libvirt's answer about {', '.join(names)} was not"
                f" understood: {error}",
                device=DeviceId(f"host/{self._node_id}"),
                next_step="Try again; if it stays, compare with 'virsh dumpxml'.",
            ) from error

    async def define(self, xml: str) -> None:
        """Define after validation against libvirt's schema."""
        await self._commands.virsh("define", "--validate", "/dev/stdin", stdin=xml)

    async def start(self, name: str) -> None:
        """Start one that is off."""
        await self._commands.virsh("start", name)

    async def stop(self, name: str) -> None:
        """End its process if there is one, and see that there is none."""
        if await self._state(name) not in OFF_STATES:
            await self._commands.virsh("destroy", name)
        state = await self._state(name)
        if state not in OFF_STATES:
            raise self._wrong(name, f"was destroyed and is '{state}'")

    async def undefine(self, name: str) -> None:
        """Forget it, with its firmware variables and TPM, and see that it is gone."""
        await self._commands.virsh("undefine", name, *UNDEFINE)
        if name in (await self._commands.virsh("list", "--all", "--name")).split():
            raise self._wrong(name, "was undefined and is still there")

    async def expect_running(self, name: str) -> None:
        """See that it runs."""
        state = await self._state(name)
        if state != RUNNING:
            raise self._wrong(name, f"was started and is '{state}'")

    async def _state(self, name: str) -> str:
        return (await self._commands.virsh("domstate", name)).strip()

    def _wrong(self, name: str, what: str) -> DriverPermanentError:
        device = DeviceId(f"host/{self._node_id}")
        return DriverPermanentError(
            f"{device}: {name} {what}",
            device=device,
            next_step=f"See 'virsh dominfo {name}' and libvirt's log of it on the hypervisor.",
        )


def _parse(said: str, names: Sequence[str]) -> list[VirtualMachine]:
    """Definitions and states in turn, as ``dumpxml`` and ``domstate`` print them.

    Raises:
        ValueError: another number of them.
    """
    parts = said.split("</domain>")
    if len(parts) != len(names) + 1:
        raise ValueError(f"{len(parts) - 1} definitions of {len(names)}")
    found = []
    for number, name in enumerate(names):
        start = parts[number].index("<domain")
        state = parts[number + 1].partition("<domain")[0].strip()
        found.append(parse_vm(name, parts[number][start:] + "</domain>", state))
    return found


def parse_vm(name: str, text: str, state: str) -> VirtualMachine:
    """One virtual machine from its definition."""
    root = Xml.fromstring(text)  # noqa: S314 - libvirt's own words, which it wrote itself
    sources = root.findall("devices/hostdev/source/address")
    sources += root.findall("devices/interface[@type='hostdev']/source/address")
    nics = set()
    for interface in root.findall("devices/interface[@type='bridge']"):
        mac, source = interface.find("mac"), interface.find("source")
        if mac is not None and source is not None:
            nics.add((mac.get("address", ""), source.get("bridge", "")))
    power: Power = "off" if state in OFF_STATES else "on"
    metadata = read_metadata(root, power)
    if metadata is not None and metadata.entry.slot != _slot_of(name):
        metadata = None
    functions = frozenset(_function(address) for address in sources)
    shares = frozenset(_share(one) for one in root.findall("devices/filesystem"))
    return VirtualMachine(name, state, metadata, functions, frozenset(nics), shares)


def _share(filesystem: Xml.Element) -> Share:
    def said(tag: str, attribute: str) -> str:
        found = filesystem.find(tag)
        return "" if found is None else found.get(attribute, "")

    return Share(said("target", "dir"), said("source", "dir"), said("binary", "path"))


def _function(address: Xml.Element) -> str:
    parts = [int(address.get(key, "0"), 16) for key in ("domain", "bus", "slot", "function")]
    return f"{parts[0]:04x}:{parts[1]:02x}:{parts[2]:02x}.{parts[3]:x}"


def _slot_of(name: str) -> int:
    return int(name.rpartition("-s")[2])


def strangers_slice(node_id: NodeId, vm: VirtualMachine) -> HostSlice:
    """What to call a virtual machine in one of our places that does not say what it is."""
    mask = 1 << _slot_of(vm.name)
    return HostSlice(
        node_id, mask, guest=True, hostname="", image="", ssh_public_keys=(), power=vm.power
    )


def owner_of(vms: Collection[VirtualMachine], slot: int) -> ClusterId | None:
    """Whose the slice in a slot is, by what the virtual machine says."""
    for vm in vms:
        if vm.metadata is not None and vm.metadata.entry.slot == slot:
            return vm.metadata.cluster_id
    return None
