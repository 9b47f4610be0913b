"""Care for the compute fabrics: how they are kept, and nodes whose links err.

A cable that flips bits slows every collective over it long before it is down, and whoever holds the
node next has it too. So counters of ports are read after each pass of the reconciler, and the node
of a port that erred more than is sound since the last reading is quarantined, with the counter as
its reason. Nothing else of it changes: what a cluster has on it stays, and its owner is told.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.by_device import DriverByDevice
from gigawatt.drivers.fake.shadow import ShadowedDriver
from gigawatt.errors import DriverError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.discovery.port_health import (
    LINK_RULES,
    PortFinding,
    PortReading,
    judge_ports,
)
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId, FabricId, NodeId
from gigawatt.interfaces.fabric_care import FabricCare, FabricFinding

NODES_AT_ONCE_SHARE, NODES_AT_ONCE_MIN = 0.1, 2
"""More nodes of a fleet than this share at one look are no bad cables but a bad switch, or counters
that mean something else: then nobody is quarantined, and a person is told. Ours."""


@dataclass(frozen=True, slots=True)
class LintedFabric:
    """One fabric. Fields: findings is None where its driver cannot judge it."""

    fabric_id: FabricId
    findings: tuple[FabricFinding, ...] | None


async def lint_fabrics(around: Surroundings) -> tuple[LintedFabric, ...]:
    """What is wrong with how the fabrics of a fleet are kept, in the fleet's order.

    Raises:
        DriverError: a fabric cannot be read.
    """
    found = []
    for name in around.fleet.fabrics.ids:
        device = DeviceId(f"fabric/{name}")
        care = care_of(around, device)
        findings = None if care is None else tuple(await care.lint(device))
        found.append(LintedFabric(FabricId(name), findings))
    return tuple(found)


def care_of(around: Surroundings, device: DeviceId) -> FabricCare | None:
    """The driver of a fabric, if it is one that knows links and keys."""
    driver = around.drivers[Plane.FABRIC]
    if isinstance(driver, DriverByDevice):
        driver = driver.driver_of(device)
    if isinstance(driver, ShadowedDriver):
        driver = driver.real
    return driver if isinstance(driver, FabricCare) else None


class PortWatch:
    """Remembers the last reading of each fabric."""

    def __init__(self, around: Surroundings) -> None:
        """Watch the fabrics of a fleet; the first look only notes what counters stand at."""
        self._around = around
        self._before: dict[DeviceId, Sequence[PortReading]] = {}

    async def look(self) -> tuple[NodeId, ...]:
        """Read all fabrics; the nodes that were quarantined by it.

        A fabric that cannot be read now is left for the next look.
        """
        quarantined: list[NodeId] = []
        for name in self._around.fleet.fabrics.ids:
            device = DeviceId(f"fabric/{name}")
            care = care_of(self._around, device)
            if care is None:
                continue
            try:
                now = await care.health(device)
            except DriverError:
                continue
            before = self._before.get(device)
            self._before[device] = now
            if before is not None:
                found = [f for f in judge_ports(now, before) if f.rule in LINK_RULES]
                quarantined += await asyncio.to_thread(self._judge, device, found)
        return tuple(quarantined)

    def _judge(self, device: DeviceId, found: Sequence[PortFinding]) -> list[NodeId]:
        fleet, store, clock = self._around.fleet, self._around.store, self._around.clock
        reasons: dict[NodeId, str] = {}
        for finding, node_id in _with_nodes(fleet, found):
            if node_id is None:
                store.add_event("port_errors", f"{device}: {finding.sentence}", clock.now_s())
            else:
                reasons.setdefault(node_id, f"{device}: {finding.sentence}")
        known = store.snapshot(clock.now_s()).node_states
        fresh = {node_id: why for node_id, why in reasons.items() if node_id not in known}
        if len(fresh) > max(NODES_AT_ONCE_MIN, NODES_AT_ONCE_SHARE * len(fleet.nodes)):
            sentence = (
                f"{device}: ports of {len(fresh)} nodes erred at once; none was quarantined. Look"
                f" at the switches: {next(iter(fresh.values()))}"
            )
            store.add_event("port_errors", sentence, clock.now_s(), data={"nodes": sorted(fresh)})
            return []
        for node_id, why in sorted(fresh.items()):
            store.set_node_state(node_id, "quarantined", why, clock.now_s())
        return sorted(fresh)


def _with_nodes(
    fleet: Fleet, found: Sequence[PortFinding]
) -> Iterator[tuple[PortFinding, NodeId | None]]:
    """Each finding with the node whose cable it is of: its NIC's port, or the leaf's to it."""
    nics = fleet.nics
    row_of_guid = {int(guid): row for row, guid in enumerate(nics.guid.tolist())}
    leaf_guids = fleet.switches.guid[nics.leaf].tolist()
    at_leaf = zip(leaf_guids, nics.leaf_switch_port.tolist(), strict=True)
    row_of_leaf_port = {at: row for row, at in enumerate(at_leaf)}
    for finding in found:
        row = row_of_guid.get(finding.guid)
        if row is None:
            row = row_of_leaf_port.get((finding.guid, finding.switch_port))
        yield finding, None if row is None else fleet.node_id(int(nics.node[row]))
