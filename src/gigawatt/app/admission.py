"""Admission: who may have what now, who waits, and the record of what was turned away."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from gigawatt.app.control import Control
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.market.budgets import Budgets
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import (
    GigawattError,
    ImpossibleError,
    InputError,
    NoCapacityError,
    QuotaError,
    UnknownIdError,
)
from gigawatt.fleet.model import Fleet
from gigawatt.identity.accounts import AccountId
from gigawatt.identity.quota import (
    WAITING_COUNT_DEFAULT,
    Held,
    check_limits,
    check_quota,
    check_storage_quota,
)
from gigawatt.ids import OperationId, WaitingId
from gigawatt.intent.queue import QueuePolicy
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.intent.term import Term
from gigawatt.interfaces.codec import request_to_json
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.limits import LimitBook
from gigawatt.interfaces.storage_quota import StorageQuotas
from gigawatt.interfaces.turned_away import Cause, Origin, Outcome, TurnedAway, TurnedAwayBook
from gigawatt.interfaces.waiting import WaitingRequest, WaitingRoom
from gigawatt.market.order import ORDER, Order
from gigawatt.planner.launch import at_its_mounts, placed_when_empty
from gigawatt.planner.plan import Plan
from gigawatt.planner.snapshot import Snapshot

HOW_TO_WAIT = (
    "Take one of the alternatives, relax a constraint, or keep a place in the queue: "
    "gw queue add, or POST /gw/v1/waiting."
)

_log = logging.getLogger("gigawatt.admission")


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to wait, as its sender said it.

    Fields: see ``WaitingRequest``; patience_s is how long it waits before it gives up.
    """

    request: ClusterRequest
    account_id: AccountId | None
    price_micro_usd_per_gpu_hour_max: int | None
    duration_s: float | None
    patience_s: float


