"""Opens the driver of OpenSM from a site's settings, and writes settings of what is known."""

from collections.abc import Collection

import numpy as np

from gigawatt.drivers.opening import Opening
from gigawatt.drivers.opensm.driver import OpensmDriver, Patience
from gigawatt.drivers.opensm.settings import FabricSettings, OpensmSettings, SubnetSettings
from gigawatt.drivers.opensm.subnet import ManagedFabric, Subnet
from gigawatt.errors import InputError
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.ids import FabricId


def open_opensm(settings: OpensmSettings, opening: Opening) -> OpensmDriver:
    """The driver of the fabrics that the settings name; ``close`` it.

    Raises:
        InputError: a fabric is none of the fleet's, or a leaf none of the fabric's.
    """
    fabrics = [managed_fabric(opening.fleet, fabric) for fabric in settings.fabrics]
    patience = Patience(settings.change_s, settings.turn_s)
    return OpensmDriver(opening.fleet, fabrics, opening.clock, patience)


def settings_of(fleet: Fleet, fabric: ManagedFabric) -> FabricSettings:
    """The settings that open this fabric again."""
    subnets = [
        SubnetSettings(
            name=subnet.name,
            pid_files=subnet.pid_paths,
            adapter=subnet.adapter,
            adapter_port=subnet.adapter_port,
            leaves=_leaves_of(fleet, subnet.guids),
            environment=subnet.environment,
            options_files=subnet.options_paths,
        )
        for subnet in fabric.subnets
    ]
    return FabricSettings(
        fabric=fabric.fabric_id,
        partitions_conf=fabric.conf_path,
        subnets=tuple(subnets),
        manager_guids=tuple(f"{guid:#018x}" for guid in sorted(fabric.manager_guids)),
        build=fabric.build,
    )


def _leaves_of(fleet: Fleet, guids: Collection[int]) -> tuple[str, ...]:
    is_ours = np.isin(fleet.nics.guid, np.fromiter(guids, np.uint64))
    return tuple(fleet.switches.ids[row] for row in np.unique(fleet.nics.leaf[is_ours]).tolist())


def managed_fabric(fleet: Fleet, settings: FabricSettings) -> ManagedFabric:
    """The fabric that the settings name.

    Raises:
        InputError: it is none of the fleet's, or a leaf none of the fabric's.
    """
    known = {name: row for row, name in enumerate(fleet.fabrics.ids)}
    row = known.get(settings.fabric)
    if row is None or fleet.fabrics.kind[row] is not FabricKind.INFINIBAND:
        raise InputError(
            f"fleet {fleet.name!r} has no InfiniBand fabric {settings.fabric!r}",
            next_step=f"The fleet has fabrics {', '.join(known)}; correct site.yaml.",
        )
    subnets = tuple(_subnet(fleet, row, subnet) for subnet in settings.subnets)
    doubled = sum(len(s.guids) for s in subnets) - len({g for s in subnets for g in s.guids})
    if doubled:
        raise InputError(f"fabric {settings.fabric!r}: {doubled} ports are in two subnets")
    return ManagedFabric(
        fabric_id=FabricId(settings.fabric),
        conf_path=settings.partitions_conf,
        subnets=subnets,
        manager_guids=frozenset(int(guid, 16) for guid in settings.manager_guids),
        build=settings.build,
    )


def _subnet(fleet: Fleet, fabric_row: int, settings: SubnetSettings) -> Subnet:
    on_fabric = fleet.switches.fabric[fleet.nics.leaf] == fabric_row
    if settings.leaves is not None:
        rows = {name: row for row, name in enumerate(fleet.switches.ids)}
        unknown = [name for name in settings.leaves if name not in rows]
        if unknown:
            raise InputError(
                f"subnet {settings.name!r}: the fleet has no switch {unknown[0]!r}",
                next_step="Correct 'leaves' in site.yaml; see 'gw fleet show'.",
            )
        wanted = [rows[name] for name in settings.leaves]
        on_fabric = on_fabric & np.isin(fleet.nics.leaf, wanted)
    if not on_fabric.any():
        raise InputError(f"subnet {settings.name!r} has no NIC of the fleet")
    return Subnet(
        name=settings.name,
        pid_paths=settings.pid_files,
        adapter=settings.adapter,
        adapter_port=settings.adapter_port,
        guids=frozenset(int(guid) for guid in fleet.nics.guid[on_fabric]),
        environment=settings.environment,
        options_paths=settings.options_files,
    )
