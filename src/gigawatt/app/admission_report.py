"""What an operator plans by: granted, held, free, waiting and turned away, by GPU type."""

from dataclasses import dataclass

import numpy as np

from gigawatt.app.admission import Admission
from gigawatt.app.line import supply_of
from gigawatt.identity.quota import Limits
from gigawatt.interfaces.turned_away import TurnedAwayDay
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.planner.snapshot import Snapshot
from gigawatt.units import DAY_S

TURNED_AWAY_DAYS = 7
"""Days of turned-away demand in the report."""


@dataclass(frozen=True, slots=True)
class TypeAdmission:
    """GPUs of one type, or of all types together.

    Fields:
        gpu_type: the type, "all" for the sum.
        gpu_count: in the fleet.
        blocked_gpu_count: on nodes that are drained or quarantined.
        held_gpu_count: held by clusters.
        free_gpu_count: that could be given now.
        granted_gpu_count: that all projects together may hold; for a type, at most of this one.
        waiting_count, waiting_gpu_count: requests that wait, and what they want.
        turned_away_count, turned_away_gpu_count: distinct wishes of the last days and their GPUs;
            plans that were only shown are not among them.
    """

    gpu_type: str
    gpu_count: int
    blocked_gpu_count: int
    held_gpu_count: int
    free_gpu_count: int
    granted_gpu_count: int
    waiting_count: int
    waiting_gpu_count: int
    turned_away_count: int
    turned_away_gpu_count: int

    @property
    def oversubscription_ratio(self) -> float | None:
        """GPUs granted for each that there is; None where there is none."""
        return self.granted_gpu_count / self.gpu_count if self.gpu_count else None


def admission_report(admission: Admission) -> tuple[TypeAdmission, ...]:
    """One line for all types together, then one for each."""
    view = admission.control.snapshot()
    grants = admission.limits.all_limits().values()
    waiting = admission.room.waiting()
    today = int(admission.now_s() // DAY_S)
    days = admission.book.days(today - TURNED_AWAY_DAYS + 1, today)
    creates = [day for day in days if day.origin != "plan"]
    lines = []
    for name in (None, *supply_of(view.fleet)):
        mine = [row for row in waiting if name in {None, row.gpu_type}]
        away = [day for day in creates if name in {None, day.gpu_type}]
        granted = sum(_grant(*grant, name) for grant in grants)
        lines.append(_line(view, name, granted, mine, away))
    return tuple(lines)


def _grant(gpu_count_max: int, limits: Limits, gpu_type: str | None) -> int:
    if gpu_type is None:
        return gpu_count_max
    return min(gpu_count_max, limits.gpu_count_max_by_type.get(gpu_type, gpu_count_max))


def _line(
    view: Snapshot,
    gpu_type: str | None,
    granted: int,
    waiting: list[WaitingRequest],
    away: list[TurnedAwayDay],
) -> TypeAdmission:
    fleet = view.fleet
    is_kind = np.array([gpu_type in {None, kind.gpu_type} for kind in fleet.node_types], np.bool_)
    mine = is_kind[fleet.nodes.type]
    blocked = np.zeros(len(fleet.nodes), np.bool_)
    rows = [fleet.nodes.index_of[n] for n in view.blocked_nodes if n in fleet.nodes.index_of]
    blocked[rows] = True
    row_of = fleet.nodes.index_of
    held = sum(
        member.gpu_mask.bit_count()
        for target in view.targets.values()
        for member in target.members
        if mine[row_of[member.node_id]]
    )
    return TypeAdmission(
        gpu_type=gpu_type or "all",
        gpu_count=int(fleet.gpu_count_of_node[mine].sum()),
        blocked_gpu_count=int(fleet.gpu_count_of_node[mine & blocked].sum()),
        held_gpu_count=held,
        free_gpu_count=int(np.bitwise_count(view.free_gpu_mask[mine]).sum()),
        granted_gpu_count=granted,
        waiting_count=len(waiting),
        waiting_gpu_count=sum(row.gpu_count for row in waiting),
        turned_away_count=sum(day.distinct_count for day in away),
        turned_away_gpu_count=sum(day.gpu_count for day in away),
    )