@dataclass(slots=True)
class Admission:
    """What decides whether and when a request is served.

    Attributes:
        order: of classes: who is served first, and who gives way for whom.
        later: says when what does not fit now could start, None where nobody knows.
        unrecorded_count: refusals that could not be recorded since this server began.
    """

    control: Control
    directory: Directory
    room: WaitingRoom
    book: TurnedAwayBook
    limits: LimitBook
    storage_quotas: StorageQuotas
    follower: FirewallFollower
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    unrecorded_count: int = 0
    budgets: Budgets | None = None
    later: Callable[[ClusterRequest], str | None] = lambda _: None
    order: Order = ORDER

    @property
    def fleet(self) -> Fleet:
        """What exists."""
        return self.control.around.fleet

    def now_s(self) -> float:
        """Unix seconds."""
        return self.control.around.clock.now_s()

    def judge(self, view: Snapshot, plan: Plan) -> None:
        """Refuse a plan that its project may not have, or for which others waited too long.

        Raises:
            ConflictError: what it lets in is not what its firewall rulesets say.
            InputError: it is spot, whose price no single plan can know.
            QuotaError: the project may not hold so much, or a cap on spending would be passed.
            NoCapacityError: it would take GPUs from a request that ran out of patience.
        """
        if plan.before is None and plan.report.term is Term.SPOT:
            raise InputError(
                "spot is not created but bid for",
                next_step="Bid: gw queue add --term spot --max-price, or POST /gw/v1/waiting.",
            )
        self.judge_limits(view, plan)
        self._judge_turn(plan)

    def judge_limits(self, view: Snapshot, plan: Plan) -> None:
        """Refuse a plan that its project may not have, as of a commit's own snapshot.

        Raises:
            ConflictError: what it lets in is not what its firewall rulesets say.
            QuotaError: the project may not hold so much, or a cap on spending would be passed.
            UnknownIdError: the project was deleted.
        """
        self.follower.admit(view, plan)
        try:
            project = self.directory.project(plan.tenant_id)
        except UnknownIdError:
            # Only operators reach a tenant that has no project; the command line made it. What is
            # made through here was for a project, which was deleted since.
            if plan.before is None:
                raise
            return
        mine = [t for t in view.targets.values() if t.tenant_id == plan.tenant_id]
        held = held_by_type(view.fleet, mine)
        before, after = (
            held_by_type(view.fleet, [target] if target else [])
            for target in (plan.before, plan.after)
        )
        more = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
        check_quota(project, sum(held.values()), sum(more.values()))
        check_limits(
            plan.tenant_id,
            self.limits.limits(plan.tenant_id),
            Held(held, sum(not target.is_file_system for target in mine)),
            Held(more, int(plan.before is None and bool(after))),
        )
        check_storage_quota(
            project,
            self.storage_quotas.granted_bytes(project.project_id),
            sum(target.storage_bytes for target in mine),
            _bytes_of(plan.after) - _bytes_of(plan.before),
        )
        if self.budgets is not None:
            self.budgets.admit(view, plan)

    def _judge_turn(self, plan: Plan) -> None:
        """Nobody passes those who were passed for too long, by asking directly either."""
        if plan.after is None or gpus_of(plan.after) <= gpus_of(plan.before):
            return
        place = f"{plan.report.gpu_type}@{plan.after.fabric_id}"
        for waiting in self.room.overdue(self.now_s() - self.policy.patience_s):
            if place in waiting.places:
                reason = "a request that waits for them was passed for too long and is served first"
                raise NoCapacityError(
                    f"{plan.report.gpu_count:,} GPUs for {plan.after.name!r} are not given now:"
                    f" {reason}",
                    reasons=(reason,),
                )

    def places_of(self, request: ClusterRequest) -> frozenset[str]:
        """Where a request could go: GPU type and fabric, as far as type, site and price allow."""
        fleet, prices = self.fleet, self.control.prices_for(request)
        price_max = request.price_micro_usd_per_gpu_hour_max
        found = set()
        kinds = zip(fleet.nodes.type.tolist(), fleet.fabric_of_node.tolist(), strict=True)
        for type_row, fabric in set(kinds):
            kind, site = fleet.node_types[type_row], int(fleet.fabrics.site[fabric])
            price = prices.of(kind, fleet.sites.ids[site])
            is_wanted = (
                request.gpu_type in {None, kind.gpu_type}
                and (not request.site_ids or fleet.sites.ids[site] in request.site_ids)
                and (not request.countries or fleet.sites.country[site] in request.countries)
                and price is not None
                and (price_max is None or price.price_micro_usd_per_gpu_hour <= price_max)
            )
            if is_wanted:
                found.add(f"{kind.gpu_type}@{fleet.fabrics.ids[fabric]}")
        return frozenset(found)

    def wait(self, wish: Wish, operation_id: OperationId) -> WaitingRequest:
        """Keep a request that waits; one that could never be served is refused.

        Raises:
            InputError: the request is wrong.
            ImpossibleError: it would not fit an empty fleet, or costs more than it may.
            QuotaError: it is larger than its project's grant, or too many wait already.
            ConflictError: a request of this name waits already, or the queue is full.
        """
        now_s, request = self.now_s(), within(wish.request, wish.price_micro_usd_per_gpu_hour_max)
        view = self.control.snapshot()
        placement = placed_when_empty(view, request, self.control.prices_for(request))
        gpu_count = sum(mask.bit_count() for _, mask in (*placement.members, *placement.spares))
        self._refuse_beyond_grant(request, gpu_count)
        most = self.limits.limits(request.tenant_id).waiting_count_max
        return self.room.add(
            WaitingRequest(
                sequence=0,
                waiting_id=WaitingId(self.control.new_id("wai")),
                account_id=wish.account_id,
                request=request,
                gpu_count=gpu_count,
                gpu_type=placement.gpu_type,
                places=self.places_of(at_its_mounts(view, request)),
                price_micro_usd_per_gpu_hour_max=request.price_micro_usd_per_gpu_hour_max,
                duration_s=wish.duration_s,
                operation_id=operation_id,
                since_s=now_s,
                expires_s=now_s + wish.patience_s,
                front_since_s=None,
                state="waiting",
                state_reason="",
                state_since_s=now_s,
                why=None,
                cluster_id=None,
                launch_count=0,
            ),
            WAITING_COUNT_DEFAULT if most is None else most,
        )

    def _refuse_beyond_grant(self, request: ClusterRequest, gpu_count: int) -> None:
        """Waiting for what the whole grant does not cover would be waiting for an operator."""
        try:
            project = self.directory.project(request.tenant_id)
        except UnknownIdError:
            return
        check_quota(project, 0, gpu_count)
        if request.gpu_type is not None:
            limits = self.limits.limits(request.tenant_id)
            check_limits(request.tenant_id, limits, Held(), Held({request.gpu_type: gpu_count}, 0))

    @contextmanager
    def recorded(self, request: ClusterRequest, origin: Origin, source_key: str) -> Iterator[None]:
        """Note what the block refuses for capacity, quota, price or because it cannot be.

        A note that cannot be kept is logged and counted; the refusal stands as it is.

        Raises:
            NoCapacityError: as the block did, with the way to wait as its next step.
            QuotaError: as the block did.
            ImpossibleError: as the block did.
        """
        try:
            yield
        except (NoCapacityError, QuotaError, ImpossibleError) as error:
            if isinstance(error, NoCapacityError):
                error.next_step = HOW_TO_WAIT
                self._tell_later(error, request)
            reasons = getattr(error, "reasons", ()) or (str(error),)
            row = self._row(request, cause_of(error), origin, reasons)
            self._keep(replace(row, source_key=source_key))
            raise

    def _tell_later(self, error: NoCapacityError, request: ClusterRequest) -> None:
        """Add to what would fit when the request itself would, if that is known."""
        with suppress(GigawattError):
            sentence = self.later(request)
            if sentence is not None:
                error.would_fit = (*error.would_fit, sentence)

    def _keep(self, row: TurnedAway) -> None:
        try:
            self.book.record(row)
        except GigawattError as error:
            self.unrecorded_count += 1
            _log.error("turned-away demand is not recorded: %s", error)

    def ended(self, waiting: WaitingRequest, outcome: Outcome) -> TurnedAway:
        """The row of a request whose wait ends without GPUs."""
        why = waiting.why
        cause: Cause = "quota" if why is not None and why.kind == "limit" else "capacity"
        row = self._row(waiting.request, cause, "waiting", (why.sentence,) if why else ())
        return replace(
            row,
            source_key=f"{waiting.waiting_id} {outcome}",
            outcome=outcome,
            price_micro_usd_per_gpu_hour_max=waiting.price_micro_usd_per_gpu_hour_max,
            duration_s=waiting.duration_s,
            waited_s=max(0.0, self.now_s() - waiting.since_s),
        )

    def _row(
        self, request: ClusterRequest, cause: Cause, origin: Origin, reasons: tuple[str, ...]
    ) -> TurnedAway:
        known = {kind.gpu_type: kind.price_micro_usd_per_gpu_hour for kind in self.fleet.node_types}
        gpu_type = request.gpu_type or "any"
        if request.gpu_type is not None and request.gpu_type not in known:
            gpu_type = "unknown"
        price = min(known.values()) if request.gpu_type is None else known.get(request.gpu_type)
        return TurnedAway(
            sequence=0,
            source_key="",
            at_s=self.now_s(),
            project_id=request.tenant_id,
            cause=cause,
            origin=origin,
            outcome="refused",
            gpu_type=gpu_type,
            gpu_count=request.gpu_count,
            shape=shape_of(request),
            price_micro_usd_per_gpu_hour_max=request.price_micro_usd_per_gpu_hour_max,
            list_price_micro_usd_per_hour=None if price is None else price * request.gpu_count,
            duration_s=None,
            waited_s=0.0,
            reasons=tuple(reason[:500] for reason in reasons[:10]),
            fingerprint=fingerprint_of(request),
        )


