"""Spot: prices of rounds, notices to give nodes back, and checkpoints."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.api.spot_views import notice_document, round_document
from gigawatt.api.views import at
from gigawatt.sdk import documents as doc

router = new_router("spot")


@operation(router, "GET", "/spot/prices")
def list_spot_prices(access: Allowed) -> doc.Page[doc.SpotRound]:
    """The last round of each place: what spot costs there now."""
    access.permit()
    return doc.Page(items=[round_document(row) for row in access.service.market.spot.prices()])


@operation(router, "GET", "/spot/rounds")
def list_spot_rounds(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.SpotRound]:
    """Rounds that ended otherwise than the one before them, newest first."""
    access.permit()
    found = access.service.market.spot.rounds(number_place(cursor, NEWEST), limit + 1)
    return page_of(found, limit, lambda row: row.sequence, round_document)


@operation(router, "GET", "/spot/order")
def get_market_order(access: Allowed) -> doc.MarketOrder:
    """Who is served first, and who gives way for whom: the order in force."""
    access.permit()
    return doc.MarketOrder(
        order=[
            doc.ClassRule(
                term=rule.term.value,
                takes_from_spot=rule.takes_from_spot,
                takes_from_lent=rule.takes_from_lent,
                sentence=rule.sentence,
            )
            for rule in access.service.admission.order
        ]
    )


@operation(router, "GET", "/notices")
def list_notices(
    access: Allowed,
    with_ended: Annotated[bool, Query()] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Notice]:
    """Nodes that clusters of the caller have to give back, newest first."""
    now_s = access.service.now_s()
    found = access.service.market.spot.page(
        access.reach(), number_place(cursor, NEWEST), limit + 1, with_ended=with_ended
    )
    return page_of(found, limit, lambda row: row.sequence, lambda row: notice_document(row, now_s))


@operation(router, "POST", "/notices/{notice_id}:answer")
def answer_notice(notice_id: str, body: doc.AnswerNotice, access: Allowed) -> doc.Notice:
    """Say what became of the work on nodes that are asked back; "saved" gives them back now."""
    found, spot = access.notice(notice_id), access.service.market.spot
    now_s = access.service.now_s()
    answered = spot.answer(found.notice_id, body.answer, body.detail, now_s)
    access.service.worker.wake()
    return notice_document(answered, now_s)


@operation(router, "POST", "/clusters/{cluster_id}:saved")
def note_checkpoint(cluster_id: str, access: Allowed) -> doc.Checkpoint:
    """Say that the work of a cluster is saved now; who lost least is asked first to give way."""
    record, now_s = access.cluster(cluster_id), access.service.now_s()
    access.service.market.spot.note_saved(record.cluster_id, now_s)
    return doc.Checkpoint(cluster_id=record.cluster_id, saved_at=at(now_s))
