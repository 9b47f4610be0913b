"""The reconciler: passes over the whole fleet, what they found, and what is owed now."""

from typing import Any

from gigawatt.api.access import Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.routes.passes import SHOWN_MAX, Wait
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import at, maybe_at
from gigawatt.app.passes import FleetPass
from gigawatt.app.reconciling import DONE, FAILED, owed_now, reconcile_for
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.interfaces.store import Event
from gigawatt.interfaces.trail import EventFilter
from gigawatt.planner.plan import Plan
from gigawatt.sdk import documents as doc

router = new_router("passes")

FLEET = "fleet"
"""Scope of a pass: all there is."""


def _reconciliation(found: FleetPass[Reconciliation]) -> doc.Reconciliation:
    report, result = found.outcome, None
    if report is not None:
        result = doc.ReconciliationResult(
            is_converged=report.is_converged,
            resumed_operation_ids=list(report.resumed[:SHOWN_MAX]),
            drift_count=len(report.drift),
            drift=report.drift[:SHOWN_MAX],
            repaired_count=len(report.repaired),
            repaired=report.repaired[:SHOWN_MAX],
            remaining_count=len(report.remaining),
            remaining=report.remaining[:SHOWN_MAX],
            silent_device_count=len(report.silent),
            silent_devices=list(report.silent[:SHOWN_MAX]),
        )
    return doc.Reconciliation(
        id=found.pass_id,
        state=found.state,
        state_reason=found.error,
        started_at=at(found.started_s),
        result=result,
    )


@operation(router, "POST", "/reconciliations", 202)
def create_reconciliation(access: Allowed) -> doc.Reconciliation:
    """Begin a pass: read every device back, repair what drifted, finish what was left open."""
    access.permit()
    service = access.service
    worker, by = f"{service.worker.name}:reconcile", access.caller.account.account_id
    begun = service.reconciliations.begin(
        FLEET, service.now_s(), lambda: reconcile_for(service.control, worker, by)
    )
    return _reconciliation(begun)


@operation(router, "GET", "/reconciliations")
def list_reconciliations(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.ReconciliationRecord]:
    """Passes that found something, broke off, or were asked for; the newest first."""
    access.permit()
    found = access.service.trail.events(
        access.reach(),
        EventFilter(kinds=frozenset({DONE, FAILED})),
        number_place(cursor, NEWEST),
        limit + 1,
        newest_first=True,
    )
    return page_of(found, limit, lambda row: row.sequence, _record)


def _record(event: Event) -> doc.ReconciliationRecord:
    data = event.data
    lines: dict[str, Any] = data.get("lines", {})
    return doc.ReconciliationRecord(
        sequence=event.sequence,
        at=at(event.at_s),
        state="done" if event.kind == DONE else "failed",
        by=data.get("by", ""),
        reason=data.get("reason", "" if event.kind == DONE else event.message),
        resumed_count=data.get("resumed", 0),
        drift_count=data.get("drift", 0),
        repaired_count=data.get("repaired", 0),
        remaining_count=data.get("remaining", 0),
        silent_device_count=data.get("silent", 0),
        resumed_operation_ids=lines.get("resumed", []),
        drift=lines.get("drift", []),
        repaired=lines.get("repaired", []),
        remaining=lines.get("remaining", []),
        silent_devices=lines.get("silent", []),
    )


@operation(router, "GET", "/reconciliations/{reconciliation_id}")
async def get_reconciliation(
    reconciliation_id: str, access: Allowed, wait_s: Wait = 0.0
) -> doc.Reconciliation:
    """A pass; answers when it is done, or after ``wait_s``."""
    access.permit()
    found = access.service.reconciliations.get(reconciliation_id)
    await found.wait(wait_s)
    return _reconciliation(found)


def _name_of(plan: Plan) -> str:
    target = plan.after or plan.before
    return "" if target is None else target.name


@operation(router, "GET", "/reconciler")
def get_reconciler(access: Allowed) -> doc.Reconciler:
    """How the reconciler stands, and what is owed to devices now."""
    access.permit()
    service = access.service
    around, upkeep = service.control.around, service.upkeep
    duty, owed = upkeep.duty(), owed_now(around)
    from_s = None if duty is None else duty.done_s
    is_regular = upkeep.period_s > 0.0
    asked = service.reconciliations.running(FLEET)
    return doc.Reconciler(
        period_s=upkeep.period_s,
        counts_from=maybe_at(from_s),
        next_at=at(from_s + upkeep.period_s) if from_s is not None and is_regular else None,
        running_on=None if duty is None else duty.worker,
        asked_pass_id=None if asked is None else asked.pass_id,
        stuck_operations=[
            doc.StuckOperation(
                operation_id=one.operation_id,
                cluster_id=one.cluster_id,
                cluster_name=_name_of(one.plan),
                kind=one.kind.value,
                error=one.error,
                started_at=at(one.started_s),
            )
            for one in owed.stuck
        ],
        absence_count=len(owed.absences),
        absences=[
            doc.OwedAbsence(cluster_id=one.cluster_id, device=one.entry.device, key=one.entry.key)
            for one in owed.absences[:SHOWN_MAX]
        ],
    )