def within(request: ClusterRequest, price_micro_usd_max: int | None) -> ClusterRequest:
    """The request, for at most a price: its own or the one given, whichever is lower."""
    own = request.price_micro_usd_per_gpu_hour_max
    said = [price for price in (own, price_micro_usd_max) if price is not None]
    return replace(request, price_micro_usd_per_gpu_hour_max=min(said, default=None))


def cause_of(error: GigawattError) -> Cause:
    """Why a request was refused, for the record."""
    if isinstance(error, QuotaError):
        return "quota"
    if isinstance(error, ImpossibleError):
        return "price" if error.is_price else "impossible"
    return "capacity"


def gpus_of(target: ClusterTarget | None) -> int:
    """GPUs that a cluster holds, spares included; 0 for none."""
    return sum(member.gpu_mask.bit_count() for member in target.members) if target else 0


def _bytes_of(target: ClusterTarget | None) -> int:
    return target.storage_bytes if target else 0


def held_by_type(fleet: Fleet, targets: list[ClusterTarget]) -> dict[str, int]:
    """GPUs that clusters hold, spares included, by type; file systems hold none."""
    found: dict[str, int] = {}
    for target in targets:
        if not target.members:
            continue
        first = fleet.node_index(target.members[0].node_id)
        gpu_type = fleet.node_type(first).gpu_type
        found[gpu_type] = found.get(gpu_type, 0) + gpus_of(target)
    return found


def shape_of(request: ClusterRequest) -> str:
    """What else than GPUs a request wants of its cluster, one sentence; empty for nothing."""
    parts: Mapping[str, object] = {
        f"{request.spare_count} spares": request.spare_count,
        f"within one {request.keep_together.value}": request.keep_together is not Level.FABRIC,
        f"segments of {request.segment_node_count} nodes": request.segment_node_count,
        "whole NVLink domains": request.whole_domains,
        **{f"at most {rule.nodes_max} nodes a {rule.per}": True for rule in request.spread},
        "at " + ", ".join(request.site_ids): request.site_ids,
        "in " + ", ".join(request.countries): request.countries,
        f"near {request.near_cluster_id}": request.near_cluster_id,
        f"{request.storage_bytes:,} bytes of storage": request.storage_bytes,
        f"{len(request.mounts)} file systems mounted": request.mounts,
    }
    return "; ".join(words for words, is_wanted in parts.items() if is_wanted)[:500]


def fingerprint_of(request: ClusterRequest) -> str:
    """A text that is equal for equal wishes of one project, whatever they are called."""
    bare = replace(request, name="", ssh_public_keys=(), egress_cidrs=(), inbound_rules=())
    # Read and written again with sorted keys and no set order.
    document = json.loads(request_to_json(bare))
    document["excluded_node_ids"] = sorted(document["excluded_node_ids"])
    text = json.dumps(document, sort_keys=True)
    return blake2b(text.encode(), digest_size=12).hexdigest()
