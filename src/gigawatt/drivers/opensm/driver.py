"""The compute fabric's driver over OpenSM: writes ``partitions.conf``, believes only the tables."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from gigawatt.boundary.entries import Entry, PartitionMember, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.opensm import rules
from gigawatt.drivers.opensm.linting import lint_files, lint_ports
from gigawatt.drivers.opensm.opened_fabric import OpenedFabric
from gigawatt.drivers.opensm.partitions_conf import DEFAULT_TABLE, IbPartitions
from gigawatt.drivers.opensm.probing import reaches
from gigawatt.drivers.opensm.questions import PortTables
from gigawatt.drivers.opensm.subnet import ManagedFabric, Subnet, hang_up
from gigawatt.drivers.opensm.sweeping import LOOK_S_MAX, Sweep, wrong_ports
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.discovery.port_health import PortReading
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Endpoint, Fence, Observation
from gigawatt.interfaces.fabric_care import FabricFinding

POLL_S = 0.02
HANG_UP_AGAIN_S, HANG_UP_AGAIN_S_PER_PORT = 1.0, 0.0025
"""How long a manager may sweep before it is told again; 10,000 ports took 17 to 25 s on ibsim.

A signal that comes while it sweeps can be lost: OpenSM forgets it at the end of that sweep.
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a change may take until every port agrees, and how long to wait for one's turn."""

    change_s: float = 120.0
    turn_s: float = 300.0


