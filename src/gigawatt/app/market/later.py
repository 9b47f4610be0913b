"""Later starts: when somebody who does not find room now could begin, by the calendar."""

from collections.abc import Iterable

from gigawatt.app.market.capacity import capacity_view
from gigawatt.app.market.room import Room
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.model import Fleet
from gigawatt.intent.amounts import minute_words
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.reservation import ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.units import HOUR_S

LENGTH_S = 24.0 * HOUR_S
"""For how long a later start is sought where nobody said for how long. Ours: a day of work."""


def earliest_s(room: Room, wish: ReservationRequest) -> float | None:
    """The first moment at which a reservation could start; None where none is known."""
    try:
        return capacity_view(room, wish).starts_s
    except (InputError, UnknownIdError):
        # Too short or too long, or not of whole nodes: nobody could reserve it.
        return None


def whole_nodes(gpu_count: int, gpus_per_node: int) -> int:
    """GPUs of so many whole nodes as a count needs: what can be reserved.

    Example:
        >>> whole_nodes(4, 8), whole_nodes(17, 8)
        (8, 24)
    """
    return -(-gpu_count // gpus_per_node) * gpus_per_node


def later_start(room: Room, request: ClusterRequest) -> str | None:
    """When what does not fit now could start as a reservation, for people; None if never known.

    Only for who asks on demand: spot is bid for, and a reservation has its own nodes.
    """
    if request.term is not Term.ON_DEMAND:
        return None
    found = [
        (starts_s, gpu_type)
        for gpu_type, gpus_per_node in _types(room.fleet, request)
        if (starts_s := _starts_s(room, request, gpu_type, gpus_per_node)) is not None
    ]
    if not found:
        return None
    starts_s, gpu_type = min(found)
    hours = LENGTH_S / HOUR_S
    return f"the same of {gpu_type} for {hours:,.0f} h from {minute_words(starts_s)}, reserved"


def _starts_s(
    room: Room, request: ClusterRequest, gpu_type: str, gpus_per_node: int
) -> float | None:
    gpu_count = whole_nodes(request.gpu_count, gpus_per_node)
    wish = ReservationRequest(
        tenant_id=request.tenant_id,
        name=request.name,
        gpu_count=gpu_count + request.spare_count * gpus_per_node,
        gpu_type=gpu_type,
        from_s=None,
        length_s=LENGTH_S,
        site_ids=request.site_ids,
        keep_together=request.keep_together,
    )
    return earliest_s(room, wish)


def _types(fleet: Fleet, request: ClusterRequest) -> Iterable[tuple[str, int]]:
    """GPU types that a request may be served by, with the GPUs of a node."""
    kinds = {kind.gpu_type: kind.gpu_count for kind in fleet.node_types}
    return [row for row in sorted(kinds.items()) if request.gpu_type in {None, row[0]}]
