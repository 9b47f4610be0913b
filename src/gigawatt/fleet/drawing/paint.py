"""Colours and styles of nodes: free, spare, drained, quarantined, or held by a cluster.

The first twelve clusters have a colour and a letter of their own; the others share the same
twelve by a hash of their id, in small letters, so a cluster looks the same in every picture.

Source: ours. The twelve were searched for so that any two, and any one and a state's grey, differ
by at least 19 in CIE 1976 L*a*b* as seen with normal vision, protanopia, deuteranopia and
tritanopia (simulated after Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009) 1291).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

CLUSTER_COLOURS = (
    "#6240E7",
    "#CC8519",
    "#45A157",
    "#E4A4F4",
    "#64410C",
    "#77EEA7",
    "#A145A1",
    "#F0E442",
    "#22344F",
    "#A777EE",
    "#A7EE77",
    "#471396",
)
"""Far apart from one another and from the greys for colour-blind readers too, see the docstring."""


class NodeState(StrEnum):
    """What a node is doing, from the map's point of view; later is worse."""

    FREE = "free"
    SPARE = "spare"
    HELD = "held"
    DRAINED = "drained"
    QUARANTINED = "quarantined"


STATE_COLOURS = {
    NodeState.FREE: "#F6F8F9",
    NodeState.SPARE: "#C0C6CB",
    NodeState.DRAINED: "#6E757B",
    NodeState.QUARANTINED: "#111111",
}
"""Greys that darken as the state worsens; no cluster is grey."""
STATE_GLYPHS = {
    NodeState.FREE: "·",
    NodeState.SPARE: "+",
    NodeState.DRAINED: "-",
    NodeState.QUARANTINED: "x",
}


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the map says of one node.

    Fields:
        state: see ``NodeState``.
        cluster_id: who holds it or whose spare it is; empty otherwise.
        tenant_id: whose cluster that is; empty otherwise.
    """

    state: NodeState
    cluster_id: str = ""
    tenant_id: str = ""


@dataclass(frozen=True, slots=True)
class Swatch:
    """How one cluster or state looks.

    Fields:
        colour: "#rrggbb".
        glyph: one letter or sign.
        style_name: name for a terminal's theme: "free", ..., or "held-0" to "held-11".
    """

    colour: str
    glyph: str
    style_name: str


@dataclass(frozen=True, slots=True)
class Paint:
    """A painted fleet.

    Fields:
        swatch_of_node: N swatches.
        tooltip_of_node: N lines "node, state, cluster, tenant".
        legend: (colour, label) pairs, clusters by first node, then the states that occur.
        glyph_legend: (swatch, label) pairs, in the same order.
    """

    swatch_of_node: tuple[Swatch, ...]
    tooltip_of_node: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
    glyph_legend: tuple[tuple[Swatch, str], ...]

    @property
    def colour_of_node(self) -> tuple[str, ...]:
        """N colours "#rrggbb"."""
        return tuple(swatch.colour for swatch in self.swatch_of_node)


def _cluster_swatches(cluster_ids: Sequence[str]) -> dict[str, Swatch]:
    """Swatch of each cluster, in the order given."""
    count = len(CLUSTER_COLOURS)
    swatches = {}
    for number, cluster_id in enumerate(cluster_ids):
        is_own = number < count
        slot = number if is_own else crc32(cluster_id.encode()) % count
        letter = chr(ord("A" if is_own else "a") + slot)
        swatches[cluster_id] = Swatch(CLUSTER_COLOURS[slot], letter, f"held-{slot}")
    return swatches


def state_swatch(state: NodeState) -> Swatch:
    """Swatch of a state other than HELD, whose look is its cluster's."""
    return Swatch(STATE_COLOURS[state], STATE_GLYPHS[state], state.value)


def _tooltip(node_id: str, view: NodeView) -> str:
    parts = [node_id, view.state.value]
    parts += [f"cluster {view.cluster_id}"] if view.cluster_id else []
    parts += [f"tenant {view.tenant_id}"] if view.tenant_id else []
    return ", ".join(parts)


def _nodes(count: int) -> str:
    return f"{count:,} node{'' if count == 1 else 's'}"


def paint_nodes(node_ids: Sequence[str], views: Sequence[NodeView]) -> Paint:
    """Swatches, tooltips and legend of N nodes; colours go to clusters in order of first node.

    Args:
        node_ids: N ids.
        views: N views, in the same order.
    """
    held = Counter(view.cluster_id for view in views if view.state is NodeState.HELD)
    swatches = _cluster_swatches(list(held))
    states = {s: state_swatch(s) for s in NodeState if s is not NodeState.HELD}
    in_state = Counter(view.state for view in views)
    own = list(held)[: len(CLUSTER_COLOURS)]
    entries = [(swatches[c], f"{c or 'held'} ({_nodes(held[c])})") for c in own]
    if others := list(held)[len(own) :]:
        total = sum(held[c] for c in others)
        label = f"{len(others)} more clusters, colours shared ({_nodes(total)})"
        entries.append((Swatch("#FFFFFF", "a-l", "label"), label))
    entries += [(states[s], f"{s.value} ({_nodes(in_state[s])})") for s in states if in_state[s]]
    return Paint(
        tuple(
            swatches[v.cluster_id] if v.state is NodeState.HELD else states[v.state] for v in views
        ),
        tuple(_tooltip(n, v) for n, v in zip(node_ids, views, strict=True)),
        tuple((swatch.colour, label) for swatch, label in entries),
        tuple(entries),
    )
