"""The independent check of prices: promises that are kept, and new ones that are the card's."""

from collections.abc import Iterator

from gigawatt.boundary.target import Member
from gigawatt.fleet.model import Fleet
from gigawatt.intent.prices import Prices
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.snapshot import Snapshot

Promise = tuple[str, int | None]
"""Term, micro-USD per GPU-hour."""


def _promise(member: Member) -> Promise:
    return member.term.value, member.price_micro_usd_per_gpu_hour


def _comers(plan: Plan) -> tuple[Member, ...]:
    before = {member.node_id for member in plan.before.members} if plan.before else set()
    return tuple(m for m in (plan.after.members if plan.after else ()) if m.node_id not in before)


def broken_promises(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Members that stay at another price, and members that join at one that nobody was told."""
    known = {m.node_id: _promise(m) for m in (plan.before.members if plan.before else ())}
    for member in plan.after.members if plan.after else ():
        kept = known.get(member.node_id, _promise(member))
        if kept != _promise(member):
            yield f"node {member.node_id} was promised {kept}, and shall be {_promise(member)}"
    told = (plan.report.term.value, plan.report.price_micro_usd_per_gpu_hour)
    lost = {*known} - {m.node_id for m in (plan.after.members if plan.after else ())}
    inherited = {known[node_id] for node_id in lost}
    for member in _comers(plan):
        mine = _promise(member)
        if plan.kind is OperationKind.REPLACE:
            if mine not in inherited:
                yield f"node {member.node_id} takes no lost node's promise, but {mine}"
        elif mine != told and told[1] is not None:
            yield f"node {member.node_id} would be {mine}, the plan says {told}"


def above_limit(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Members that join at a price above what was said at most."""
    after = plan.after
    most = after.price_micro_usd_per_gpu_hour_max if after is not None else None
    if most is None or plan.kind is OperationKind.REPLACE:
        return
    for member in _comers(plan):
        price = member.price_micro_usd_per_gpu_hour
        if price is None or price > most:
            yield f"node {member.node_id} would cost {price}, at most {most} was said"


def check_prices(fleet: Fleet, plan: Plan, prices: Prices) -> tuple[str, ...]:
    """What is wrong with the prices of a launch or a growth that was planned from ``prices``."""
    found = []
    for member in _comers(plan):
        node = fleet.node_index(member.node_id)
        site_id = fleet.sites.ids[int(fleet.site_of_node[node])]
        wanted = prices.of(fleet.node_type(node), site_id)
        asked = None if wanted is None else wanted.price_micro_usd_per_gpu_hour
        if asked is None or (prices.term.value, asked) != _promise(member):
            found.append(f"node {member.node_id} is bound to {_promise(member)}, asked was {asked}")
    return tuple(found)
