"""Reservations as the service sells them: planned by topology, priced, booked, given up."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from gigawatt.app.control import Control
from gigawatt.app.market.quotes import Quote, ReservationQuestion
from gigawatt.app.market.room import Room
from gigawatt.errors import (
    ConflictError,
    ImpossibleError,
    InputError,
    NoCapacityError,
    UnknownIdError,
)
from gigawatt.fleet.model import U16, Fleet
from gigawatt.identity.accounts import AccountId
from gigawatt.identity.quota import check_quota
from gigawatt.ids import FabricId, NodeId, ReservationId, SiteId
from gigawatt.intent.reservation import (
    ReservationRequest,
    check_reservation_request,
    cluster_of,
)
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.reservations import (
    CancellationTerms,
    ReservationBook,
    ReservationRecord,
)
from gigawatt.market.calendar import Reservation, check_reservation
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.money import format_usd
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement
from gigawatt.planner.launch import PLAN_TTL_S, refused
from gigawatt.units import DAY_S

FREE_CANCELLATION_S = 7.0 * DAY_S
"""Until so long before its start a reservation is given up for nothing. Ours: time enough to
promise the nodes to somebody else."""

RETRY_COUNT_MAX = 5
"""Times a booking is planned again when somebody was faster."""


class Reservations:
    """Plans, books and cancels."""

    def __init__(
        self, control: Control, book: ReservationBook, quote: Quote, directory: Directory
    ) -> None:
        """Sell what a control plane has, at what ``quote`` says, to projects of a directory."""
        self._directory = directory
        self._control = control
        self.records = book
        self._quote = quote
        self.policy = control.notice_policy

    def room(self) -> Room:
        """What can be promised now."""
        around = self._control.around
        now_s = around.clock.now_s()
        return Room(around.fleet, around.store.snapshot(now_s), self.policy, now_s)

    def plan(
        self, request: ReservationRequest, account_id: AccountId | None = None
    ) -> ReservationRecord:
        """Work a reservation out and keep it, at a price that binds until it lapses.

        Raises:
            InputError: the wish is wrong, or nobody set a price.
            ImpossibleError: it would not fit an empty fleet, or costs more than it may.
            NoCapacityError: the nodes are not free in that time.
        """
        drawn = ReservationId(self._control.new_id("res"))
        return self.records.plan(self._planned(request, account_id, drawn)[0])

    def book(self, reservation_id: ReservationId) -> ReservationRecord:
        """Promise exactly what was planned.

        Raises:
            ConflictError: it has lapsed, or somebody was faster.
            UnknownIdError: there is none.
        """
        return self.records.book(
            reservation_id, None, self.policy, self._control.around.clock.now_s()
        )

    def create(
        self,
        request: ReservationRequest,
        account_id: AccountId | None = None,
        reservation_id: ReservationId | None = None,
    ) -> ReservationRecord:
        """Plan and book in one, planning again when somebody was faster.

        Under one ``reservation_id``, drawn here if None, it is booked once however often it is
        asked for.

        Raises:
            InputError: as ``plan``.
            ImpossibleError: as ``plan``.
            NoCapacityError: as ``plan``.
            ConflictError: somebody was faster every time.
        """
        drawn = reservation_id or ReservationId(self._control.new_id("res"))
        with suppress(UnknownIdError):
            if reservation_id is not None and self.records.get(drawn).state == "booked":
                return self.records.get(drawn)
        for is_last in (*(False,) * (RETRY_COUNT_MAX - 1), True):
            record, generation = self._planned(request, account_id, drawn)
            self.records.plan(record)
            now_s = self._control.around.clock.now_s()
            parent = None if is_last else generation
            with suppress(*(() if is_last else (ConflictError,))):
                return self.records.book(drawn, parent, self.policy, now_s)
        raise AssertionError("the last try returns or raises")

    def cancel(self, reservation_id: ReservationId) -> ReservationRecord:
        """Give a reservation up under its terms.

        Raises:
            ConflictError: it has begun.
            UnknownIdError: there is none.
        """
        return self.records.cancel(reservation_id, self._control.around.clock.now_s())

    def _planned(
        self,
        request: ReservationRequest,
        account_id: AccountId | None,
        reservation_id: ReservationId,
    ) -> tuple[ReservationRecord, int]:
        room = self.room()
        now_s = room.now_s
        check_reservation_request(request, now_s)
        from_s = now_s if request.from_s is None else request.from_s
        to_s = from_s + request.length_s
        self._refuse_beyond_grant(request, from_s, to_s)
        fleet, free = room.fleet, room.mask(from_s, to_s)
        placement = _placed(fleet, free, request, request.gpu_count)
        growth = _growth(fleet, free, request, placement)
        site_id = SiteId(fleet.sites.ids[int(fleet.fabrics.site[placement.fabric])])
        price = self._price(request, site_id, now_s)
        promise = Reservation(
            reservation_id=reservation_id,
            tenant_id=request.tenant_id,
            node_ids=_names(fleet, placement),
            growth_node_ids=frozenset() if growth is None else _names(fleet, growth),
            from_s=from_s,
            to_s=to_s,
            is_lent=request.is_lent,
        )
        check_reservation(promise, now_s)
        record = ReservationRecord(
            sequence=0,
            promise=promise,
            account_id=account_id,
            name=request.name,
            state="planned",
            gpu_type=placement.gpu_type,
            site_id=site_id,
            fabric_id=FabricId(fleet.fabrics.ids[placement.fabric]),
            gpu_count=request.gpu_count,
            growth_gpu_count=request.growth_gpu_count,
            leaf_group_count=placement.spread.leaf_group_count,
            price_micro_usd_per_gpu_hour=price,
            month_count=request.month_count,
            cancellation=cancellation_of(request.gpu_count, price, from_s, to_s),
            clear_until_s=to_s + self.policy.clear_s,
            planned_s=now_s,
            expires_s=now_s + PLAN_TTL_S,
            keep_together=request.keep_together,
        )
        return record, room.generation

    def _refuse_beyond_grant(self, request: ReservationRequest, from_s: float, to_s: float) -> None:
        """Refuse more than a project may hold, together with what it reserved in that time.

        Raises:
            QuotaError: it may not have so much.
        """
        try:
            project = self._directory.project(request.tenant_id)
        except UnknownIdError:
            return  # only operators reach a tenant that is no project
        reserved = sum(
            record.gpu_count + record.growth_gpu_count
            for record in self.records.booked(from_s)
            if record.project_id == request.tenant_id and record.promise.from_s < to_s
        )
        check_quota(project, reserved, request.gpu_count + request.growth_gpu_count)

    def _price(self, request: ReservationRequest, site_id: SiteId, now_s: float) -> int:
        price = self._quote(
            ReservationQuestion(
                request.tenant_id,
                request.gpu_type,
                site_id,
                request.gpu_count,
                request.month_count,
                now_s,
            )
        )
        most = request.price_micro_usd_per_gpu_hour_max
        if most is not None and price > most:
            raise ImpossibleError(
                f"reservation {request.name!r} costs {format_usd(price, digits=4)} a GPU-hour, at"
                f" most {format_usd(most, digits=4)} was said",
                next_step="Say a higher price, or a longer time.",
                is_price=True,
            )
        return price


def cancellation_of(
    gpu_count: int, price_micro_usd: int, from_s: float, to_s: float
) -> CancellationTerms:
    """What it costs to give up: nothing until a week before the start, then the first week's price.

    Args:
        gpu_count: GPUs paid for.
        price_micro_usd: of one of them an hour.
        from_s: start.
        to_s: end; a shorter reservation costs what it would have cost.
    """
    charged_ms = round(1000 * min(to_s - from_s, FREE_CANCELLATION_S))
    rated = gpu_count * price_micro_usd * charged_ms
    return CancellationTerms(from_s - FREE_CANCELLATION_S, rated // MS_PER_HOUR)


def _placed(fleet: Fleet, free: U16, request: ReservationRequest, gpu_count: int) -> Placement:
    wish = cluster_of(request, gpu_count)
    answer = place(fleet, free, wish)
    if isinstance(answer, Placement):
        if any(mask != int(fleet.full_gpu_mask_of_node[node]) for node, mask in answer.members):
            raise InputError(
                f"reservation {request.name!r} is of {gpu_count} GPUs, less than a node",
                next_step="Reserve whole nodes.",
            )
        return answer
    error = refused(wish, answer)
    if isinstance(error, NoCapacityError):
        error.next_step = "See when there is room with 'gw capacity', or reserve less."
    raise error


def _growth(
    fleet: Fleet, free: U16, request: ReservationRequest, placement: Placement
) -> Placement | None:
    """Where growth room is: in the same fabric, as near as there is room."""
    if request.growth_gpu_count == 0:
        return None
    rows = [node for node, _ in placement.members]
    rest = np.where(fleet.fabric_of_node == placement.fabric, free, 0).astype(np.uint16)
    rest[rows] = 0
    wish = replace(cluster_of(request, request.growth_gpu_count), name=f"{request.name}")
    answer = place(fleet, rest, wish, rows)
    if isinstance(answer, Placement):
        return answer
    error = NoCapacityError(
        f"{request.growth_gpu_count:,} GPUs of growth room for {request.name!r} are not free beside"
        " it in that time: " + "; ".join(answer.reasons),
        reasons=answer.reasons,
        would_fit=answer.would_fit,
    )
    error.next_step = "Ask for less growth room, or for another time."
    raise error


def _names(fleet: Fleet, placement: Placement) -> frozenset[NodeId]:
    return frozenset(fleet.node_id(node) for node, _ in placement.members)
