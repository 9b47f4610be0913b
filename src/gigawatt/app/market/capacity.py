"""Free capacity over time, for everybody who plans: what could start when."""

from dataclasses import dataclass, replace

import numpy as np

from gigawatt.app.market.room import Room
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.intent.reservation import ReservationRequest, check_reservation_request, cluster_of
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement

WINDOW_COUNT_MAX = 200
"""Moments that are looked at in one answer. Ours."""

TRY_COUNT_MAX = 32
"""Placements tried for one answer. Ours: each takes milliseconds in a large fleet."""


@dataclass(frozen=True, slots=True)
class CapacityWindow:
    """GPUs of whole nodes that can be promised from a moment on, for the length that was asked."""

    from_s: float
    free_gpu_count: int


@dataclass(frozen=True, slots=True)
class CapacityView:
    """What could start when.

    Fields:
        starts_s: the first moment at which what was asked fits, by topology; None for none.
        windows: free GPUs at each moment at which they change, in order.
        is_whole: whether every such moment was looked at.
    """

    starts_s: float | None
    windows: tuple[CapacityWindow, ...]
    is_whole: bool


def capacity_view(
    room: Room, request: ReservationRequest, until_s: float | None = None
) -> CapacityView:
    """When a reservation could start.

    Args:
        room: what can be promised.
        request: what is wanted; ``from_s`` is the first moment to look at.
        until_s: the last start to look at, Unix seconds; None for no bound.

    Raises:
        InputError: the wish is wrong, or there is no such GPU type.
        UnknownIdError: a site is not in the fleet.
    """
    check_reservation_request(request, room.now_s)
    from_s = room.now_s if request.from_s is None else request.from_s
    if until_s is not None and not until_s >= from_s:
        raise InputError(f"the last start is {from_s - until_s:,.0f} s before the first")
    mine = _mine(room.fleet, request)
    last_s = float("inf") if until_s is None else until_s
    moments = [from_s, *(s for s in room.turns_s() if from_s < s <= last_s)]
    windows: list[CapacityWindow] = []
    starts_s, tries = None, 0
    for moment_s in moments[:WINDOW_COUNT_MAX]:
        free = np.where(mine, room.mask(moment_s, moment_s + request.length_s), 0)
        count = int(np.bitwise_count(free).sum())
        if not windows or windows[-1].free_gpu_count != count:
            windows.append(CapacityWindow(moment_s, count))
        if starts_s is None and count >= request.gpu_count and tries < TRY_COUNT_MAX:
            tries += 1
            wish = replace(cluster_of(request, request.gpu_count), name="capacity")
            if isinstance(place(room.fleet, free.astype(np.uint16), wish), Placement):
                starts_s = moment_s
    is_whole = len(moments) <= WINDOW_COUNT_MAX and (starts_s is not None or tries < TRY_COUNT_MAX)
    return CapacityView(starts_s, tuple(windows), is_whole)


def _mine(fleet: Fleet, request: ReservationRequest) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Nodes that a wish may use."""
    kinds = [row for row, kind in enumerate(fleet.node_types) if kind.gpu_type == request.gpu_type]
    if not kinds:
        known = ", ".join(sorted({kind.gpu_type for kind in fleet.node_types}))
        raise InputError(f"there are no {request.gpu_type!r} GPUs, there are {known}")
    mine = np.isin(fleet.nodes.type, kinds)
    if request.site_ids:
        sites = [fleet.sites.index_of[s] for s in request.site_ids if s in fleet.sites.index_of]
        mine &= np.isin(fleet.site_of_node, sites)
    return mine
