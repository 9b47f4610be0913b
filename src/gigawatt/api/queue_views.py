"""Records of the queue, and of what was turned away, as documents of the wire."""

from gigawatt.api.views import at
from gigawatt.app.admission_report import TypeAdmission
from gigawatt.app.line import Place
from gigawatt.interfaces.turned_away import TurnedAway, TurnedAwayDay
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.sdk import documents as doc
from gigawatt.units import DAY_S, HOUR_S

EXPECTED_S_MAX = 3_650.0 * DAY_S
"""Longest expected wait that is given as a date."""


def waiting_document(
    waiting: WaitingRequest, place: Place | None, now_s: float
) -> doc.WaitingRequest:
    """A request that waits, or did; it names an operation only once that is committed."""
    is_started = waiting.state == "started"
    return doc.WaitingRequest(
        id=waiting.waiting_id,
        project_id=waiting.project_id,
        account_id=waiting.account_id,
        name=waiting.request.name,
        gpu_count=waiting.gpu_count,
        gpu_type=waiting.request.gpu_type,
        price_micro_usd_per_gpu_hour_max=waiting.price_micro_usd_per_gpu_hour_max,
        duration_s=waiting.duration_s,
        created_at=at(waiting.since_s),
        expires_at=at(waiting.expires_s),
        state=waiting.state,
        state_reason=waiting.state_reason,
        state_since=at(waiting.state_since_s),
        why=None if waiting.why is None else waiting.why.sentence,
        place=None if place is None else _place(place, now_s),
        launch_count=waiting.launch_count,
        cluster_id=waiting.cluster_id,
        operation_id=waiting.operation_id if is_started else None,
    )


def _place(place: Place, now_s: float) -> doc.WaitingPlace:
    wait_s = place.expected.wait_s
    # Dates end somewhere; so long a wait is as good as none that is known.
    is_near = wait_s is not None and wait_s < EXPECTED_S_MAX
    return doc.WaitingPlace(
        position=place.position,
        expected_at=at(now_s + wait_s) if wait_s is not None and is_near else None,
        expected_wait_s=wait_s,
        basis=place.expected.basis,
    )


def type_admission_document(line: TypeAdmission) -> doc.TypeAdmission:
    """Supply against demand of one GPU type."""
    return doc.TypeAdmission(
        gpu_type=line.gpu_type,
        gpu_count=line.gpu_count,
        blocked_gpu_count=line.blocked_gpu_count,
        held_gpu_count=line.held_gpu_count,
        free_gpu_count=line.free_gpu_count,
        granted_gpu_count=line.granted_gpu_count,
        oversubscription_ratio=line.oversubscription_ratio,
        waiting_count=line.waiting_count,
        waiting_gpu_count=line.waiting_gpu_count,
        turned_away_count=line.turned_away_count,
        turned_away_gpu_count=line.turned_away_gpu_count,
    )


def turned_away_document(row: TurnedAway) -> doc.TurnedAway:
    """A request that was not served."""
    return doc.TurnedAway(
        sequence=row.sequence,
        at=at(row.at_s),
        project_id=row.project_id,
        cause=row.cause,
        origin=row.origin,
        outcome=row.outcome,
        gpu_type=row.gpu_type,
        gpu_count=row.gpu_count,
        shape=row.shape,
        price_micro_usd_per_gpu_hour_max=row.price_micro_usd_per_gpu_hour_max,
        list_price_micro_usd_per_hour=row.list_price_micro_usd_per_hour,
        duration_s=row.duration_s,
        waited_s=row.waited_s,
        reasons=list(row.reasons),
    )


def turned_away_day_document(row: TurnedAwayDay) -> doc.TurnedAwayDay:
    """Sums of one day."""
    return doc.TurnedAwayDay(
        day=at(row.day * DAY_S).date(),
        gpu_type=row.gpu_type,
        gpu_count_from=row.gpu_count_from,
        cause=row.cause,
        origin=row.origin,
        request_count=row.request_count,
        distinct_count=row.distinct_count,
        gpu_count=row.gpu_count,
        gpu_hours=row.gpu_s / HOUR_S,
        timed_count=row.timed_count,
        list_price_micro_usd_per_hour=row.list_price_micro_usd_per_hour,
    )
