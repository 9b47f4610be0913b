"""``Component`` over bare-metal nodes: what runs is what the BMC says, booted by us alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gigawatt.boundary.entries import Entry, HostSlice
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.cleaning import Slice, clean
from gigawatt.drivers.fenced import Entries, HasNoFiles, SeesNoNics
from gigawatt.drivers.files import replace_files
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.metal.booting import Booting
from gigawatt.drivers.metal.cleaning import MetalCleaning
from gigawatt.drivers.metal.host_bmc import BmcOf, HostBmc
from gigawatt.drivers.metal.seed import seed_digest
from gigawatt.drivers.metal.settings import MetalSettings
from gigawatt.drivers.opening import Opening
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Endpoint

KEY = "slot/0"
"""The one key of a node that is given away as a whole."""

NOBODY = ClusterId("nobody")
"""Who ran on a node of which nothing is noted."""


class BareNodes(HasNoFiles, SeesNoNics):
    """The nodes of one site file."""

    def __init__(
        self, settings: MetalSettings, opening: Opening, ledger: Ledger, bmc_of: BmcOf
    ) -> None:
        """Serve the nodes of ``settings``; ``ledger`` says whose each is."""
        self._settings = settings
        self._opening = opening
        self._ledger = ledger
        self._bmc_of = bmc_of
        self._booting = Booting(settings, opening.clock)
        self._nodes = {DeviceId(f"host/{node_id}"): node_id for node_id in settings.nodes}

    @property
    def plane(self) -> Plane:
        """The host plane."""
        return Plane.HOST

    def knows(self, device: DeviceId) -> bool:
        """Whether it is one of the settings' nodes."""
        return device in self._nodes

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """Why the node cannot hold ``wanted``: only all of it is given away, and only clean."""
        del owners
        full_gpu_mask = self._full_gpu_mask(self._nodes[device])
        for key, entry in wanted.items():
            if not isinstance(entry, HostSlice):
                return f"{key}: is no slice of a host"
            if entry.guest:
                return f"{key}: it runs no guests"
            if entry.gpu_mask != full_gpu_mask:
                return f"{key}: GPU mask is {entry.gpu_mask:#x}, wanted all of {full_gpu_mask:#x}"
        if wanted and KEY in held and self._owner(device) is None:
            return "it is on though nobody was given it; 'gw reconcile' cleans it"
        return None

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """Nothing stands against it."""
        del device, held, leaving
        return None

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """Power off, and on again with the seed of ``wanted`` if it shall be on.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: it does not power on or off.
        """
        del held, cluster_id
        (entry,) = wanted.values()
        assert isinstance(entry, HostSlice), "others were refused"
        bmc = self._bmc(device)
        await self._booting.off(bmc, device, is_graceful=True)
        self._note_boot(device, "")
        if entry.power == "on":
            await self._booting.boot(bmc, entry)
            self._note_boot(device, seed_digest(entry))

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """Power off and clean; the receipt is kept whatever comes of it.

        Raises:
            DriverPermanentError: a step did not pass, so the node is not clean.
        """
        del leaving
        node_id = self._nodes[device]
        kept = self._ledger.read(device).keys.get(KEY)
        subject = Slice(node_id, self._full_gpu_mask(node_id), kept.owner if kept else NOBODY)
        steps = MetalCleaning(self._settings, self._booting, self._bmc(device), node_id).steps()
        await clean(subject, steps, self._opening.clock, self._opening.receipts)
        self._note_boot(device, "")

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """What runs, by the BMC's word; whose it is and what it booted with, by our notes.

        Raises:
            DriverError: the BMC does not answer.
        """
        power = (await self._bmc(device).power_state()).power
        mine = noted.get(KEY)
        if not isinstance(mine, HostSlice):
            return () if power == "off" else (self._strange(device),)
        if power == "on" and self._booted(device) != seed_digest(mine):
            return (self._strange(device),)
        return (replace(mine, power=power),)

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """Whether b is on, by its BMC, and a and b are one cluster's, by our notes.

        Raises:
            DriverRetryableError: a BMC does not answer.
            DriverPermanentError: there is no such node.
        """
        for node_id in sorted({end.node_id for pair in pairs for end in pair}):
            if node_id not in self._opening.fleet.nodes.index_of:
                raise DriverPermanentError(f"the fleet has no node {node_id!r}")
        devices = {DeviceId(f"host/{end.node_id}") for pair in pairs for end in pair}
        owner = {d: self._owner(d) if d in self._nodes else None for d in devices}
        is_on: dict[DeviceId, bool] = {}
        answers: list[bool] = []
        for a, b in ((f"host/{a.node_id}", f"host/{b.node_id}") for a, b in pairs):
            theirs = owner[DeviceId(b)]
            if theirs is not None and theirs == owner[DeviceId(a)]:
                is_on.setdefault(DeviceId(b), await self._is_on(DeviceId(b)))
                answers.append(is_on[DeviceId(b)])
            else:
                answers.append(False)
        return tuple(answers)

    async def _is_on(self, device: DeviceId) -> bool:
        try:
            return (await self._bmc(device).power_state()).power == "on"
        except DriverError as error:
            raise DriverRetryableError(f"{device}: cannot be probed: {error}") from error

    def _owner(self, device: DeviceId) -> ClusterId | None:
        kept = self._ledger.read(device).keys.get(KEY)
        return kept.owner if kept else None

    def _bmc(self, device: DeviceId) -> HostBmc:
        return self._bmc_of(self._nodes[device])

    def _full_gpu_mask(self, node_id: NodeId) -> int:
        fleet = self._opening.fleet
        return int(fleet.full_gpu_mask_of_node[fleet.nodes.index_of[node_id]])

    def _strange(self, device: DeviceId) -> HostSlice:
        node_id = self._nodes[device]
        mask = self._full_gpu_mask(node_id)
        return HostSlice(
            node_id, mask, guest=False, hostname="", image="", ssh_public_keys=(), power="on"
        )

    def _boot_path(self, device: DeviceId) -> Path:
        return self._opening.folder / "booted" / self._nodes[device]

    def _note_boot(self, device: DeviceId, digest: str) -> None:
        """Note what a node was booted with: no BMC can tell. "" while it is not known.

        Raises:
            DriverRetryableError: the disk does not take it.
        """
        path = self._boot_path(device)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_files((path,), digest)
        except OSError as error:
            raise DriverRetryableError(
                f"{device}: {path} was not written: {error.strerror}"
            ) from error

    def _booted(self, device: DeviceId) -> str:
        try:
            return self._boot_path(device).read_text(encoding="utf-8")
        except OSError:
            return ""
