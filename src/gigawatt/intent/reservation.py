"""What a tenant asks for when it wants capacity for a time that is known before."""

from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.ids import SiteId, TenantId
from gigawatt.intent.request import (
    GPUS_PER_CLUSTER_MAX,
    PRICE_MICRO_USD_MAX,
    ClusterRequest,
    Level,
    check_request,
)
from gigawatt.units import DAY_S, HOUR_S

MONTH_S = 30.0 * DAY_S
"""A month of a reservation, for the rate card and for the longest one. Ours: of one length, so
that a term does not depend on the day it begins."""
LENGTH_S_MIN, LENGTH_S_MAX = 1.0 * HOUR_S, 60.0 * MONTH_S + 30.0 * DAY_S
"""Shortest and longest: an hour, and five years of 365 days with some days to spare. Ours."""
AHEAD_S_MAX = 5.0 * 365.0 * DAY_S
"""How far ahead the start may lie. Ours: a fleet is renewed in that time."""


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """One tenant's wish for whole nodes from a moment to another.

    Fields:
        tenant_id: whose.
        name: RFC 1123 label, for people.
        gpu_count: GPUs paid for, whole nodes.
        gpu_type: "h100" and so on.
        from_s: start in Unix seconds, None for at once.
        length_s: seconds, an hour to 60 months.
        growth_gpu_count: GPUs kept free beside them, for growth at the price of the day.
        is_lent: whether others may use it, on call, while the tenant does not.
        site_ids: sites allowed; empty allows all.
        keep_together: widest level the nodes may span.
        price_micro_usd_per_gpu_hour_max: the most that one may cost, None for any.
    """

    tenant_id: TenantId
    name: str
    gpu_count: int
    gpu_type: str
    from_s: float | None
    length_s: float
    growth_gpu_count: int = 0
    is_lent: bool = False
    site_ids: tuple[SiteId, ...] = ()
    keep_together: Level = Level.FABRIC
    price_micro_usd_per_gpu_hour_max: int | None = None

    @property
    def month_count(self) -> int:
        """Whole months, for the rate card; 0 for less than one."""
        return min(60, int(self.length_s // MONTH_S))


def check_reservation_request(request: ReservationRequest, now_s: float) -> None:
    """Refuse a wish that is wrong whatever is free.

    Raises:
        InputError: names every field that is wrong, what it is and what was wanted.
    """
    bad = []
    # Not a number compares false with everything, so what is wanted is asked for.
    if not LENGTH_S_MIN <= request.length_s <= LENGTH_S_MAX:
        bad.append(
            f"it lasts {request.length_s / HOUR_S:,.2f} h, wanted {LENGTH_S_MIN / HOUR_S:,.0f} to"
            f" {LENGTH_S_MAX / HOUR_S:,.0f}"
        )
    if request.from_s is not None and not 0.0 <= request.from_s - now_s <= AHEAD_S_MAX:
        bad.append(
            f"it begins {(request.from_s - now_s) / DAY_S:,.1f} days from now, wanted 0 to"
            f" {AHEAD_S_MAX / DAY_S:,.0f}"
        )
    if not 0 <= request.growth_gpu_count <= GPUS_PER_CLUSTER_MAX:
        bad.append(
            f"growth_gpu_count is {request.growth_gpu_count}, wanted 0 to {GPUS_PER_CLUSTER_MAX:,}"
        )
    most = request.price_micro_usd_per_gpu_hour_max
    if most is not None and not 0 <= most <= PRICE_MICRO_USD_MAX:
        bad.append(f"the highest price is {most}, wanted 0 to {PRICE_MICRO_USD_MAX:,} micro-USD")
    if bad:
        raise InputError(f"reservation {request.name!r}: " + "; ".join(bad))
    check_request(cluster_of(request, request.gpu_count))


def cluster_of(request: ReservationRequest, gpu_count: int) -> ClusterRequest:
    """The cluster that would need as many GPUs of a reservation: what placement is asked for."""
    return ClusterRequest(
        tenant_id=request.tenant_id,
        name=request.name,
        gpu_count=gpu_count,
        gpu_type=request.gpu_type,
        site_ids=request.site_ids,
        keep_together=request.keep_together,
    )
