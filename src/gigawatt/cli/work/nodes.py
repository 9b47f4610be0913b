"""Nodes in and out of service."""

import asyncio
from collections.abc import Sequence

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.boundary.plane import Plane
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, table, write
from gigawatt.errors import DriftError
from gigawatt.executor.readback import ReadBack, read_back
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.store import NodeState, StoreSnapshot

OWN_DEVICES = ((Plane.IN_BAND, "port"), (Plane.OUT_OF_BAND, "bmc"), (Plane.HOST, "host"))
"""Devices that a node has for itself."""


def holders_of(snapshot: StoreSnapshot, node_id: NodeId) -> tuple[ClusterId, ...]:
    """Clusters that hold GPUs of a node, in order of their first GPU."""
    masks = {c: mask for (node, c), mask in snapshot.allocations.items() if node == node_id}
    return tuple(sorted(masks, key=lambda cluster_id: masks[cluster_id] & -masks[cluster_id]))


def _known(control: Control, nodes: Sequence[str]) -> list[NodeId]:
    """The ids, after a look whether the fleet has them.

    Raises:
        UnknownIdError: it does not.
    """
    found = [NodeId(node) for node in dict.fromkeys(nodes)]
    for node_id in found:
        control.around.fleet.node_index(node_id)
    return found


def list_blocked(form: Format) -> None:
    """List nodes that are drained or quarantined."""
    with open_control(Home.default()) as control:
        snapshot = control.around.store.snapshot(control.around.clock.now_s())
        rows = [
            {
                "node_id": node_id,
                "state": state,
                "reason": reason,
                "clusters": [snapshot.clusters[c].name for c in holders_of(snapshot, node_id)],
            }
            for node_id, (state, reason) in sorted(snapshot.node_states.items())
        ]
    if form is not Format.TABLE:
        write(rows, form)
    elif rows:
        cells = [(r["node_id"], r["state"], ", ".join(r["clusters"]), r["reason"]) for r in rows]
        table(("node", "state", "held by", "reason"), cells)
    else:
        console.print("all nodes are in service")


def set_states(nodes: Sequence[str], state: NodeState, reason: str) -> None:
    """Drain or quarantine nodes."""
    with open_control(Home.default()) as control:
        store, clock = control.around.store, control.around.clock
        for node_id in _known(control, nodes):
            store.set_node_state(node_id, state, reason, clock.now_s())
            console.print(f"{node_id} is {state}: {reason}")
            snapshot = store.snapshot(clock.now_s())
            for cluster_id in holders_of(snapshot, node_id):
                name = snapshot.clusters[cluster_id].name
                console.print(f"  {name} keeps it; put another one in its place:")
                console.print(f"  gw cluster replace {name} {node_id}")


def bring_back(nodes: Sequence[str], reason: str) -> None:
    """Bring nodes back into service.

    Raises:
        DriftError: something that no cluster explains is on a node, or it does not answer.
    """
    with open_control(Home.default()) as control:
        store, clock = control.around.store, control.around.clock
        found = _known(control, nodes)
        snapshot = store.snapshot(clock.now_s())
        members = {
            m.node_id for r in snapshot.clusters.values() if r.target for m in r.target.members
        }
        free = [node_id for node_id in found if node_id not in members]
        devices = [(p, DeviceId(f"{kind}/{n}")) for n in free for p, kind in OWN_DEVICES]
        _refuse_dirty(asyncio.run(read_back(control.around.drivers, devices)))
        for node_id in found:
            store.set_node_state(node_id, "available", reason, clock.now_s())
            console.print(f"{node_id} is back in service")


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
