"""Calls of the rate card, and of questions for a price."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_rates(
    *,
    gpu_type: str | None = None,
    term: str | None = None,
    organisation_id: str | None = None,
    with_past: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Rate]]:
    """Rows of the rate card that the caller sees, newest first."""
    query = query_of(
        gpu_type=gpu_type,
        term=term,
        organisation_id=organisation_id,
        with_past=with_past,
        cursor=cursor,
        limit=limit,
    )
    return Call("GET", path_of("rates"), doc.Page[doc.Rate], query)


def set_rates(request: doc.SetRates) -> Call[doc.Page[doc.Rate]]:
    """Add rows to the rate card, all of them or none."""
    return Call("POST", path_of("rates"), doc.Page[doc.Rate], body=request)


def ask_price(request: doc.AskPrice) -> Call[doc.PriceAnswer]:
    """What GPUs would cost, and cheaper ways; nothing is kept."""
    return Call("POST", path_of("prices"), doc.PriceAnswer, body=request)
