"""What is only ever added to: the journal of steps, the evidence and the audit trail."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.ids import ClusterId, OperationId, TenantId
from gigawatt.interfaces.store import Event, OperationRecord, StepState
from gigawatt.store.schema import events, evidence, step_journal

EVENTS_PER_READ_MAX = 10_000


def write_steps(
    connection: Connection,
    operation_id: OperationId,
    outcomes: Sequence[tuple[str, StepState, str]],
    now_s: float,
) -> None:
    """Append (step key, state, detail) lines."""
    rows = [
        {
            "operation_id": operation_id,
            "step_key": step_key,
            "state": state,
            "detail": detail,
            "at_s": now_s,
        }
        for step_key, state, detail in outcomes
    ]
    if rows:
        connection.execute(insert(step_journal), rows)


def read_steps(
    connection: Connection, operation_id: OperationId
) -> Mapping[str, tuple[StepState, str]]:
    """Last state and detail of every step, in order of first appearance."""
    columns = step_journal.c
    query = select(columns.step_key, columns.state, columns.detail).where(
        columns.operation_id == operation_id
    )
    rows = connection.execute(query.order_by(columns.sequence))
    return {step_key: (state, detail) for step_key, state, detail in rows}


def add_evidence(
    connection: Connection,
    operation: OperationRecord,
    kind: str,
    document: Mapping[str, Any],
    now_s: float,
) -> None:
    """Keep a JSON document with the cluster of an operation.

    Raises:
        UnknownIdError: no such operation.
    """
    row = {
        "cluster_id": operation.cluster_id,
        "operation_id": operation.operation_id,
        "kind": kind,
        "at_s": now_s,
        "document": json.dumps(dict(document)),
    }
    _insert(connection, evidence, row, operation)


def _insert(
    connection: Connection, table: Table, row: dict[str, Any], operation: OperationRecord | None
) -> None:
    try:
        connection.execute(insert(table), row)
    except IntegrityError as error:
        assert operation is not None, "a row that names nothing cannot name what is not there"
        raise UnknownIdError(f"no operation {operation.operation_id!r}") from error


def read_evidence(connection: Connection, cluster_id: ClusterId) -> tuple[Mapping[str, Any], ...]:
    """Evidence of a cluster, oldest first, each document with its "kind" and "at_s"."""
    query = select(evidence).where(evidence.c.cluster_id == cluster_id)
    rows = connection.execute(query.order_by(evidence.c.sequence))
    return tuple({**json.loads(row.document), "kind": row.kind, "at_s": row.at_s} for row in rows)


def add_event(
    connection: Connection,
    kind: str,
    message: str,
    now_s: float,
    *,
    operation: OperationRecord | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Append a line to the audit trail.

    Raises:
        UnknownIdError: no such operation.
    """
    row = {
        "at_s": now_s,
        "cluster_id": None if operation is None else operation.cluster_id,
        "operation_id": None if operation is None else operation.operation_id,
        "kind": kind,
        "message": message,
        "data": json.dumps(dict(data or {})),
    }
    _insert(connection, events, row, operation)


def add_cluster_event(
    connection: Connection,
    cluster_id: ClusterId,
    kind: str,
    message: str,
    now_s: float,
    data: Mapping[str, Any],
) -> None:
    """Append a line about a cluster and no operation of it."""
    row = {
        "at_s": now_s,
        "cluster_id": cluster_id,
        "kind": kind,
        "message": message,
        "data": json.dumps(dict(data)),
    }
    _insert(connection, events, row, None)


def add_project_event(
    connection: Connection,
    project_id: TenantId,
    kind: str,
    message: str,
    now_s: float,
    data: Mapping[str, Any],
) -> None:
    """Append a line about a project and no cluster; who sees the project sees it."""
    row = {
        "at_s": now_s,
        "project_id": project_id,
        "kind": kind,
        "message": message,
        "data": json.dumps(dict(data)),
    }
    _insert(connection, events, row, None)


def read_events(
    connection: Connection, cluster_id: ClusterId | None, after_sequence: int, limit: int
) -> tuple[Event, ...]:
    """Lines of the audit trail, in order.

    Raises:
        InputError: ``limit`` is not 1 to 10,000.
    """
    if not 1 <= limit <= EVENTS_PER_READ_MAX:
        raise InputError(f"limit of events is {limit}, wanted 1 to {EVENTS_PER_READ_MAX:,}")
    query = select(events).where(events.c.sequence > after_sequence)
    if cluster_id is not None:
        query = query.where(events.c.cluster_id == cluster_id)
    rows = connection.execute(query.order_by(events.c.sequence).limit(limit))
    return tuple(
        Event(
            sequence=row.sequence,
            at_s=row.at_s,
            cluster_id=row.cluster_id,
            operation_id=row.operation_id,
            kind=row.kind,
            message=row.message,
            data=json.loads(row.data),
        )
        for row in rows
    )
