"""What providers of payments tell us: signed by them, by nobody who has a key here."""

from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.concurrency import run_in_threadpool

from gigawatt.api.route import FAILURE_COST, SignedRoute, address_of, service_of
from gigawatt.api.routing import new_open_router, operation
from gigawatt.errors import UnauthenticatedError

router = new_open_router("payments", SignedRoute)


async def _body_of(request: Request) -> bytes:
    """The body as it came, because the signature is of its bytes."""
    return await request.body()


@operation(router, "POST", "/payment-events/{provider}", 204)
async def take_payment_event(
    provider: str,
    request: Request,
    body: Annotated[bytes, Depends(_body_of)],
    stripe_signature: Annotated[str, Header(max_length=2_000)] = "",
) -> None:
    """Take what a provider tells, if the provider signed it; told twice, it counts once.

    What does not fit is kept for a person, and answered as taken: telling it again changes nothing.
    """
    service = service_of(request)
    try:
        await run_in_threadpool(service.market.payments.take, provider, body, stripe_signature)
    except UnauthenticatedError:
        service.rate.take(address_of(request), FAILURE_COST)
        raise
