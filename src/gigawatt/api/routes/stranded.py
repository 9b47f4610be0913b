"""What of the fleet is free and cannot be given, and what would change it."""

from gigawatt.api.access import Allowed
from gigawatt.api.routes.utilisation import sources_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.holdings import FleetHoldings, holdings_of
from gigawatt.app.market.unplaceable import TypeLost, unplaceable
from gigawatt.app.market.utilisation import asked_in
from gigawatt.sdk import documents as doc
from gigawatt.units import DAY_S

router = new_router("fleet")

ASKED_DAYS = 7
"""Days in which a refusal counts as demand for its size. Ours: as the page of demand has it."""

OUT_NODES_SHOWN_MAX = 100
"""Nodes out of service that are named; the count is of all. Ours."""


@operation(router, "GET", "/fleet/stranded")
def get_stranded(access: Allowed) -> doc.Stranded:
    """Free GPUs by what they are of use for, and what would make more of them so."""
    access.permit()
    around, now_s = access.service.control.around, access.service.now_s()
    stored = around.store.snapshot(now_s)
    now = holdings_of(around.fleet, stored)
    since_ms = round((now_s - ASKED_DAYS * DAY_S) * 1000)
    asked = asked_in(sources_of(access), since_ms, round(now_s * 1000) + 1)
    found = unplaceable(stored, now, asked, access.service.control.notice_policy, now_s)
    return doc.Stranded(types=[_type(one, now) for one in found])


def _type(found: TypeLost, now: FleetHoldings) -> doc.TypeRoom:
    return doc.TypeRoom(
        node_type=found.node_type,
        gpu_type=found.gpu_type,
        site_id=found.site_id,
        gpus_per_node=found.gpus_per_node,
        gpu_count=found.gpu_count,
        placeable_gpu_count=found.placeable_gpu_count,
        promised_gpu_count=found.promised_gpu_count,
        leaving_gpu_count=found.leaving_gpu_count,
        out_gpu_count=found.out_gpu_count,
        held_gpu_count=found.held_gpu_count,
        part_gpu_count=found.part_gpu_count,
        sizes=[
            doc.SizeRoom(
                gpu_count=one.gpu_count,
                fit_count=one.fit.fit_count,
                in_part_gpu_count=one.fit.stranded.in_part,
                too_few_gpu_count=one.fit.stranded.too_few,
                asked_count=one.asked_count,
            )
            for one in found.sizes
        ],
        fabrics=[
            doc.FabricRoom(fabric_id=one.fabric_id, whole_node_count=one.whole_node_count)
            for one in found.fabrics
        ],
        emptied=[
            doc.NodeEmptied(
                node_id=one.node_id,
                cluster_ids=list(one.cluster_ids),
                cluster_names=[
                    now.clusters[name].name if name in now.clusters else ""
                    for name in one.cluster_ids
                ],
                moved_gpu_count=one.moved_gpu_count,
                gained_gpu_count=one.gained_gpu_count,
                to_node_ids=list(one.to_node_ids),
            )
            for one in found.emptied
        ],
        out_nodes=[
            doc.NodeOut(node_id=node_id, state=state, state_reason=reason)
            for node_id, state, reason in found.out_nodes[:OUT_NODES_SHOWN_MAX]
        ],
        out_node_count=len(found.out_nodes),
    )