class OpensmDriver:
    """``Driver`` of InfiniBand fabrics under OpenSM. ``close`` ends its reading processes."""

    def __init__(
        self,
        fleet: Fleet,
        fabrics: Sequence[ManagedFabric],
        clock: Clock,
        patience: Patience = Patience(),
    ) -> None:
        """Serve ``fabrics`` of ``fleet``."""
        self._fleet = fleet
        self._fabrics = {fabric.device: OpenedFabric(fleet, fabric) for fabric in fabrics}
        self._clock = clock
        self._patience = patience

    @property
    def plane(self) -> Plane:
        """The compute fabric."""
        return Plane.FABRIC

    def knows(self, device: DeviceId) -> bool:
        """Whether a device is one of its fabrics."""
        return device in self._fabrics

    def close(self) -> None:
        """End the processes that read the subnets."""
        for fabric in self._fabrics.values():
            fabric.close()

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.ensure``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        fabric, wanted = self._checked(device, entries)
        async with self._turn(fabric):
            before = fabric.read()
            rules.refuse_fence(device, before, fence)
            reason = rules.refuses_ensure(before, wanted, fence.cluster_id, fabric.guids)
            if reason is not None:
                fabric.note(before, rules.seen(before, fence))
                raise _refused(device, reason)
            await self._put(fabric, before, rules.ensured(before, wanted, fence), wanted)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """See ``Driver.remove``. A port that is not on the fabric holds nothing.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        fabric, leaving = self._checked(device, entries)
        async with self._turn(fabric):
            before = fabric.read()
            rules.refuse_fence(device, before, fence)
            after = rules.removed(device, before, leaving, fence)
            await self._put(fabric, before, after, leaving)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """See ``Driver.observe``; read from all ports of hosts and leaves, never from the file.

        A fabric whose managers do not answer is unreachable. So is one whose file is not as it was
        written while no table shows it yet: what the ports hold will not last.
        """
        entries: dict[DeviceId, frozenset[Entry]] = {}
        locations: list[PortLocation] = []
        for device in devices:
            with suppress(DriverError):
                fabric, _ = self._checked(device, ())
                ports = await fabric.scan()
                held = fabric.entries(ports)
                if fabric.is_sound(held):
                    entries[device] = held
                    locations += fabric.locations(ports)
        return Observation(entries, frozenset(devices) - entries.keys(), tuple(locations))

    async def health(self, device: DeviceId) -> list[PortReading]:
        """Link and counters of every port of one fabric, for ``fleet.discovery.port_health``.

        Raises:
            DriverRetryableError: a subnet cannot be read.
            DriverPermanentError: there is no such fabric.
        """
        return await self._checked(device, ())[0].health()

    async def lint(self, device: DeviceId) -> list[FabricFinding]:
        """See ``FabricCare.lint``.

        Raises:
            DriverRetryableError: a subnet cannot be read.
            DriverPermanentError: there is no such fabric.
        """
        fabric, _ = self._checked(device, ())
        port_tables = await fabric.scan()
        files = await asyncio.to_thread(lambda: list(lint_files(fabric.managed)))
        return [*files, *lint_ports(self._fleet, fabric.managed, port_tables)]

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe``; PathRecords of the subnet managers say who reaches whom.

        Raises:
            DriverRetryableError: the probe could not be run.
            DriverPermanentError: a node does not exist.
        """
        answers: list[bool] = []
        for a, b in pairs:
            fabric = self._of_endpoints(a, b)
            answers.append(
                fabric is not None
                and await reaches(self._fleet, fabric.best_known(), (a, b), fabric.paths)
            )
        return tuple(answers)

    def _of_endpoints(self, a: Endpoint, b: Endpoint) -> OpenedFabric | None:
        """The fabric of both, None if they are on two."""
        names: list[str] = []
        for endpoint in (a, b):
            row = self._fleet.nodes.index_of.get(endpoint.node_id)
            if row is None:
                raise DriverPermanentError(
                    f"fleet {self._fleet.name!r} has no node {endpoint.node_id!r}"
                )
            names.append(self._fleet.fabrics.ids[int(self._fleet.fabric_of_node[row])])
        if names[0] != names[1]:
            return None
        return self._checked(DeviceId(f"fabric/{names[0]}"), ())[0]

    def _checked(
        self, device: DeviceId, entries: Sequence[Entry]
    ) -> tuple[OpenedFabric, rules.Members]:
        fabric = self._fabrics.get(device)
        if fabric is None:
            raise DriverPermanentError(
                f"{device} is no fabric under OpenSM of this driver", device=device
            )
        reason = rules.refuses_entries(device, entries)
        if reason is not None:
            raise _refused(device, reason)
        return fabric, tuple(e for e in entries if isinstance(e, PartitionMember))

    @asynccontextmanager
    async def _turn(self, fabric: OpenedFabric) -> AsyncIterator[None]:
        """Have the fabric's file to oneself among all processes."""
        until_s = self._clock.now_s() + self._patience.turn_s
        while True:
            with fabric.file.try_lock() as is_ours:
                if is_ours:
                    yield
                    return
            if self._clock.now_s() >= until_s:
                raise DriverRetryableError(
                    f"{fabric.device}: others changed it for {self._patience.turn_s:g} s",
                    device=fabric.device,
                )
            await self._clock.sleep(POLL_S)

    async def _put(
        self,
        fabric: OpenedFabric,
        before: IbPartitions,
        after: IbPartitions,
        entries: rules.Members,
    ) -> None:
        """Bring ``after`` about for the ports of ``entries``, or leave the fabric at ``before``.

        The new file is laid on the disk while the ports are looked for, and that it will outlive a
        crash is waited for while the managers sweep; the call ends when both are so.
        """
        guids = {entry.guid for entry in entries}
        held = {guid for p in after.by_p_key.values() for guid in p.members}
        is_same = before.by_p_key == after.by_p_key
        # The end of such a block waits for what is done beside it, whatever becomes of the rest.
        with ThreadPoolExecutor(1) as beside:
            laid = None if is_same else beside.submit(fabric.file.prepare, after)
            present = await fabric.present(guids)
            if laid is not None:
                await asyncio.wrap_future(laid)
        absent = guids & held - present
        if absent:
            fabric.note(before, replace(before, generations=after.generations))
            raise _absent(fabric.device, absent)
        if is_same:
            fabric.note(before, after)
            if wrong_ports(await fabric.tables(guids), after):
                await self._sweep(fabric, after, guids)
            return
        fabric.file.put()
        with ThreadPoolExecutor(1) as beside:
            settled = beside.submit(fabric.file.settle)
            try:
                await self._sweep(fabric, after, guids)
            except DriverError as error:
                await self._go_back(fabric, before, after, guids, error)
            await asyncio.wrap_future(settled)

    async def _go_back(
        self,
        fabric: OpenedFabric,
        before: IbPartitions,
        after: IbPartitions,
        guids: set[int],
        error: DriverError,
    ) -> None:
        """Put the former partitions back, under the new fence, and say how that went."""
        former = replace(before, generations=after.generations)
        kind = type(error)
        try:
            fabric.file.write(former)
            await self._sweep(fabric, former, guids)
        except DriverError as second:
            raise kind(
                f"{error}; nor are the former partitions back: {second}",
                device=fabric.device,
                next_step=error.next_step,
            ) from error
        raise kind(
            f"{error}; the former partitions are back on every port",
            device=fabric.device,
            next_step=error.next_step,
        ) from error

    async def _sweep(self, fabric: OpenedFabric, wanted: IbPartitions, guids: set[int]) -> None:
        """Tell the managers, and wait until the tables of ``guids`` are what they shall be.

        Raises:
            DriverRetryableError: they are not in time.
            DriverPermanentError: OpenSM opened the fabric instead.
        """
        subnets = fabric.subnets_of(guids)
        now_s = again_s = self._clock.now_s()
        until_s = now_s + self._patience.change_s
        sweep = Sweep(fabric, wanted, guids)
        gone: DriverRetryableError | None = None
        while True:
            is_told = now_s >= again_s
            if is_told:
                again_s = now_s + HANG_UP_AGAIN_S + HANG_UP_AGAIN_S_PER_PORT * len(fabric.guids)
                gone = _hang_up_all(subnets)
            wait_s_max = LOOK_S_MAX if gone is None else 0.0
            wrong = await sweep.look(is_told=is_told, wait_s_max=wait_s_max)
            if wrong is None:
                return
            if gone is not None:
                raise gone
            now_s = self._clock.now_s()
            if now_s >= until_s:
                raise _disagrees(fabric.device, wrong, wanted, self._patience.change_s)


