"""The queue at one moment: the standing of projects, positions, and expected times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.app.admission import Admission, held_by_type
from gigawatt.fleet.model import I64, Fleet
from gigawatt.ids import TenantId
from gigawatt.intent.forecast import WINDOWS_S, Demand, Forecast, Freed, forecast
from gigawatt.intent.queue import Standing, Waiter, before, line_up
from gigawatt.intent.term import Term
from gigawatt.interfaces.codec import request_to_json
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.planner.snapshot import Snapshot

UNLIMITED_GPU_COUNT = 1 << 40
"""What a tenant without a project may hold."""


def waiter_of(waiting: WaitingRequest) -> Waiter:
    """A waiting request as the queue sees it."""
    return Waiter(
        waiting_id=waiting.waiting_id,
        project_id=waiting.project_id,
        gpu_count=waiting.gpu_count,
        gpu_type=waiting.gpu_type,
        places=waiting.places,
        since_s=waiting.since_s,
        front_since_s=waiting.front_since_s,
        profile=_profile(waiting),
    )


def _profile(waiting: WaitingRequest) -> str:
    """Everything that placement looks at; equal questions get equal answers."""
    request = waiting.request
    price_max = waiting.price_micro_usd_per_gpu_hour_max
    if request.excluded_node_ids or request.near_cluster_id:
        return ""
    document = request_to_json(request)
    document = document.replace(f'"{request.name}"', '""')
    if price_max is None:
        return document.replace(f'"{request.tenant_id}"', '""')
    # Projects may have negotiated prices, so that one may afford what another may not.
    return f"{document} {price_max}"


def supply_of(fleet: Fleet) -> dict[str, int]:
    """GPUs that there are, by type."""
    found: dict[str, int] = {}
    for row, kind in enumerate(fleet.node_types):
        count = int(fleet.gpu_count_of_node[fleet.nodes.type == row].sum())
        found[kind.gpu_type] = found.get(kind.gpu_type, 0) + count
    return found


def free_by_place(view: Snapshot) -> dict[str, int]:
    """Free GPUs by GPU type and fabric, see ``Admission.places_of``."""
    fleet = view.fleet
    free: I64 = np.bitwise_count(view.free_gpu_mask).astype(np.int64)
    found: dict[str, int] = {}
    for type_row, kind in enumerate(fleet.node_types):
        for fabric, fabric_id in enumerate(fleet.fabrics.ids):
            mine = (fleet.nodes.type == type_row) & (fleet.fabric_of_node == fabric)
            place = f"{kind.gpu_type}@{fabric_id}"
            found[place] = found.get(place, 0) + int(free[mine].sum())
    return found


def standings_of(
    admission: Admission, view: Snapshot, projects: frozenset[TenantId]
) -> dict[TenantId, Standing]:
    """What some projects hold and may hold; a project weighs as much as it is granted."""
    granted = admission.limits.all_limits()
    found = {}
    for project_id in sorted(projects):
        mine = [t for t in view.targets.values() if t.tenant_id == project_id]
        held = held_by_type(view.fleet, mine)
        if project_id in granted:
            most = granted[project_id][0]
            room = most - sum(held.values())
            found[project_id] = Standing(max(1.0, float(most)), held, room)
        else:
            found[project_id] = Standing(1.0, held, UNLIMITED_GPU_COUNT)
    return found


def in_line(admission: Admission, waiting: Sequence[WaitingRequest]) -> tuple[WaitingRequest, ...]:
    """Requests in the order in which they would start; those that limits hold back left out."""
    view, by_id = admission.control.snapshot(), {str(row.waiting_id): row for row in waiting}
    line = line_up(
        [waiter_of(row) for row in waiting],
        standings_of(admission, view, frozenset(row.project_id for row in waiting)),
        supply_of(view.fleet),
        admission.policy,
        admission.now_s(),
    )
    return tuple(by_id[waiter.waiting_id] for waiter in line)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands in the queue; position None when its limits hold it back."""

    position: int | None
    expected: Forecast


class Line:
    """The queue at one moment."""

    def __init__(self, admission: Admission) -> None:
        """Read the queue, the fleet and the grants once."""
        self._now_s = admission.now_s()
        # Bids of spot stand in no line: what they pay decides.
        found = [w for w in admission.room.waiting() if w.request.term is not Term.SPOT]
        view = admission.control.snapshot()
        projects = frozenset(waiting.project_id for waiting in found)
        self._free = free_by_place(view)
        self._line = line_up(
            [waiter_of(waiting) for waiting in found],
            standings_of(admission, view, projects),
            supply_of(view.fleet),
            admission.policy,
            self._now_s,
        )
        self._waiters = {waiter.waiting_id: waiter for waiter in self._line}
        self._freed, self._recorded_s = admission.room.freed(self._now_s - WINDOWS_S[-1])

    def place_of(self, waiting: WaitingRequest) -> Place | None:
        """Where a request stands; None when it does not wait any more."""
        if waiting.state != "waiting":
            return None
        if waiting.request.term is Term.SPOT:
            return Place(None, Forecast(None, "it bids in every round; the best bids win"))
        waiter = self._waiters.get(waiting.waiting_id)
        if waiter is None or (waiting.why is not None and waiting.why.kind == "limit"):
            why = "its project's limits hold it back, and nobody knows when that ends"
            return Place(None, Forecast(None, why))
        ahead = before(self._line, waiter)
        if waiting.why is None:
            return Place(1 + len(ahead), Forecast(None, "it has not been tried yet"))
        demand = Demand(
            own_gpu_count=waiter.gpu_count,
            ahead_gpu_count=sum(other.gpu_count for other in ahead),
            free_gpu_count=sum(self._free.get(place, 0) for place in waiter.places),
        )
        types = {place.partition("@")[0] for place in waiter.places}
        freed: list[Freed] = [row for row in self._freed if row.gpu_type in types]
        expected = forecast(demand, freed, self._recorded_s, self._now_s)
        return Place(1 + len(ahead), expected)


def outlook(
    admission: Admission, view: Snapshot, places: frozenset[str], gpu_count: int
) -> Forecast:
    """When a request that is sent now could start: it would come after everybody who waits."""
    now_s = admission.now_s()
    ahead = [waiting for waiting in admission.room.waiting() if waiting.places & places]
    free = free_by_place(view)
    demand = Demand(
        own_gpu_count=gpu_count,
        ahead_gpu_count=sum(waiting.gpu_count for waiting in ahead),
        free_gpu_count=sum(free.get(place, 0) for place in places),
    )
    types = {place.partition("@")[0] for place in places}
    found, recorded_s = admission.room.freed(now_s - WINDOWS_S[-1])
    freed = [row for row in found if row.gpu_type in types]
    return forecast(demand, freed, recorded_s, now_s)
