"""What the devices know of the fleet: which devices exist, which GUID sits where."""

from collections.abc import Mapping
from functools import cached_property

from gigawatt.boundary.entries import PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import DeviceId, FabricId, SwitchId

PLANE_OF_CLASS = {
    "fabric": Plane.FABRIC,
    "port": Plane.IN_BAND,
    "gateway": Plane.IN_BAND,
    "bmc": Plane.OUT_OF_BAND,
    "oob": Plane.OUT_OF_BAND,
    "pool": Plane.STORAGE,
    "host": Plane.HOST,
}
"""Plane by class of device; see the table in ``boundary.entries``."""


class Places:
    """Look-ups over one fleet, each made on first use."""

    def __init__(self, fleet: Fleet) -> None:
        """Look at ``fleet``."""
        self.fleet = fleet

    def row(self, device: DeviceId) -> int | None:
        """Row of the node, site, fabric or storage pool behind a device; None if there is none."""
        kind, _, name = device.partition("/")
        if kind in {"port", "bmc", "host"}:
            return self.fleet.nodes.index_of.get(name)
        if kind in {"gateway", "oob"}:
            return self.fleet.sites.index_of.get(name)
        if kind == "fabric":
            return self.fleet.fabrics.index_of.get(name)
        return self.fleet.storage_pools.index_of.get(name) if kind == "pool" else None

    def fabric_kind(self, device: DeviceId) -> FabricKind:
        """Kind of the compute fabric behind a fabric device."""
        row = self.row(device)
        assert row is not None, f"{device} was not checked"
        return self.fleet.fabrics.kind[row]

    @cached_property
    def node_of_guid(self) -> Mapping[int, int]:
        """Row of the node by GUID of its NIC."""
        nics = self.fleet.nics
        return dict(zip(nics.guid.tolist(), nics.node.tolist(), strict=True))

    def guids_of_slice(self, node: int, gpu_mask: int) -> tuple[int, ...]:
        """GUIDs of the NICs that serve these GPUs of the node in row ``node``, in rail order."""
        first = int(self.fleet.first_nic_of_node[node])
        guids = self.fleet.nics.guid
        numbers = nics_of_mask(self.fleet.node_type(node), gpu_mask)
        return tuple(int(guids[first + number]) for number in numbers)

    def guids_of_node(self, node: int) -> tuple[int, ...]:
        """GUIDs of all NICs of the node in row ``node``."""
        first = self.fleet.first_nic_of_node
        return tuple(self.fleet.nics.guid[int(first[node]) : int(first[node + 1])].tolist())

    @cached_property
    def _locations(self) -> Mapping[str, Mapping[int, PortLocation]]:
        fleet = self.fleet
        by_fabric: dict[str, dict[int, PortLocation]] = {name: {} for name in fleet.fabrics.ids}
        nics = fleet.nics
        fabrics = fleet.fabric_of_node[nics.node].tolist()
        columns = (nics.guid.tolist(), nics.leaf.tolist(), nics.leaf_switch_port.tolist())
        for fabric, guid, leaf, switch_port in zip(fabrics, *columns, strict=True):
            name = fleet.fabrics.ids[fabric]
            switch_id = SwitchId(fleet.switches.ids[leaf])
            by_fabric[name][guid] = PortLocation(FabricId(name), guid, switch_id, switch_port)
        return by_fabric

    def locations(self, fabric_id: FabricId) -> Mapping[int, PortLocation]:
        """Where the fleet has each NIC of a fabric, by GUID."""
        return self._locations[fabric_id]
