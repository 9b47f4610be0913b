"""Power by feed and rack, and what GPUs report of themselves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.api.access import Access, Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import at
from gigawatt.app.gpu_loads import SourceNow
from gigawatt.fleet.model import F64, GPUS_PER_NODE_MAX, Fleet
from gigawatt.fleet.power import PowerSums, power_by_feed, power_by_rack
from gigawatt.sdk import documents as doc

router = new_router("fleet")


@dataclass(frozen=True, slots=True)
class _Common:
    """What feeds and racks have in common, row by row."""

    ids: tuple[str, ...]
    limit_w: F64
    sums: PowerSums

    def place(self, row: int) -> doc.PlacePower:
        """One of them."""
        sums = self.sums
        reporting = int(sums.reporting_gpu_count[row])
        return doc.PlacePower(
            id=self.ids[row],
            limit_w=float(self.limit_w[row]),
            all_w_max=float(sums.all_w_max[row]),
            held_w_max=float(sums.held_w_max[row]),
            gpu_w=round(float(sums.gpu_w[row]), 1) if reporting else None,
            reporting_gpu_count=reporting,
            node_count=int(sums.node_count[row]),
            gpu_count=int(sums.gpu_count[row]),
        )


@operation(router, "GET", "/fleet/power")
def get_fleet_power(access: Allowed) -> doc.FleetPower:
    """What feeds and racks may give, what their nodes may draw, and what their GPUs report."""
    access.permit()
    fleet, source = access.service.control.around.fleet, access.service.loads.now()
    is_held, gpu_w = _held(access, fleet), _power_of(fleet, source)
    feeds, racks = fleet.power_feeds, fleet.racks
    by_feed = _Common(feeds.ids, feeds.capacity_w, power_by_feed(fleet, is_held, gpu_w))
    by_rack = _Common(racks.ids, racks.power_w_max, power_by_rack(fleet, is_held, gpu_w))
    rack_count = np.bincount(racks.feed, minlength=len(feeds)).tolist()
    return doc.FleetPower(
        source=_source(source),
        feeds=[
            doc.FeedPower(
                **by_feed.place(row).model_dump(),
                site_id=fleet.sites.ids[int(feeds.site[row])],
                rack_count=rack_count[row],
            )
            for row in range(len(feeds))
        ],
        racks=[
            doc.RackPower(
                **by_rack.place(row).model_dump(),
                feed_id=feeds.ids[int(racks.feed[row])],
                hall_id=fleet.halls.ids[int(racks.hall[row])],
                row=int(racks.row[row]),
            )
            for row in range(len(racks))
        ],
    )


@operation(router, "GET", "/fleet/load")
def get_fleet_load(access: Allowed) -> doc.FleetLoad:
    """What every GPU reports now: how busy it is, and what it draws."""
    access.permit()
    fleet, source = access.service.control.around.fleet, access.service.loads.now()
    load = source.load
    return doc.FleetLoad(
        source=_source(source),
        utilisation_percent=[] if load is None else _by_gpu(fleet, load.utilisation_percent),
        power_w=[] if load is None else _by_gpu(fleet, load.power_w),
    )


def _held(access: Access, fleet: Fleet) -> NDArray[np.bool_]:
    """bool[N]: nodes of which a cluster holds anything."""
    around, row_of = access.service.control.around, fleet.nodes.index_of
    stored = around.store.snapshot(around.clock.now_s())
    found = np.zeros(len(fleet.nodes), np.bool_)
    found[[row_of[node_id] for node_id, _ in stored.allocations if node_id in row_of]] = True
    return found


def _power_of(fleet: Fleet, source: SourceNow) -> F64:
    if source.load is not None:
        return source.load.power_w
    return np.full((len(fleet.nodes), GPUS_PER_NODE_MAX), np.nan)


def _by_gpu(fleet: Fleet, values: F64) -> list[int]:
    is_there = np.arange(GPUS_PER_NODE_MAX) < fleet.gpu_count_of_node[:, None]
    found: list[int] = np.nan_to_num(values, nan=-1.0)[is_there].round().astype(int).tolist()
    return found


def _source(source: SourceNow) -> doc.LoadSource:
    load = source.load
    return doc.LoadSource(
        state=source.state,
        reason=source.reason,
        read_at=None if load is None else at(load.at_s),
        is_simulated=load is not None and load.is_simulated,
        reporting_gpu_count=0 if load is None else int((~np.isnan(load.power_w)).sum()),
        unknown_count=0 if load is None else load.unknown_count,
    )
