"""Goal: whatever tenants ask for in whatever order, every plan is right and fences everybody.

Method: hypothesis draws sequences of launches, guests, grows, shrinks, replaces and releases on
small fleets of each make; every plan must satisfy the independent checker, equal itself when made
again, and leave targets that the isolation proof accepts.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.keys import keys_of
from gigawatt.boundary.proof import prove
from gigawatt.boundary.render import render
from gigawatt.errors import InputError, NoCapacityError
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet, nvl72_fleet
from gigawatt.ids import ClusterId, PlanId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.check import check_plan
from gigawatt.planner.launch import PlanIds, plan_launch
from gigawatt.planner.plan import Plan
from gigawatt.planner.resize import (
    plan_grow,
    plan_release,
    plan_replace,
    plan_shrink,
    substitute,
)
from gigawatt.planner.snapshot import Snapshot

FLEETS = {"hgx": hgx_fleet(128), "nvl72": nvl72_fleet(2), "mixed": mixed_fleet()}

WISHES = st.tuples(
    st.sampled_from(["launch", "guest", "grow", "shrink", "replace", "release"]),
    st.integers(0, 2**16),
    st.integers(1, 6),
    st.integers(0, 2),
    st.booleans(),
)


def snapshot_of(fleet, generation, targets, quarantined) -> Snapshot:
    """What a store would tell when ``targets`` are live."""
    free = fleet.full_gpu_mask_of_node.astype(np.uint16)
    taken: dict = {}
    for target in targets.values():
        for member in target.members:
            free[fleet.node_index(member.node_id)] &= ~np.uint16(member.gpu_mask)
        for pool, value in keys_of(target):
            taken.setdefault(pool, set()).add(value)
    for node_id in quarantined:
        free[fleet.node_index(node_id)] = 0
    return Snapshot(
        fleet,
        generation,
        free,
        dict(targets),
        {pool: frozenset(values) for pool, values in taken.items()},
        dict.fromkeys(quarantined, "quarantined: gone"),
    )


def plan_wish(view: Snapshot, wish, ids: PlanIds) -> Plan:
    kind, draw, size, spares, stores = wish
    per_node = view.fleet.node_type(draw % len(view.fleet.nodes)).gpu_count
    gpu_type = view.fleet.node_type(draw % len(view.fleet.nodes)).gpu_type
    live = sorted(view.targets)
    if kind in {"launch", "guest"} or not live:
        is_guest = kind == "guest"
        request = ClusterRequest(
            TenantId(f"ten_{draw % 5}"),
            f"c{ids.plan_id[4:]}",
            max(1, per_node // (2 << (draw % 2))) if is_guest else size * per_node,
            gpu_type=gpu_type,
            spare_count=0 if is_guest else spares,
            storage_bytes=(1 << 30) if stores else 0,
            egress_cidrs=("192.0.2.0/24",) if stores else (),
        )
        return plan_launch(view, request, ids)
    ids = replace(ids, cluster_id=live[draw % len(live)])
    target = view.targets[ids.cluster_id]
    per_node = target.members[0].gpu_mask.bit_count()
    if kind == "grow":
        return plan_grow(view, size * per_node, ids)
    if kind == "shrink":
        return plan_shrink(view, size * per_node, ids)
    if kind == "replace":
        failed = {m.node_id for i, m in enumerate(target.members) if draw >> i & 1}
        return plan_replace(view, failed or {target.members[0].node_id}, ids)
    return plan_release(view, ids)


@pytest.mark.parametrize("name", list(FLEETS))
@settings(max_examples=15, deadline=None)
@given(wishes=st.lists(WISHES, min_size=3, max_size=14))
def test_any_sequence_of_wishes_is_planned_right_and_fences_everybody(name, wishes):
    fleet, targets, quarantined = FLEETS[name], {}, set()
    for number, wish in enumerate(wishes):
        view = snapshot_of(fleet, number, targets, quarantined)
        ids = PlanIds(PlanId(f"pln_{number}"), ClusterId(f"clu_{number}"), 1e6)
        try:
            plan = plan_wish(view, wish, ids)
        except (InputError, NoCapacityError):
            continue
        assert check_plan(view, plan) == ()
        again = plan_wish(snapshot_of(fleet, number, targets, quarantined), wish, ids)
        assert again == plan
        targets.pop(plan.cluster_id, None)
        if plan.after is not None:
            targets[plan.cluster_id] = plan.after
        quarantined |= set(plan.quarantined)
    live = list(targets.values())
    entries = [entry for target in live for entry in render(fleet, target)]
    proof = prove(fleet, live, entries)
    assert proof.is_proven, proof.violations


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.sets(st.integers(0, 9), max_size=5))
def test_a_substitute_keeps_ranks_and_no_node_that_failed(nodes, spares, ranks):
    fleet = FLEETS["hgx"]
    view = snapshot_of(fleet, 1, {}, set())
    request = ClusterRequest(TenantId("ten_a"), "train", 8 * nodes, spare_count=spares)
    plan = plan_launch(view, request, PlanIds(PlanId("pln_1"), ClusterId("clu_1"), 1e6))
    members = plan.after.members
    failed = {members[rank].node_id for rank in ranks if rank < len(members)}
    revised = substitute(fleet, plan, failed)
    lost = sum(m.node_id in failed and m.role == "member" for m in members)
    left = sum(m.node_id not in failed and m.role == "spare" for m in members)
    assert (revised is None) == (lost > left)
    if revised is None:
        return
    before, after = plan.after.active_members, revised.after.active_members
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert new.node_id not in failed
        assert old.node_id in failed or new == old
    assert set(revised.quarantined) == failed
    kept = {step.key for step in plan.steps if step.node_id and step.node_id not in failed}
    assert len(kept - {step.key for step in revised.steps}) <= spares * 5
    leaving = {e.device for s in revised.steps if s.action == "remove" for e in s.entries}
    assert {f"{own}/{node}" for node in failed for own in ("host", "port", "bmc")} <= leaving


def test_a_second_substitute_still_removes_what_the_first_gave_up():
    fleet = FLEETS["hgx"]
    view = snapshot_of(fleet, 1, {}, set())
    request = ClusterRequest(TenantId("ten_a"), "train", 16, spare_count=2)
    plan = plan_launch(view, request, PlanIds(PlanId("pln_1"), ClusterId("clu_1"), 1e6))
    first, second = (member.node_id for member in plan.after.members[:2])
    revised = substitute(fleet, substitute(fleet, plan, {first}), {second})
    leaving = {e.device for s in revised.steps if s.action == "remove" for e in s.entries}
    assert {f"host/{first}", f"host/{second}"} <= leaving
    assert check_fabric(revised, {first, second}, fleet)


def check_fabric(plan, nodes, fleet) -> bool:
    """Whether every NIC of the nodes leaves the fabric."""
    guids = {
        int(fleet.nics.guid[row])
        for row in range(len(fleet.nics))
        if fleet.nodes.ids[int(fleet.nics.node[row])] in nodes
    }
    steps = [s for s in plan.steps if s.action == "remove" and s.device.startswith("fabric/")]
    return guids == {entry.guid for step in steps for entry in step.entries}
