"""Bringing nodes back into service: only when nothing strange is left on them."""

from collections.abc import Sequence

from gigawatt.app.control import Control
from gigawatt.boundary.plane import Plane
from gigawatt.errors import DriftError
from gigawatt.executor.readback import ReadBack, read_back
from gigawatt.ids import DeviceId, NodeId
from gigawatt.interfaces.store import Doer

OWN_DEVICES = ((Plane.IN_BAND, "port"), (Plane.OUT_OF_BAND, "bmc"), (Plane.HOST, "host"))
"""Devices that a node has for itself."""


async def bring_back(
    control: Control, nodes: Sequence[NodeId], reason: str, by: Doer | None = None
) -> None:
    """Bring nodes of the fleet back into service, all or none.

    Raises:
        DriftError: something that no cluster explains is on a node, or it does not answer.
    """
    store, clock = control.around.store, control.around.clock
    snapshot = store.snapshot(clock.now_s())
    members = {m.node_id for r in snapshot.clusters.values() if r.target for m in r.target.members}
    free = [node_id for node_id in nodes if node_id not in members]
    devices = [(p, DeviceId(f"{kind}/{n}")) for n in free for p, kind in OWN_DEVICES]
    _refuse_dirty(await read_back(control.around.drivers, devices))
    for node_id in nodes:
        store.set_node_state(node_id, "available", reason, clock.now_s(), by)


def _refuse_dirty(seen: ReadBack) -> None:
    notes = [f"{device} does not answer" for device in sorted(seen.silent)]
    notes += [
        f"{device} holds {key}, which no cluster explains"
        for device, held in sorted(seen.held.items())
        for key in sorted(held)
    ]
    if notes:
        raise DriftError(
            "the nodes are not clean, so none was brought back",
            notes=notes,
            next_step="Run 'gw reconcile', then try again.",
        )
