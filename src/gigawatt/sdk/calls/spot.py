"""Calls of spot: prices, notices and checkpoints."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_spot_prices() -> Call[doc.Page[doc.SpotRound]]:
    """The last round of each place."""
    return Call("GET", path_of("spot", "prices"), doc.Page[doc.SpotRound])


def list_spot_rounds(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.SpotRound]]:
    """Rounds, newest first."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("spot", "rounds"), doc.Page[doc.SpotRound], query)


def get_market_order() -> Call[doc.MarketOrder]:
    """Who is served first, and who gives way for whom."""
    return Call("GET", path_of("spot", "order"), doc.MarketOrder)


def list_notices(
    *, with_ended: bool | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Notice]]:
    """Notices to give nodes back that the caller sees, newest first."""
    query = query_of(with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", path_of("notices"), doc.Page[doc.Notice], query)


def answer_notice(notice_id: str, body: doc.AnswerNotice) -> Call[doc.Notice]:
    """Say what became of the work on nodes that are asked back."""
    return Call("POST", path_of("notices", notice_id, verb="answer"), doc.Notice, body=body)


def note_checkpoint(cluster_id: str) -> Call[doc.Checkpoint]:
    """Say that the work of a cluster is saved now."""
    return Call("POST", path_of("clusters", cluster_id, verb="saved"), doc.Checkpoint)
