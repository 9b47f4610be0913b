"""Rounds of spot and notices as documents of the wire."""

from gigawatt.api.views import at, maybe_at
from gigawatt.app.service import Service
from gigawatt.ids import ClusterId
from gigawatt.interfaces.spot import Notice, SpotRoundRecord
from gigawatt.sdk import documents as doc


def round_document(found: SpotRoundRecord) -> doc.SpotRound:
    """A round."""
    return doc.SpotRound(
        sequence=found.sequence,
        at=at(found.at_s),
        gpu_type=found.gpu_type,
        site_id=found.site_id,
        price_micro_usd_per_gpu_hour=found.price_micro_usd_per_gpu_hour,
        floor_micro_usd_per_gpu_hour=found.floor_micro_usd_per_gpu_hour,
        offered_gpu_count=found.offered_gpu_count,
        sold_gpu_count=found.sold_gpu_count,
        bid_count=found.bid_count,
    )


def open_notices(service: Service, cluster_id: ClusterId) -> list[doc.Notice]:
    """Nodes of a cluster that are asked back now."""
    now_s = service.now_s()
    return [
        notice_document(notice, now_s)
        for notice in service.market.spot.notices_of(cluster_id)
        if notice.state in {"given", "begun"}
    ]


def notice_document(notice: Notice, now_s: float) -> doc.Notice:
    """A notice, with what is left of it."""
    is_open = notice.state == "given"
    return doc.Notice(
        id=notice.notice_id,
        cluster_id=notice.cluster_id,
        project_id=notice.project_id,
        nodes=sorted(notice.node_ids),
        cause=notice.cause,
        reason=notice.reason,
        given_at=at(notice.given_s),
        deadline_at=at(notice.deadline_s),
        seconds_left=max(0.0, notice.deadline_s - now_s) if is_open else 0.0,
        state=notice.state,
        state_since=at(notice.state_since_s),
        answer=notice.answer,
        answered_at=maybe_at(notice.answered_s),
    )
