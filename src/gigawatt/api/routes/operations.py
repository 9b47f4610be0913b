"""Operations: what is under way, how far, and turning back."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import operation_document
from gigawatt.errors import ConflictError
from gigawatt.ids import ClusterId
from gigawatt.interfaces.directory import OperationLine
from gigawatt.sdk import documents as doc

router = new_router("operations")


@operation(router, "GET", "/operations")
def list_operations(
    access: Allowed,
    cluster_id: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Operation]:
    """Operations that the caller sees, newest first."""
    found = access.service.directory.operation_page(
        access.reach(),
        number_place(cursor, NEWEST),
        limit + 1,
        None if cluster_id is None else ClusterId(cluster_id),
    )
    return page_of(found, limit, lambda row: row.opened_generation, operation_document)


def _progress(access: Access, line: OperationLine) -> list[doc.StageProgress]:
    """Steps done of every stage and plane, from the journal."""
    store = access.service.control.around.store
    plan = store.operation(line.operation_id).plan
    done = {k for k, (state, _) in store.journal(line.operation_id).items() if state == "done"}
    stages = []
    for stage in plan.stages:
        planes: dict[str, tuple[int, int]] = {}
        for step in stage.steps:
            done_count, step_count = planes.get(step.plane.value, (0, 0))
            planes[step.plane.value] = (done_count + (step.key in done), step_count + 1)
        stages.append(
            doc.StageProgress(
                name=stage.name,
                done_count=sum(done_count for done_count, _ in planes.values()),
                step_count=len(stage.steps),
                planes={
                    plane: doc.PlaneProgress(done_count=counts[0], step_count=counts[1])
                    for plane, counts in planes.items()
                },
            )
        )
    return stages


@operation(router, "GET", "/operations/{operation_id}")
def get_operation(operation_id: str, access: Allowed) -> doc.Operation:
    """One operation, with its progress by stage and plane."""
    line = access.operation_line(operation_id)
    return operation_document(line, _progress(access, line))


@operation(router, "POST", "/operations/{operation_id}:cancel", 202)
def cancel_operation(operation_id: str, access: Allowed) -> doc.Operation:
    """Undo a launch or a grow that is under way; whoever carries it on turns back."""
    line = access.operation_line(operation_id)
    if line.state == "unwinding":
        return operation_document(line)
    if line.state != "applying":
        raise ConflictError(f"operation {operation_id!r} is {line.state}, wanted applying")
    if not line.kind.is_reversible:
        raise ConflictError(
            f"operation {operation_id!r} is a {line.kind.value}, which only goes forward",
            next_step="Wait for its end; a launch or a grow can be cancelled.",
        )
    service = access.service
    service.directory.ask_cancel(
        line.operation_id, access.caller.account.account_id, service.now_s()
    )
    service.worker.wake()
    access.before = {"operation_id": line.operation_id, "state": line.state}
    access.after = {"operation_id": line.operation_id, "state": "asked to unwind"}
    return operation_document(line)
