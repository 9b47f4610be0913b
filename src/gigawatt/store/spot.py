"""``SqlSpotBook``: the ``SpotBook`` on the store's own database."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import ClusterId, NodeId, NoticeId, OperationId, SiteId, TenantId
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.spot import Notice, SpotBook, SpotRoundRecord
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.notice import NoticeAnswer, can_answer
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.journal import add_cluster_event
from gigawatt.store.queue_schema import waiting_requests
from gigawatt.store.spot_schema import (
    checkpoints,
    notice_answers,
    notice_nodes,
    notices,
    spot_rounds,
)
from gigawatt.store.waiting import add_waiting, request_of_row

_NOTICES = select(notices, notice_answers.c.answer, notice_answers.c.answered_s).outerjoin(
    notice_answers, notice_answers.c.notice_id == notices.c.notice_id
)
_OPEN = notices.c.state.in_(("given", "begun"))


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        sequence=row.sequence,
        notice_id=NoticeId(row.notice_id),
        cluster_id=ClusterId(row.cluster_id),
        project_id=TenantId(row.project_id),
        node_ids=frozenset(map(NodeId, json.loads(row.node_ids))),
        cause=row.cause,
        cause_id=row.cause_id,
        reason=row.reason,
        given_s=row.given_s,
        deadline_s=row.deadline_s,
        operation_id=OperationId(row.operation_id),
        state=row.state,
        state_since_s=row.state_since_s,
        answer=row.answer,
        answered_s=row.answered_s,
    )


def _round(row: Row[Any]) -> SpotRoundRecord:
    return SpotRoundRecord(
        sequence=row.sequence,
        at_s=row.at_s,
        gpu_type=row.gpu_type,
        site_id=SiteId(row.site_id),
        price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
        floor_micro_usd_per_gpu_hour=row.floor_micro_usd_per_gpu_hour,
        offered_gpu_count=row.offered_gpu_count,
        sold_gpu_count=row.sold_gpu_count,
        bid_count=row.bid_count,
    )


def _one(connection: Connection, notice_id: NoticeId) -> Notice:
    query = _NOTICES.where(notices.c.notice_id == notice_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no notice {notice_id!r}")
    return _notice(row)


def _say(connection: Connection, notice: Notice, kind: str, message: str, now_s: float) -> None:
    data = {
        "notice_id": notice.notice_id,
        "node_ids": sorted(notice.node_ids),
        "cause": notice.cause,
        "deadline_s": notice.deadline_s,
    }
    add_cluster_event(connection, notice.cluster_id, f"notice.{kind}", message, now_s, data)


class SqlSpotBook:
    """Spot; every method is what ``SpotBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def note_round(self, found: SpotRoundRecord) -> bool:
        """Keep a round if it ended otherwise than the last one at its place."""
        row = {
            "gpu_type": found.gpu_type,
            "site_id": found.site_id,
            "price_micro_usd_per_gpu_hour": found.price_micro_usd_per_gpu_hour,
            "floor_micro_usd_per_gpu_hour": found.floor_micro_usd_per_gpu_hour,
            "offered_gpu_count": found.offered_gpu_count,
            "sold_gpu_count": found.sold_gpu_count,
            "bid_count": found.bid_count,
        }
        columns = spot_rounds.c
        there = (columns.gpu_type == found.gpu_type) & (columns.site_id == found.site_id)
        query = select(spot_rounds).where(there).order_by(columns.sequence.desc()).limit(1)
        with self._database.write() as connection:
            lock_generation(connection)
            last = connection.execute(query).mappings().one_or_none()
            if last is not None and all(last[name] == value for name, value in row.items()):
                return False
            connection.execute(insert(spot_rounds), {**row, "at_s": found.at_s})
            return True

    def prices(self) -> tuple[SpotRoundRecord, ...]:
        """The last round of each place."""
        columns = spot_rounds.c
        newest = select(func.max(columns.sequence)).group_by(columns.gpu_type, columns.site_id)
        query = select(spot_rounds).where(columns.sequence.in_(newest))
        query = query.order_by(columns.gpu_type, columns.site_id)
        with self._database.read() as connection:
            return tuple(_round(row) for row in connection.execute(query))

    def rounds(self, before: int, limit: int) -> tuple[SpotRoundRecord, ...]:
        """Rounds, newest first, before a place."""
        columns = spot_rounds.c
        query = select(spot_rounds).where(columns.sequence < before)
        query = query.order_by(columns.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(_round(row) for row in connection.execute(query))

    def give(self, notice: Notice) -> Notice:
        """Give a notice, told in the trail."""
        row = {
            "notice_id": notice.notice_id,
            "cluster_id": notice.cluster_id,
            "project_id": notice.project_id,
            "node_ids": json.dumps(sorted(notice.node_ids)),
            "cause": notice.cause,
            "cause_id": notice.cause_id,
            "reason": notice.reason,
            "given_s": notice.given_s,
            "deadline_s": notice.deadline_s,
            "operation_id": notice.operation_id,
            "state": notice.state,
            "state_since_s": notice.state_since_s,
        }
        mine = {"cluster_id": notice.cluster_id, "notice_id": notice.notice_id}
        nodes = [{**mine, "node_id": node_id} for node_id in sorted(notice.node_ids)]
        assert nodes, "a notice is of some nodes"
        with self._database.write() as connection:
            lock_generation(connection)
            connection.execute(insert(notices), row)
            try:
                connection.execute(insert(notice_nodes), nodes)
            except IntegrityError as error:
                raise ConflictError(
                    f"a node of cluster {notice.cluster_id!r} is under notice already"
                ) from error
            seconds = notice.deadline_s - notice.given_s
            message = f"{len(nodes)} nodes are taken back in {seconds:,.0f} s: {notice.reason}"
            _say(connection, notice, "given", message, notice.given_s)
            return _one(connection, notice.notice_id)

    def get(self, notice_id: NoticeId) -> Notice:
        """One notice, whatever became of it."""
        with self._database.read() as connection:
            return _one(connection, notice_id)

    def answer(
        self, notice_id: NoticeId, answer: NoticeAnswer, detail: str, now_s: float
    ) -> Notice:
        """Keep what a tenant says of its work after a notice."""
        with self._database.write() as connection:
            lock_generation(connection)
            notice = _one(connection, notice_id)
            if notice.state != "given" or not can_answer(notice.answer, answer):
                return notice
            mine = notice_answers.c.notice_id == notice_id
            connection.execute(delete(notice_answers).where(mine))
            row = {
                "notice_id": notice_id,
                "answer": answer,
                "answered_s": now_s,
                "detail": detail,
            }
            connection.execute(insert(notice_answers), row)
            if answer == "saved":
                _note_saved(connection, notice.cluster_id, now_s)
            said = "is saved" if answer == "saved" else "is not saved"
            message = f"the work on {len(notice.node_ids)} nodes {said}"
            if detail:
                message = f"{message}: {detail}"
            _say(connection, notice, answer, message, now_s)
            return _one(connection, notice_id)

    def turn(
        self,
        notice_id: NoticeId,
        state: Literal["begun", "done", "withdrawn"],
        now_s: float,
        again: WaitingRequest | None = None,
    ) -> bool:
        """Say what became of a notice, and queue its cluster's bid again."""
        with self._database.write() as connection:
            lock_generation(connection)
            notice = _one(connection, notice_id)
            if notice.state == state or notice.state in {"done", "withdrawn"}:
                return False
            this = notices.c.notice_id == notice_id
            connection.execute(update(notices).where(this).values(state=state, state_since_s=now_s))
            if state != "begun":
                connection.execute(
                    delete(notice_nodes).where(notice_nodes.c.notice_id == notice_id)
                )
            if again is not None and not _waits(connection, again):
                add_waiting(connection, again)
            _say(
                connection,
                notice,
                state,
                f"the notice of {len(notice.node_ids)} nodes is {state}",
                now_s,
            )
            return True

    def open_notices(self) -> tuple[Notice, ...]:
        """Those that are given or begun, by deadline."""
        query = _NOTICES.where(_OPEN).order_by(notices.c.deadline_s, notices.c.sequence)
        with self._database.read() as connection:
            return tuple(_notice(row) for row in connection.execute(query))

    def notices_of(self, cluster_id: ClusterId) -> tuple[Notice, ...]:
        """Notices of a cluster, newest first."""
        query = _NOTICES.where(notices.c.cluster_id == cluster_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(notices.c.sequence.desc()))
            return tuple(_notice(row) for row in rows)

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool
    ) -> tuple[Notice, ...]:
        """Notices, newest first, before a place."""
        query = _NOTICES.where(notices.c.sequence < before)
        if reach.project_ids is not None:
            query = query.where(notices.c.project_id.in_(sorted(reach.project_ids)))
        if not with_ended:
            query = query.where(_OPEN)
        query = query.order_by(notices.c.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(_notice(row) for row in connection.execute(query))

    def note_saved(self, cluster_id: ClusterId, saved_s: float) -> None:
        """Note that the work of a cluster was saved."""
        with self._database.write() as connection:
            lock_generation(connection)
            _note_saved(connection, cluster_id, saved_s)

    def saved(self) -> Mapping[ClusterId, float]:
        """When clusters last said that their work was saved."""
        with self._database.read() as connection:
            rows = connection.execute(select(checkpoints.c.cluster_id, checkpoints.c.saved_s))
            return {ClusterId(cluster_id): saved_s for cluster_id, saved_s in rows}

    def bid_of(self, cluster_id: ClusterId) -> WaitingRequest | None:
        """The request that became a cluster."""
        query = select(waiting_requests).where(waiting_requests.c.cluster_id == cluster_id)
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else request_of_row(row)


def _note_saved(connection: Connection, cluster_id: ClusterId, saved_s: float) -> None:
    mine = checkpoints.c.cluster_id == cluster_id
    found = connection.execute(select(checkpoints.c.saved_s).where(mine)).scalar()
    if found is None:
        row = {"cluster_id": cluster_id, "saved_s": saved_s}
        connection.execute(insert(checkpoints), row)
    elif found < saved_s:
        connection.execute(update(checkpoints).where(mine).values(saved_s=saved_s))


def _waits(connection: Connection, waiting: WaitingRequest) -> bool:
    columns = waiting_requests.c
    query = select(columns.sequence).where(
        columns.state == "waiting",
        columns.project_id == waiting.project_id,
        columns.name == waiting.request.name,
    )
    return connection.execute(query).first() is not None


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[SpotBook] = SqlSpotBook
