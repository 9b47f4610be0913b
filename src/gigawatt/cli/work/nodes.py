"""Nodes in and out of service."""

import asyncio
from collections.abc import Sequence

from gigawatt.app import node_return
from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, table, write
from gigawatt.ids import NodeId
from gigawatt.interfaces.store import NodeState


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
                "clusters": [
                    snapshot.clusters[c].name for c in node_return.holders_of(snapshot, node_id)
                ],
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
            for cluster_id in node_return.holders_of(snapshot, node_id):
                name = snapshot.clusters[cluster_id].name
                console.print(f"  {name} keeps it; put another one in its place:")
                console.print(f"  gw cluster replace {name} {node_id}")


def bring_back(nodes: Sequence[str], reason: str) -> None:
    """Bring nodes back into service.

    Raises:
        DriftError: something that no cluster explains is on a node, or it does not answer.
    """
    with open_control(Home.default()) as control:
        found = _known(control, nodes)
        asyncio.run(node_return.bring_back(control, found, reason))
        for node_id in found:
            console.print(f"{node_id} is back in service")
