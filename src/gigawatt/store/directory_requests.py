"""Rows of what the API remembers: shown plans and idempotent requests."""

import json

from sqlalchemy import Connection, delete, insert, select, update

from gigawatt.errors import ConflictError, KeyReusedError, UnknownIdError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import OperationId, PlanId
from gigawatt.interfaces.codec import plan_from_json, plan_to_json
from gigawatt.interfaces.directory import KeptAnswer, OpenedRequest
from gigawatt.planner.plan import Plan
from gigawatt.store.directory_schema import requests, shown_plans
from gigawatt.units import DAY_S

PLAN_KEPT_S = DAY_S
"""How long an expired plan can still be looked at. Ours."""

ANSWER_KEPT_S = DAY_S
"""How long an answer is kept. Source: docs.stripe.com, "Idempotent requests": at least 24 hours."""

TRY_S = 120.0
"""After this long without an answer a try counts as cut off. Ours: the longest request plans and
commits 32,000 GPUs, which takes seconds."""


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
    return plan_from_json(text)


def open_request(
    connection: Connection,
    whose: tuple[AccountId, str],
    digest: str,
    drawn: OperationId,
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
        fresh = {
            "account_id": whose[0],
            "idempotency_key": whose[1],
            "digest": digest,
            "operation_id": drawn,
            "started_s": now_s,
        }
        connection.execute(insert(requests), fresh)
        return OpenedRequest(drawn, is_retry=False)
    if row.digest != digest:
        raise KeyReusedError(f"idempotency key {whose[1]!r} came with another request before")
    if row.status is not None:
        return KeptAnswer(row.status, json.loads(row.headers), row.body)
    if now_s - row.started_s < TRY_S:
        raise ConflictError(
            f"the request with idempotency key {whose[1]!r} is being carried out",
            next_step="Wait a moment and send the same request again.",
        )
    connection.execute(update(requests).where(mine).values(started_s=now_s))
    return OpenedRequest(OperationId(row.operation_id), is_retry=True)


def close_request(
    connection: Connection, whose: tuple[AccountId, str], answer: KeptAnswer | None
) -> None:
    """Keep an answer, or forget the key when there is none."""
    mine = (requests.c.account_id == whose[0]) & (requests.c.idempotency_key == whose[1])
    if answer is None:
        connection.execute(delete(requests).where(mine))
        return
    connection.execute(
        update(requests)
        .where(mine)
        .values(status=answer.status, headers=json.dumps(dict(answer.headers)), body=answer.body)
    )
