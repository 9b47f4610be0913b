"""Rows of what the API remembers: shown plans and idempotent requests."""

import json

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, DataError, KeyReusedError, UnknownIdError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import OperationId, PlanId
from gigawatt.interfaces.codec import plan_from_json, plan_to_json
from gigawatt.interfaces.directory import KeptAnswer, OpenedRequest, Try
from gigawatt.planner.plan import Plan
from gigawatt.store.directory_schema import requests, shown_plans
from gigawatt.store.replica_schema import heartbeats
from gigawatt.units import DAY_S

PLAN_KEPT_S = DAY_S
"""How long an expired plan can still be looked at. Ours."""

ANSWER_KEPT_S = DAY_S
"""How long an answer is kept. Source: docs.stripe.com, "Idempotent requests": at least 24 hours."""


def keep_plan(connection: Connection, plan: Plan) -> None:
    """Keep a plan, and drop those that expired long ago."""
    old = shown_plans.c.expires_s < plan.created_s - PLAN_KEPT_S
    connection.execute(delete(shown_plans).where(old))
    row = {"plan_id": plan.plan_id, "expires_s": plan.expires_s, "plan": plan_to_json(plan)}
    connection.execute(insert(shown_plans), row)


def read_plan(connection: Connection, plan_id: PlanId) -> Plan:
    """A plan that was shown.

    Raises:
        UnknownIdError: there is none.
    """
    query = select(shown_plans.c.plan).where(shown_plans.c.plan_id == plan_id)
    text = connection.execute(query).scalar_one_or_none()
    if text is None:
        raise UnknownIdError(f"no plan {plan_id!r}", next_step="Make a new plan.")
    try:
        return plan_from_json(text)
    except DataError as error:
        raise DataError(f"the row of plan {plan_id!r} is damaged: {error}") from error


def open_request(
    connection: Connection,
    whose: tuple[AccountId, str],
    digest: str,
    drawn: Try,
    now_s: float,
) -> KeptAnswer | OpenedRequest:
    """See ``Directory.open_request``; ``whose`` is the account and the idempotency key.

    Raises:
        ConflictError: the same request is being carried out.
        KeyReusedError: the key came with another request before.
    """
    connection.execute(delete(requests).where(requests.c.started_s < now_s - ANSWER_KEPT_S))
    mine = (requests.c.account_id == whose[0]) & (requests.c.idempotency_key == whose[1])
    row = connection.execute(select(requests).where(mine).with_for_update()).one_or_none()
    if row is None:
        _insert(connection, whose, digest, drawn, now_s)
        return OpenedRequest(drawn.operation_id, is_retry=False)
    if row.digest != digest:
        raise KeyReusedError(f"idempotency key {whose[1]!r} came with another request before")
    if row.status is not None:
        return KeptAnswer(row.status, json.loads(row.headers), row.body)
    if row.holder is not None and not drawn.is_over(row.holder, _has_beat(connection, row.holder)):
        raise _under_way(whose[1])
    connection.execute(update(requests).where(mine).values(started_s=now_s, holder=drawn.holder))
    return OpenedRequest(OperationId(row.operation_id), is_retry=True)


def _insert(
    connection: Connection, whose: tuple[AccountId, str], digest: str, drawn: Try, now_s: float
) -> None:
    fresh = {
        "account_id": whose[0],
        "idempotency_key": whose[1],
        "digest": digest,
        "operation_id": drawn.operation_id,
        "started_s": now_s,
        "holder": drawn.holder,
    }
    try:
        connection.execute(insert(requests), fresh)
    except IntegrityError as error:
        raise _under_way(whose[1]) from error


def _under_way(idempotency_key: str) -> ConflictError:
    return ConflictError(
        f"the request with idempotency key {idempotency_key!r} is being carried out",
        next_step="Wait a moment and send the same request again.",
    )


def _has_beat(connection: Connection, holder: str) -> bool:
    worker = holder.rpartition("/")[0]
    query = select(heartbeats.c.beat).where(heartbeats.c.worker == worker)
    return connection.execute(query).first() is not None


def close_request(
    connection: Connection, whose: tuple[AccountId, str], holder: str, answer: KeptAnswer | None
) -> None:
    """Keep the answer of a try, or let the next try begin; see ``Directory.close_request``."""
    mine = (
        (requests.c.account_id == whose[0])
        & (requests.c.idempotency_key == whose[1])
        & (requests.c.holder == holder)
    )
    kept: dict[str, object] = {}
    if answer is not None:
        headers = json.dumps(dict(answer.headers))
        kept = {"status": answer.status, "headers": headers, "body": answer.body}
    connection.execute(update(requests).where(mine).values(holder=None, **kept))
