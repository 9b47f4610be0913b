"""Opens the guests' driver from its settings."""

from gigawatt.drivers.guests.commands import Commands
from gigawatt.drivers.guests.component import Guests
from gigawatt.drivers.guests.driver import GuestsDriver
from gigawatt.drivers.guests.guest_files import GuestFiles
from gigawatt.drivers.guests.settings import GuestsSettings, HypervisorSettings
from gigawatt.drivers.guests.slots import BootLimits, Slots
from gigawatt.drivers.guests.spec import Hypervisor
from gigawatt.drivers.guests.virtual_machines import VirtualMachines
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening
from gigawatt.errors import InputError
from gigawatt.ids import DeviceId


def open_guests(settings: GuestsSettings, opening: Opening) -> GuestsDriver:
    """The host plane of the hypervisors in ``settings``.

    Raises:
        InputError: a hypervisor is no node of the fleet, or its board does not fit its type.
    """
    slots = {
        DeviceId(f"host/{one.node_id}"): _slots(settings, one, opening)
        for one in settings.hypervisors
    }
    component = Guests(opening.fleet, slots, has_whole_nodes=settings.has_whole_nodes)
    return GuestsDriver(component, Ledger(opening.folder / "ledger", opening.clock))


def _slots(settings: GuestsSettings, hypervisor: HypervisorSettings, opening: Opening) -> Slots:
    fleet, node_id = opening.fleet, hypervisor.node_id
    row = fleet.nodes.index_of.get(node_id)
    if row is None:
        raise InputError(f"hypervisor {node_id!r} is no node of fleet {fleet.name!r}")
    node_type = fleet.node_type(row)
    board = settings.boards[hypervisor.board]
    commands = Commands(hypervisor, settings.command_s_max)
    return Slots(
        hypervisor=Hypervisor(
            hypervisor, node_type, board, settings.images, settings.disk_mib
        ).checked(),
        vms=VirtualMachines(node_id, node_type.gpu_count, commands),
        files=GuestFiles(
            DeviceId(f"host/{node_id}"), commands, settings.disk_mib, hypervisor.virtiofsd
        ),
        limits=BootLimits(settings.boot_s_max, settings.boot_tries),
        hooks=settings.cleaning,
        clock=opening.clock,
        receipts=opening.receipts,
        command_s_max=settings.command_s_max,
    )
