"""Preemption: which nodes are asked back for whom, told before, and taken at the deadline.

A cycle has three parts: what starts or ends soon, what waits and would fit if others gave way, and
notices whose deadline has come. A notice is durable before anybody acts on it, and names the
operation that will take its nodes, so any number of servers may do this at once (ADR-0044).
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from gigawatt.app.admission import Admission
from gigawatt.app.line import in_line
from gigawatt.app.market.wanted import Wanted, wanted_nodes
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError, InputError, UnknownIdError
from gigawatt.ids import ClusterId, NodeId, NoticeId, OperationId, WaitingId
from gigawatt.intent.term import Term
from gigawatt.interfaces.holders import LEAVING, holder_of
from gigawatt.interfaces.spot import Notice, NoticeCause, SpotBook
from gigawatt.interfaces.store import OperationRecord, StoreSnapshot
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.notice import NoticePolicy, may_take_early
from gigawatt.market.order import in_order
from gigawatt.planner.phases import ENDED, Phase

LOOK_EVERY_S = 10.0
"""Pause between two looks at who is in whose way. Ours."""
CARRY_EVERY_S = 1.0
"""Pause between two looks at deadlines. Ours."""
WANTED_COUNT_MAX = 4
"""Requests that wait for which nodes are sought in one look. Ours: each is placed three times."""

_log = logging.getLogger("gigawatt.preemption")


@dataclass(frozen=True, slots=True)
class _Demand:
    """For whom nodes are asked back, why, and from when they are wanted."""

    cause: NoticeCause
    cause_id: str
    reason: str
    deadline_s: float


class Preemption:
    """Asks nodes back, for one server."""

    def __init__(self, admission: Admission, book: SpotBook, policy: NoticePolicy) -> None:
        """Give notices of ``policy`` into ``book``."""
        self._admission = admission
        self._control = admission.control
        self._store = admission.control.around.store
        self._book = book
        self._policy = policy
        self._look_s = self._carry_s = 0.0

    def run_if_due(self) -> int:
        """Take what is due, and ask back what will be needed; notices given or carried out."""
        now_s = self._admission.now_s()
        count = 0
        if now_s >= self._carry_s:
            self._carry_s = now_s + CARRY_EVERY_S
            count += self.carry_out()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            count += self.look()
        return count

    def look(self) -> int:
        """Give the notices that are due now; how many."""
        now_s = self._admission.now_s()
        stored = self._store.snapshot(now_s)
        given = self._end_terms(stored, now_s) + self._clear_starts(stored, now_s)
        return given + self._make_room(now_s)

    # What ends, and what starts.

    def _end_terms(self, stored: StoreSnapshot, now_s: float) -> int:
        """Notices to clusters of reservations that end soon, or have ended."""
        given = 0
        for target in _live(stored):
            if target.reservation_id is None:
                continue
            mine = stored.promises.by_id.get(target.reservation_id)
            ends_s = now_s if mine is None else mine.to_s
            if ends_s - now_s > self._policy.end_notice_s:
                continue
            deadline_s = max(ends_s, now_s + self._policy.notice_s)
            reason = f"reservation {target.reservation_id} ends"
            demand = _Demand("end", target.reservation_id, reason, deadline_s)
            given += self._ask(target, _nodes_of(target), demand)
        return given

    def _clear_starts(self, stored: StoreSnapshot, now_s: float) -> int:
        """Notices to those who are on nodes of reservations that start soon."""
        given = 0
        for reservation in stored.promises.by_id.values():
            starts_s = reservation.from_s
            is_lent_now = reservation.is_lent and starts_s <= now_s
            if starts_s - now_s > self._policy.lead_s + LOOK_EVERY_S or is_lent_now:
                continue
            wanted = reservation.node_ids | reservation.growth_node_ids
            deadline_s = max(now_s + self._policy.notice_s, starts_s - self._policy.clear_s)
            name = reservation.reservation_id
            demand = _Demand("reservation", name, f"reservation {name} starts", deadline_s)
            for target in _live(stored):
                if holder_of(target).gives_back and target.reservation_id != name:
                    given += self._ask(target, wanted & _nodes_of(target), demand)
        return given

    # What waits.

    def _make_room(self, now_s: float) -> int:
        waiting = [row for row in self._admission.room.waiting() if _is_short_of_room(row)]
        served = {notice.cause_id for notice in self._book.open_notices()}
        rows = [row for row in in_line(self._admission, waiting) if row.waiting_id not in served]
        given = 0
        for group in in_order(rows, lambda row: row.request.term, self._admission.order):
            for row in group[: WANTED_COUNT_MAX - given]:
                given += self._make_room_for(row, now_s)
        return given

    def _make_room_for(self, row: WaitingRequest, now_s: float) -> int:
        under = _under_notice(self._book.open_notices())
        found: Mapping[ClusterId, Wanted] = wanted_nodes(
            self._admission, row.request, under, self._book.saved()
        )
        kind = row.request.term.value.replace("_", " ")
        reason = f"{row.gpu_count:,} GPUs are wanted, {kind}"
        demand = _Demand("waiting", row.waiting_id, reason, now_s + self._policy.notice_s)
        return sum(self._ask(one.target, one.node_ids, demand) for one in found.values())

    def _ask(self, target: ClusterTarget, node_ids: Collection[NodeId], demand: _Demand) -> int:
        """Give a notice for those of the nodes that are not under one; whether there were any."""
        under = _under_notice(self._book.notices_of(target.cluster_id))
        wanted = frozenset(node_ids) - under.get(target.cluster_id, frozenset())
        if not wanted:
            return 0
        wanted = self._widened(target, wanted, under.get(target.cluster_id, frozenset()))
        now_s, new_id = self._admission.now_s(), self._control.new_id
        notice = Notice(
            sequence=0,
            notice_id=NoticeId(new_id("ntc")),
            cluster_id=target.cluster_id,
            project_id=target.tenant_id,
            node_ids=wanted,
            cause=demand.cause,
            cause_id=demand.cause_id,
            reason=demand.reason,
            given_s=now_s,
            deadline_s=max(demand.deadline_s, now_s + self._policy.notice_s),
            operation_id=OperationId(new_id("op")),
            state="given",
            state_since_s=now_s,
        )
        # Another server may have asked just before.
        with suppress(ConflictError):
            self._book.give(notice)
            return 1
        return 0

    def _widened(
        self, target: ClusterTarget, wanted: frozenset[NodeId], leaving: frozenset[NodeId]
    ) -> frozenset[NodeId]:
        """The nodes, or all that are left when the cluster would be of no use without them."""
        left = _nodes_of(target) - leaving
        stays = [m for m in target.active_members if m.node_id in left - wanted]
        gpu_count = sum(member.gpu_mask.bit_count() for member in stays)
        return left if gpu_count < max(1, target.gpu_count_min) else wanted

    # Deadlines.

    def carry_out(self) -> int:
        """Follow every open notice; how many were begun."""
        begun, open_notices = 0, self._book.open_notices()
        for notice in open_notices:
            try:
                begun += self._follow(notice, is_early=_can_go(notice, open_notices))
            except ConflictError as error:
                # Something else is under way with the cluster: the next look comes soon.
                _log.info("notice %s waits: %s", notice.notice_id, error)
        return begun

    def _follow(self, notice: Notice, *, is_early: bool) -> bool:
        """Carry one on; ``is_early`` says that it need not wait for its deadline."""
        now_s = self._admission.now_s()
        operation = self._operation_of(notice)
        if operation is not None:
            if notice.state == "given":
                self._book.turn(notice.notice_id, "begun", now_s)
            if operation.finished_s is not None:
                self._book.turn(notice.notice_id, "done", now_s, self._again(notice, now_s))
            return False
        if self._is_moot(notice):
            self._book.turn(notice.notice_id, "withdrawn", now_s)
            return False
        if now_s < notice.deadline_s and not is_early:
            return False
        try:
            self._control.commit_new(
                lambda: self._control.plan_give_up(notice.cluster_id, notice.node_ids),
                operation_id=notice.operation_id,
            )
        except InputError:
            # It holds none of them any more.
            self._book.turn(notice.notice_id, "withdrawn", now_s)
            return False
        self._book.turn(notice.notice_id, "begun", now_s)
        return True

    def _operation_of(self, notice: Notice) -> OperationRecord | None:
        try:
            return self._store.operation(notice.operation_id)
        except UnknownIdError:
            return None

    def _is_moot(self, notice: Notice) -> bool:
        """Whether nobody needs the nodes any more, or they are given back already."""
        cluster = self._store.cluster(notice.cluster_id)
        if cluster.target is None or cluster.phase in ENDED or cluster.phase in LEAVING:
            return True
        if not notice.node_ids & _nodes_of(cluster.target):
            return True
        if notice.cause != "waiting":
            return False
        try:
            row = self._admission.room.request(WaitingId(notice.cause_id))
        except UnknownIdError:
            return True
        return row.state != "waiting"

    def _again(self, notice: Notice, now_s: float) -> WaitingRequest | None:
        """The bid of a cluster that was taken whole, to be queued again if its tenant wanted so."""
        cluster = self._store.cluster(notice.cluster_id)
        bid = self._book.bid_of(notice.cluster_id)
        if bid is None or cluster.phase is not Phase.RELEASED or not bid.request.returns_to_queue:
            return None
        new_id = self._control.new_id
        return replace(
            bid,
            sequence=0,
            waiting_id=WaitingId(new_id("wai")),
            operation_id=OperationId(new_id("op")),
            since_s=now_s,
            expires_s=now_s + (bid.expires_s - bid.since_s),
            front_since_s=None,
            state="waiting",
            state_reason=f"its nodes were taken back: {notice.reason}",
            state_since_s=now_s,
            why=None,
            cluster_id=None,
            launch_count=0,
        )


def _live(stored: StoreSnapshot) -> Iterable[ClusterTarget]:
    for record in stored.clusters.values():
        if record.target is not None and record.target.members and record.phase not in LEAVING:
            yield record.target


def _nodes_of(target: ClusterTarget) -> frozenset[NodeId]:
    return frozenset(member.node_id for member in target.members)


def _is_short_of_room(row: WaitingRequest) -> bool:
    is_room = row.why is not None and row.why.kind == "room"
    return is_room and row.request.term is not Term.SPOT


def _can_go(notice: Notice, open_notices: Iterable[Notice]) -> bool:
    """Whether the nodes of a notice may be taken before its deadline."""
    demand = notice.cause, notice.cause_id
    answers = (n.answer for n in open_notices
               if n.state == "given" and (n.cause, n.cause_id) == demand)  # fmt: skip
    return may_take_early(answers, is_own_end=notice.cause == "end")


def _under_notice(notices: Iterable[Notice]) -> dict[ClusterId, frozenset[NodeId]]:
    found: dict[ClusterId, frozenset[NodeId]] = {}
    for notice in notices:
        if notice.state in {"given", "begun"}:
            mine = found.get(notice.cluster_id, frozenset())
            found[notice.cluster_id] = mine | notice.node_ids
    return found
