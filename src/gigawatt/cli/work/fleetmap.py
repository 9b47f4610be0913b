"""The fleet map on a terminal, and what each node is doing."""

from rich.text import Text

from gigawatt.app.control import Control
from gigawatt.cli.output import console, width_of
from gigawatt.fleet.drawing.paint import CLUSTER_COLOURS, NodeState, NodeView, Paint
from gigawatt.fleet.drawing.text import fleet_text
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, NodeId

MAP_WIDTH = 100
"""Where nobody looks, the map is this wide."""

STYLES = {
    "free": "dim",
    "spare": "bold",
    "drained": "bold yellow",
    "quarantined": "bold red",
    "title": "bold",
    "label": "",
    **{f"held-{i}": f"bold {colour}" for i, colour in enumerate(CLUSTER_COLOURS)},
}
"""How a terminal shows the styles of the map; the greys of paper are hard to tell on black."""


def node_views(control: Control) -> list[NodeView]:
    """What each node of the fleet is doing, in fleet order; the worst that is true of it."""
    snapshot = control.around.store.snapshot(control.around.clock.now_s())
    holder: dict[NodeId, ClusterId] = {}
    for node_id, cluster_id in snapshot.allocations:
        holder.setdefault(node_id, cluster_id)
    spares = {
        m.node_id
        for record in snapshot.clusters.values()
        if record.target is not None
        for m in record.target.members
        if m.role == "spare"
    }
    views = []
    for text in control.around.fleet.nodes.ids:
        node_id = NodeId(text)
        state = NodeState.FREE
        record = snapshot.clusters.get(holder[node_id]) if node_id in holder else None
        if node_id in holder:
            state = NodeState.SPARE if node_id in spares else NodeState.HELD
        if node_id in snapshot.node_states:
            state = NodeState(snapshot.node_states[node_id][0])
        name, tenant = (record.name, record.tenant_id) if record else ("", "")
        label = f"{name} of {tenant}" if record else holder.get(node_id, "")
        views.append(NodeView(state, label, tenant))
    return views


def show_map(fleet: Fleet, paint: Paint) -> None:
    """Write the map to the terminal."""
    width = max(40, width_of(console) or MAP_WIDTH)
    for row in fleet_text(fleet, paint, width=width):
        line = Text()
        for cell in row:
            line.append(cell.text, style=STYLES.get(cell.style_name, ""))
        console.print(line)
