"""One InfiniBand fabric under OpenSM at work: its file, and what its ports say."""

from gigawatt.boundary.entries import Entry
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.fabric_ports import FabricPorts
from gigawatt.drivers.opensm.partitions_conf import IbPartitions
from gigawatt.drivers.opensm.subnet import ManagedFabric
from gigawatt.errors import DataError, DriverPermanentError
from gigawatt.fleet.model import Fleet


class OpenedFabric(FabricPorts):
    """One fabric with its file and the readers of its subnets.

    Attributes:
        device: the fabric as entries name it.
        file: its ``partitions.conf``.
        managed: where its managers are.
    """

    def __init__(self, fleet: Fleet, managed: ManagedFabric) -> None:
        """Open ``managed`` of ``fleet``; nothing is read yet."""
        super().__init__(fleet, managed.fabric_id, managed.subnets, managed.manager_guids)
        self.managed = managed
        self.device = managed.device
        self.file = ConfFile(managed.conf_path, managed.fabric_id)

    def read(self) -> IbPartitions:
        """What the file says.

        Raises:
            DriverPermanentError: it is not there or not as it was written.
        """
        try:
            return self.file.read()
        except DataError as error:
            raise DriverPermanentError(
                f"{self.device}: {error}", device=self.device, next_step=error.next_step
            ) from error

    def best_known(self) -> IbPartitions:
        """The file, else its copy, else nothing: for reading only."""
        try:
            return self.file.read()
        except DataError:
            return self.file.read_kept() or IbPartitions(self._fabric_id)

    def note(self, before: IbPartitions, after: IbPartitions) -> None:
        """Write the file if anything differs.

        Raises:
            DriverRetryableError: the disk does not take it; the file is as it was.
        """
        if after != before:
            self.file.write(after)

    def is_sound(self, held: frozenset[Entry]) -> bool:
        """Whether the file is ours, or, if it is not, what ports hold already tells so."""
        try:
            self.file.read()
        except DataError:
            kept = self.file.read_kept() or IbPartitions(self._fabric_id)
            return held != {
                kept.entry(p_key, guid) for p_key, p in kept.by_p_key.items() for guid in p.members
            }
        return True
