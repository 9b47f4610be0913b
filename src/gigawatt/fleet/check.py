"""Judges a fleet: every rule that a fleet must keep, checked over whole columns.

It trusts nothing that a builder, an import or a file says. Rules come in stages, because a later
stage follows the indices that an earlier one has judged:

1. rows: ids, indices, quantities (``fleet.check_rows``);
2. wiring: NICs, switch ports, cables, groups, sites (``fleet.check_wiring``);
3. power: what nodes draw against racks and feeds (here).
"""

from collections.abc import Callable

import numpy as np

from gigawatt.fleet.check_rows import index_notes, row_notes
from gigawatt.fleet.check_wiring import wiring_notes
from gigawatt.fleet.model import F64, Fleet
from gigawatt.fleet.note import Note, notes_for
from gigawatt.units import KW_W

__all__ = ["Note", "check_fleet"]

_ROUNDING = 1 + 1e-9
"""Sums of floats may pass their limit by this factor: far below a watt in a gigawatt."""


def _power_notes(fleet: Fleet) -> list[Note]:
    """Nodes at full load against the limit of their rack and of its feed."""
    node_w = np.array([t.power_w_max for t in fleet.node_types], np.float64)[fleet.nodes.type]
    rack_w = np.bincount(fleet.nodes.rack, node_w, len(fleet.racks)).astype(np.float64)
    feed_w = np.bincount(fleet.racks.feed, rack_w, len(fleet.power_feeds)).astype(np.float64)

    def sentence(
        kind: str, ids: tuple[str, ...], drawn_w: F64, limit_w: F64
    ) -> Callable[[int], str]:
        return lambda row: (
            f"nodes of {kind} {ids[row]!r} draw {drawn_w[row] / KW_W:,.1f} kW,"
            f" its limit is {limit_w[row] / KW_W:,.1f} kW"
        )

    racks, feeds = fleet.racks, fleet.power_feeds
    return [
        *notes_for(
            "rack_power",
            rack_w > racks.power_w_max * _ROUNDING,
            lambda row: f"racks[{row}]",
            sentence("rack", racks.ids, rack_w, racks.power_w_max),
        ),
        *notes_for(
            "feed_power",
            feed_w > feeds.capacity_w * _ROUNDING,
            lambda row: f"power_feeds[{row}]",
            sentence("feed", feeds.ids, feed_w, feeds.capacity_w),
        ),
    ]


def check_fleet(fleet: Fleet) -> tuple[Note, ...]:
    """What is wrong with a fleet; empty when it keeps every rule.

    With an index that names no row, the rules that follow indices are not judged: mend that first.
    """
    notes = row_notes(fleet)
    dangling = index_notes(fleet)
    if dangling:
        return (*notes, *dangling)
    return (*notes, *wiring_notes(fleet), *_power_notes(fleet))
