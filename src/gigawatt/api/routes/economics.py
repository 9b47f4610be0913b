"""The economics: each operation computes from what it is sent, and stores nothing."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from fastapi import Request

from gigawatt.api.access import Access, Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app import economics_answers as answers
from gigawatt.errors import RateError
from gigawatt.sdk import documents as doc

router = new_router("economics")

T = TypeVar("T")


async def _unless_left(request: Request, compute: Callable[[], Awaitable[T]]) -> T:
    """What ``compute`` gives; it is cancelled when the caller hangs up.

    Raises:
        RateError: the caller has left. Nobody reads it; the audit keeps its status.
    """
    found: list[T] = []
    failed: list[Exception] = []

    async def run(group: TaskGroup) -> None:
        # An error leaves through the list: a group would wrap it.
        try:
            found.append(await compute())
        except Exception as error:  # noqa: BLE001 - it is raised again below
            failed.append(error)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(run, group)
        # The body was read, so what comes next is the end of the connection.
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    if not found:
        raise RateError("the caller left before the answer", retry_after_s=1.0)
    return found[0]


async def _computed(
    request: Request, access: Access, work: Callable[..., dict[str, Any]], *values: object
) -> dict[str, Any]:
    access.permit()
    caller, desk = access.caller.account.account_id, access.service.desk
    return await _unless_left(request, lambda: desk.compute(caller, work, *values))


@operation(router, "POST", "/economics/chain")
async def compute_chain(body: doc.ChainRequest, request: Request, access: Allowed) -> doc.Chain:
    """Power to tokens on a demonstration fleet."""
    found = await _computed(request, access, answers.chain_answer, body)
    return doc.Chain.model_validate(found)


@operation(router, "POST", "/economics/fleet-chain")
async def compute_fleet_chain(
    body: doc.FleetChainRequest, request: Request, access: Allowed
) -> doc.Chain:
    """Power to tokens on the fleet that the service runs."""
    site = access.service.control.around.fleet
    found = await _computed(request, access, answers.fleet_chain_answer, site, body)
    return doc.Chain.model_validate(found)


@operation(router, "POST", "/economics/gpu-hour")
async def compute_gpu_hour(
    body: doc.GpuHourRequest, request: Request, access: Allowed
) -> doc.GpuHour:
    """The cost of a GPU-hour."""
    found = await _computed(request, access, answers.gpu_hour_answer, body)
    return doc.GpuHour.model_validate(found)


@operation(router, "POST", "/economics/life")
async def compute_life(body: doc.LifeRequest, request: Request, access: Allowed) -> doc.Life:
    """How long a GPU earns more than it costs."""
    found = await _computed(request, access, answers.life_answer, body)
    return doc.Life.model_validate(found)


@operation(router, "POST", "/economics/index")
async def compute_index(body: doc.IndexRequest, request: Request, access: Allowed) -> doc.Index:
    """The rental price index of a price file."""
    found = await _computed(request, access, answers.index_answer, body)
    return doc.Index.model_validate(found)


@operation(router, "POST", "/economics/underwriting")
async def compute_underwriting(
    body: doc.UnderwriteRequest, request: Request, access: Allowed
) -> doc.Underwriting:
    """A deal underwritten."""
    found = await _computed(request, access, answers.underwrite_answer, body)
    return doc.Underwriting.model_validate(found)
