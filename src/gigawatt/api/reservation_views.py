"""Reservations and free capacity as documents of the wire."""

from gigawatt.api.views import at, maybe_at
from gigawatt.app.market.capacity import CapacityView
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.market.gap import Gap, short_gpus
from gigawatt.market.meter import rounded_micro_usd
from gigawatt.sdk import documents as doc
from gigawatt.units import HOUR_S


def reservation_document(
    record: ReservationRecord, now_s: float, *, is_whole: bool = True
) -> doc.Reservation:
    """A reservation, with its nodes if it is whole."""
    promise = record.promise
    state: str = record.state
    if record.state == "booked" and now_s >= promise.from_s:
        state = "running" if now_s < promise.to_s else "ended"
    length_ms = round(1000 * (promise.to_s - promise.from_s))
    price = record.price_micro_usd_per_gpu_hour
    rated = record.gpu_count * price * length_ms
    return doc.Reservation.model_validate(
        {
            "id": record.reservation_id,
            "project_id": record.project_id,
            "name": record.name,
            "state": state,
            "gpu_type": record.gpu_type,
            "site_id": record.site_id,
            "fabric_id": record.fabric_id,
            "gpu_count": record.gpu_count,
            "growth_gpu_count": record.growth_gpu_count,
            "node_count": len(promise.node_ids),
            "leaf_group_count": record.leaf_group_count,
            "from_at": at(promise.from_s),
            "to_at": at(promise.to_s),
            "is_lent": promise.is_lent,
            "month_count": record.month_count,
            "price_micro_usd_per_gpu_hour": price,
            "amount_micro_usd": rounded_micro_usd(rated),
            "cancellation": doc.Cancellation(
                free_until=at(record.cancellation.free_until_s),
                charge_micro_usd=record.cancellation.charge_micro_usd,
            ),
            "planned_at": at(record.planned_s),
            "expires_at": at(record.expires_s) if record.state == "planned" else None,
            "booked_at": maybe_at(record.booked_s),
            "cancelled_at": maybe_at(record.cancelled_s),
            "charged_micro_usd": record.charged_micro_usd,
            "short_gpu_count": short_gpus(promise, record.gaps, now_s),
            "credited_micro_usd": rounded_micro_usd(
                price * record.short_gpu_ms(0, round(1000 * now_s))
            ),
            "gaps": [_gap(gap) for gap in record.gaps] if is_whole else None,
            "nodes": sorted(promise.node_ids) if is_whole else None,
            "growth_nodes": sorted(promise.growth_node_ids) if is_whole else None,
        }
    )


def _gap(gap: Gap) -> doc.ReservationGap:
    return doc.ReservationGap(
        node_id=gap.node_id,
        gpu_count=gap.gpu_count,
        is_growth=gap.is_growth,
        since=at(gap.since_s),
        until_at=maybe_at(gap.until_s),
        replaced_by=gap.replaced_by,
    )


def capacity_document(view: CapacityView, request: ReservationRequest) -> doc.Capacity:
    """What could start when."""
    return doc.Capacity(
        gpu_type=request.gpu_type,
        gpu_count=request.gpu_count,
        hours=request.length_s / HOUR_S,
        starts_at=maybe_at(view.starts_s),
        windows=[
            doc.CapacityWindow(from_at=at(window.from_s), free_gpu_count=window.free_gpu_count)
            for window in view.windows
        ],
        is_whole=view.is_whole,
    )
