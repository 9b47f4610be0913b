"""The pump: starts requests that wait, when there may be room for them.

Any number of servers may pump. One at a time has the turn, so that the order is one order; what
keeps a request from being started twice is not the turn but the operation id that was drawn for
it (ADR-0027).
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from gigawatt.app.admission import Admission, within
from gigawatt.app.line import standings_of, supply_of, waiter_of
from gigawatt.app.market.spot_rounds import SpotRounds
from gigawatt.errors import (
    ConflictError,
    ImpossibleError,
    InputError,
    NoCapacityError,
    QuotaError,
    UnknownIdError,
)
from gigawatt.ids import OperationId, WaitingId
from gigawatt.intent.prices import Prices
from gigawatt.intent.queue import FairRound, Why
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.store import OperationRecord
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.order import in_order
from gigawatt.planner.plan import Plan
from gigawatt.planner.snapshot import Snapshot
from gigawatt.units import DAY_S, HOUR_S

EVERY_S = 30.0
"""Longest pause between two looks at the queue: keys cool down and patience ends unseen. Ours."""

TURN_S = 20.0
"""How long a server has the turn without a word; a round takes seconds. Ours."""

TURN_RETRY_S = 5.0
"""Pause after which a server without the turn looks whether it is free. Ours."""

START_COUNT_MAX = 8
"""Requests started in one round, so that the worker comes to its other work. Ours."""

TIDY_EVERY_S = 1.0 * HOUR_S
ENDED_KEPT_S = 90.0 * DAY_S
"""How long a request that ended can be looked at. Ours."""

WHY_LENGTH_MAX = 1_000

_log = logging.getLogger("gigawatt.pump")


class Pump:
    """Starts waiting requests for one server."""

    def __init__(self, admission: Admission, worker: str, rounds: SpotRounds | None = None) -> None:
        """Pump for a worker, whose name no other has; ``rounds`` clears bids of spot."""
        self._rounds = rounds
        self._admission = admission
        self._room = admission.room
        self._control = admission.control
        self._worker = worker
        self._seen_event = -1
        self._due_s = 0.0
        self._tidy_due_s = 0.0

    def run_if_due(self) -> int:
        """Serve the queue if something happened since the last time; requests started."""
        now_s, newest = self._admission.now_s(), self._admission.directory.newest_event()
        if newest == self._seen_event and now_s < self._due_s:
            return 0
        self._seen_event, self._due_s = newest, now_s + EVERY_S
        self._tidy(now_s)
        self._settle()
        waiting = self._room.waiting()
        if not waiting:
            return 0
        if not self._room.take_turn(self._worker, now_s, TURN_S):
            self._due_s = now_s + TURN_RETRY_S
            return 0
        alive = [row for row in waiting if not self._expire(row, now_s)]
        started = self._serve(alive, now_s)
        if started >= START_COUNT_MAX:
            self._seen_event = -1
        return started

    def _tidy(self, now_s: float) -> None:
        if now_s >= self._tidy_due_s:
            self._tidy_due_s = now_s + TIDY_EVERY_S
            self._room.forget(now_s - ENDED_KEPT_S)
            self._admission.book.tidy(now_s)

    def _settle(self) -> None:
        new_id = self._control.new_id
        self._room.settle(self._admission.now_s(), lambda: OperationId(new_id("op")))

    def _expire(self, waiting: WaitingRequest, now_s: float) -> bool:
        if now_s < waiting.expires_s:
            return False
        reason = f"nothing was free for it in {now_s - waiting.since_s:,.0f} s"
        self._end(waiting, "expired", reason)
        return True

    def _end(self, waiting: WaitingRequest, state: Literal["expired", "refused"], why: str) -> None:
        now_s, row = self._admission.now_s(), None
        if waiting.why is not None:
            row = self._admission.ended(waiting, state)
        # Its sender or another server may have ended or started it meanwhile.
        with suppress(ConflictError):
            self._room.end(waiting.waiting_id, state, why[:WHY_LENGTH_MAX], now_s, row)

    def _serve(self, waiting: list[WaitingRequest], now_s: float) -> int:
        """One round, class by class; what it found out is kept with the requests."""
        reasons: dict[WaitingId, Why] = {}
        fronts: set[WaitingId] = set()
        started = 0
        for rows in in_order(waiting, lambda row: row.request.term, self._admission.order):
            if rows and rows[0].request.term is Term.SPOT:
                started += self._serve_spot(rows, reasons, START_COUNT_MAX - started)
            elif rows:
                started += self._serve_class(rows, now_s, (reasons, fronts), started)
        self._room.note_round(reasons, frozenset(fronts), now_s)
        return started

    def _serve_class(
        self,
        waiting: list[WaitingRequest],
        now_s: float,
        found: tuple[dict[WaitingId, Why], set[WaitingId]],
        started_before: int,
    ) -> int:
        """Serve requests of one class in fair order; ``found``: why they wait, and who is front."""
        view = self._control.snapshot()
        projects = frozenset(row.project_id for row in waiting)
        fair = FairRound(
            [waiter_of(row) for row in waiting],
            standings_of(self._admission, view, projects),
            supply_of(view.fleet),
            self._admission.policy,
            now_s,
        )
        by_id = {str(row.waiting_id): row for row in waiting}
        started = 0
        while started + started_before < START_COUNT_MAX:
            waiter = fair.next_waiter()
            if waiter is None:
                break
            answer = self._try(by_id[waiter.waiting_id])
            if isinstance(answer, Why):
                fair.refuse(waiter, answer)
            else:
                fair.start(waiter, answer.plan.report.gpu_type)
                started += 1
                self._settle()
        reasons, fronts = found
        reasons.update({WaitingId(name): why for name, why in fair.reasons.items()})
        fronts.update(WaitingId(name) for name in fair.fronts())
        return started

    def _serve_spot(
        self, bids: list[WaitingRequest], reasons: dict[WaitingId, Why], count_max: int
    ) -> int:
        """Clear a round at each place."""
        if self._rounds is None:
            why = Why("room", "nobody sells spot here")
            reasons.update({bid.waiting_id: why for bid in bids})
            return 0
        outcome = self._rounds.serve(bids, self._launch_bid, count_max)
        reasons.update(outcome.reasons)
        self._settle()
        return len(outcome.started)

    def _launch_bid(
        self, bid: WaitingRequest, request: ClusterRequest, prices: Prices
    ) -> OperationRecord | Why:
        """Launch what a bid has won, where it was won and at the price of the round."""

        def make_plan() -> Plan:
            rules = self._admission.follower.wanted(request.firewall_ruleset_ids)
            fresh = replace(request, inbound_rules=rules)
            return self._control.plan_create(fresh, with_alternatives=False, prices=prices)

        return self._try(bid, make_plan)

    def _try(
        self, waiting: WaitingRequest, make_plan: Callable[[], Plan] | None = None
    ) -> OperationRecord | Why:
        """The operation of a request that was started, or why it was not."""
        try:
            return self._control.commit_new(
                make_plan or (lambda: self._plan(waiting)),
                operation_id=waiting.operation_id,
                admit=lambda view, plan: self._admit(waiting, view, plan),
            )
        except NoCapacityError as error:
            return Why("room", "; ".join(error.reasons or (str(error),))[:WHY_LENGTH_MAX])
        except QuotaError as error:
            return Why("limit", str(error)[:WHY_LENGTH_MAX])
        except ConflictError as error:
            return Why("untried", str(error)[:WHY_LENGTH_MAX])
        except InputError as error:
            return self._give_up(waiting, error)
        except AssertionError as error:
            # A bug of ours with one request shall not stop all others.
            _log.exception("waiting request %s", waiting.waiting_id)
            return Why("limit", f"it cannot be planned, which is a fault of ours: {error}"[:500])

    def _plan(self, waiting: WaitingRequest) -> Plan:
        """A fresh plan within the price that was said."""
        # What its firewall rulesets say may have changed while it waited.
        request = waiting.request
        rules = self._admission.follower.wanted(request.firewall_ruleset_ids)
        fresh = within(
            replace(request, inbound_rules=rules), waiting.price_micro_usd_per_gpu_hour_max
        )
        return self._control.plan_create(fresh, with_alternatives=False)

    def _admit(self, waiting: WaitingRequest, view: Snapshot, plan: Plan) -> None:
        """Judge a plan as of the snapshot that its commit is bound to.

        Raises:
            QuotaError: the project may not hold so much.
            UnknownIdError: the request waits no more.
        """
        if self._room.request(waiting.waiting_id).state != "waiting":
            raise UnknownIdError(f"waiting request {waiting.waiting_id!r} waits no more")
        self._admission.judge_limits(view, plan)

    def _give_up(self, waiting: WaitingRequest, error: InputError) -> Why:
        """What has become of a request that can not be planned any more.

        Another server may have started it: then its own name is what is taken. A price that went
        up may come down again, so that for the price alone nothing is given up.
        """
        if isinstance(error, ImpossibleError) and error.is_price:
            return Why("room", str(error)[:WHY_LENGTH_MAX])
        self._settle()
        if self._room.request(waiting.waiting_id).state == "waiting":
            self._end(waiting, "refused", str(error))
        return Why("limit", str(error)[:WHY_LENGTH_MAX])