def _hang_up_all(subnets: Sequence[Subnet]) -> DriverRetryableError | None:
    """Tell the managers of all subnets; the error of the last one that has none."""
    gone: DriverRetryableError | None = None
    for subnet in subnets:
        try:
            hang_up(subnet)
        except DriverRetryableError as error:
            gone = error
    return gone


def _absent(device: DeviceId, guids: Collection[int]) -> DriverRetryableError:
    return DriverRetryableError(
        f"{device} does not see port {min(guids):#018x}"
        + (f" and {len(guids) - 1} more" if len(guids) > 1 else ""),
        device=device,
        next_step="Look at the cable and at 'iblinkinfo'; quarantine the node.",
    )


def _disagrees(
    device: DeviceId, port: PortTables, wanted: IbPartitions, waited_s: float
) -> DriverError:
    if port.is_open:
        return DriverPermanentError(
            f"{device}: OpenSM made port {port.guid:#018x} a full member of the default partition",
            device=device,
            next_step="Look for 'PARSE ERROR' in OpenSM's log, and at which file it reads (-P).",
        )
    table = wanted.tables().get(port.guid, DEFAULT_TABLE)
    where, found = ("its leaf", port.leaf) if port.host == table else ("it", port.host)
    return DriverRetryableError(
        f"{device}: after {waited_s:g} s port {port.guid:#018x} is not as wanted: {where} has"
        f" P_Keys {_listed(found)}, wanted {_listed(table)}",
        device=device,
        next_step="Look at OpenSM's log, and whether it reads the same partitions.conf (-P).",
    )


def _listed(table: Collection[int]) -> str:
    return ", ".join(f"{p_key:#06x}" for p_key in sorted(table)) or "none"


def _refused(device: DeviceId, reason: str) -> DriverPermanentError:
    return DriverPermanentError(f"{device} refuses: {reason}", device=device)
