"""Goal: the independent checker finds every kind of fault in a plan, and names its rule alone.

Method: good plans of every kind, in which exactly one thing is broken with ``dataclasses.replace``;
the one rule that guards it must fire and no other. A test of its own sees to it that every rule
has such a case.
"""

from dataclasses import replace

import numpy as np
import pytest

from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.keys import keys_of
from gigawatt.boundary.render import render
from gigawatt.boundary.target import Member
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet
from gigawatt.ids import (
    ClusterId,
    FileSystemId,
    NodeId,
    PlanId,
    SiteId,
    StoragePoolId,
    TenantId,
)
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.change import stages_between
from gigawatt.planner.check import RULES, check_plan
from gigawatt.planner.configure import Configuration, plan_configure
from gigawatt.planner.file_system import (
    plan_create_file_system,
    plan_delete_file_system,
    plan_resize_file_system,
)
from gigawatt.planner.launch import PlanIds, plan_launch
from gigawatt.planner.plan import Plan, Stage, make_step
from gigawatt.planner.resize import plan_grow, plan_release, plan_replace, plan_shrink
from gigawatt.planner.snapshot import Snapshot

FLEET = hgx_fleet(128)
EMPTY = Snapshot(FLEET, 7, FLEET.full_gpu_mask_of_node.astype(np.uint16), {}, {}, {})
IDS = PlanIds(PlanId("pln_1"), ClusterId("clu_1"), 1_000.0)
REQUEST = ClusterRequest(TenantId("ten_a"), "train", 32, storage_bytes=1 << 30, spare_count=1)
LAUNCH = plan_launch(EMPTY, REQUEST, IDS)


def after_commit(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """What the planner sees when a plan was committed and carried out."""
    free = snapshot.free_gpu_mask.copy()
    targets = dict(snapshot.targets)
    targets.pop(plan.cluster_id, None)
    for member in plan.before.members if plan.before else ():
        free[snapshot.fleet.node_index(member.node_id)] |= member.gpu_mask
    for member in plan.after.members if plan.after else ():
        free[snapshot.fleet.node_index(member.node_id)] &= ~np.uint16(member.gpu_mask)
    if plan.after:
        targets[plan.cluster_id] = plan.after
    taken: dict = {}
    for target in targets.values():
        for pool, value in keys_of(target):
            taken.setdefault(pool, set()).add(value)
    return Snapshot(
        snapshot.fleet,
        snapshot.generation + 1,
        free,
        targets,
        {pool: frozenset(values) for pool, values in taken.items()},
        snapshot.blocked_nodes,
    )


LIVE = after_commit(EMPTY, LAUNCH)
OTHER_IDS = PlanIds(PlanId("pln_2"), ClusterId("clu_2"), 2_000.0)
OTHER = plan_launch(LIVE, replace(REQUEST, tenant_id=TenantId("ten_b"), spare_count=0), OTHER_IDS)
GROW = plan_grow(LIVE, 16, replace(IDS, plan_id=PlanId("pln_3")))
SHRINK = plan_shrink(LIVE, 8, replace(IDS, plan_id=PlanId("pln_4")))
REPLACE = plan_replace(LIVE, [LAUNCH.after.members[0].node_id], IDS)
RELEASE = plan_release(LIVE, IDS)
CONFIGURE = plan_configure(
    LIVE,
    Configuration(("192.0.2.0/24",), (), (InboundRule("tcp", (22, 22), "0.0.0.0/0"),)),
    replace(IDS, plan_id=PlanId("pln_5")),
)

FILES = FileSystemId(ClusterId("fsy_1"))
FILES_IDS = PlanIds(PlanId("pln_6"), FILES, 3_000.0)
FILES_REQUEST = FileSystemRequest(TenantId("ten_b"), "data", 1 << 40)
CREATE_FILES = plan_create_file_system(LIVE, FILES_REQUEST, FILES_IDS)
WITH_FILES = after_commit(LIVE, CREATE_FILES)
RESIZE_FILES = plan_resize_file_system(WITH_FILES, 1 << 41, None, FILES_IDS)
DELETE_FILES = plan_delete_file_system(WITH_FILES, FILES_IDS)
MOUNTING = plan_launch(
    WITH_FILES,
    replace(REQUEST, tenant_id=TenantId("ten_b"), spare_count=0, mounts=(MountWish(FILES),)),
    OTHER_IDS,
)
MOUNTED = after_commit(WITH_FILES, MOUNTING)
POOL_BYTES = int(FLEET.storage_pools.capacity_bytes[0])
"""What the one storage pool holds."""


@pytest.mark.parametrize(
    "plan", [OTHER, GROW, SHRINK, REPLACE, RELEASE, CONFIGURE, CREATE_FILES], ids=lambda p: p.kind
)
def test_good_plans_are_good(plan):
    assert check_plan(EMPTY, LAUNCH) == ()
    assert check_plan(LIVE, plan) == ()


@pytest.mark.parametrize("plan", [RESIZE_FILES, DELETE_FILES, MOUNTING], ids=lambda p: p.kind)
def test_good_plans_about_a_file_system_are_good(plan):
    assert check_plan(WITH_FILES, plan) == ()


def after(plan: Plan, **changes) -> Plan:
    """The plan with another target after and the steps that belong to it."""
    target = replace(plan.after, **changes)
    try:
        old = render(FLEET, plan.before) if plan.before else ()
        stages = stages_between(old, render(FLEET, target))
    except UnknownIdError:
        stages = plan.stages
    return replace(plan, after=target, stages=stages)


def member(plan: Plan, rank: int, **changes) -> Plan:
    members = list(plan.after.members)
    members[rank] = replace(members[rank], **changes)
    return after(plan, members=tuple(members))


def without_step(plan: Plan, stage: int, number: int = 0) -> Plan:
    stages = list(plan.stages)
    steps = stages[stage].steps
    stages[stage] = replace(stages[stage], steps=steps[:number] + steps[number + 1 :])
    return replace(plan, stages=tuple(stages))


def with_step(plan: Plan, stage: int, number: int, **changes) -> Plan:
    stages = list(plan.stages)
    steps = list(stages[stage].steps)
    steps[number] = replace(steps[number], **changes)
    stages[stage] = replace(stages[stage], steps=tuple(steps))
    return replace(plan, stages=tuple(stages))


def index_of(plan: Plan, stage: int, device_class: str) -> int:
    steps = plan.stages[stage].steps
    return next(i for i, step in enumerate(steps) if step.device.startswith(device_class))


def swapped(plan: Plan, one: int, two: int) -> Plan:
    stages = list(plan.stages)
    stages[one], stages[two] = stages[two], stages[one]
    return replace(plan, stages=tuple(stages))


def rewritten(plan: Plan, stage: int, device_class: str, **changes) -> Plan:
    """The plan in which the first entry of a step has other values."""
    number = index_of(plan, stage, device_class)
    step = plan.stages[stage].steps[number]
    entries = (replace(step.entries[0], **changes), *step.entries[1:])
    new = make_step(step.action, step.plane, step.device, entries, step.node_id)
    return with_step(plan, stage, number, key=new.key, entries=new.entries)


HOLD, CLOSE, BOOT = range(3)
FREE_NODE = NodeId(FLEET.nodes.ids[-1])
HELD_NODE = LAUNCH.after.members[0].node_id
BLOCKED = replace(LIVE, blocked_nodes={OTHER.after.members[0].node_id: "drained: fan"})
TAKEN = replace(
    LIVE,
    taken_keys={
        **LIVE.taken_keys,
        "vni/site-a": LIVE.taken_keys["vni/site-a"] | {OTHER.after.keys.vni},
    },
)
REPORT = OTHER.report
OLD_KEYS = LAUNCH.after.keys

NINE_GPUS = replace(LIVE, free_gpu_mask=np.where(LIVE.free_gpu_mask, 0x1FF, 0).astype(np.uint16))
NINTH_PRICE = REPORT.price_micro_usd_per_hour // 32
WITH_NINTH = replace(
    member(OTHER, 0, gpu_mask=0x1FF),
    report=replace(REPORT, price_micro_usd_per_hour=33 * NINTH_PRICE),
)

WITH_HALF = replace(
    member(OTHER, 0, gpu_mask=0x0F),
    report=replace(REPORT, price_micro_usd_per_hour=28 * NINTH_PRICE),
)
METAL = replace(FLEET.node_types[0], is_bare_metal=True)
ON_METAL = replace(LIVE, fleet=replace(FLEET, node_types=(METAL, *FLEET.node_types[1:])))


def repriced(plan: Plan, price: int, **changes) -> Plan:
    """The plan with its first member at another price, and a sum that says so."""
    first, *others = plan.after.members
    was = first.price_micro_usd_per_gpu_hour
    total = plan.report.price_micro_usd_per_hour + 8 * (price - was)
    target = replace(
        plan.after,
        members=(replace(first, price_micro_usd_per_gpu_hour=price), *others),
        **changes,
    )
    report = replace(plan.report, price_micro_usd_per_hour=total)
    return replace(plan, after=target, report=report)


NEWCOMER = plan_replace(
    replace(
        LIVE, targets={IDS.cluster_id: replace(LAUNCH.after, members=LAUNCH.after.members[:4])}
    ),
    [LAUNCH.after.members[0].node_id],
    IDS,
)
"""A replacement by a node that nobody held."""
WITHOUT_SPARE = replace(LIVE, targets={IDS.cluster_id: NEWCOMER.before})

CASES = {
    "promises: a node that stays": (LIVE, repriced(SHRINK, 1), "promises"),
    "promises: a node that joins": (LIVE, repriced(OTHER, 1), "promises"),
    "promises: not what its rank cost": (WITHOUT_SPARE, repriced(NEWCOMER, 1), "promises"),
    "price_limit: dearer than was said": (
        LIVE,
        replace(OTHER, after=replace(OTHER.after, price_micro_usd_per_gpu_hour_max=1)),
        "price_limit",
    ),
    "masks: a part of a bare-metal node": (ON_METAL, WITH_HALF, "masks"),
    "masks: a GPU that is not there": (NINE_GPUS, WITH_NINTH, "masks"),
    "place: storage pool": (
        LIVE,
        after(OTHER, pool_id=StoragePoolId("tape"), storage_bytes=0),
        "place",
    ),
    "parent: generation": (LIVE, replace(OTHER, parent_generation=99), "parent"),
    "parent: expires at once": (LIVE, replace(OTHER, expires_s=OTHER.created_s), "parent"),
    "parent: another target before": (
        replace(LIVE, targets={IDS.cluster_id: replace(LAUNCH.after, image="x")}),
        RELEASE,
        "parent",
    ),
    "identity: cluster": (LIVE, after(OTHER, tenant_id=TenantId("ten_x")), "identity"),
    "identity: tenant": (LIVE, replace(OTHER, tenant_id=TenantId("ten_x")), "identity"),
    "identity: no target": (
        LIVE,
        replace(OTHER, after=None, stages=()),
        "identity",
    ),
    "members: quarantined": (
        LIVE,
        replace(OTHER, quarantined=(OTHER.after.members[0].node_id,)),
        "members",
    ),
    "members: same host index": (LIVE, member(OTHER, 1, host_index=0), "members"),
    "capacity: blocked": (BLOCKED, OTHER, "capacity"),
    "capacity: held by another": (LIVE, member(OTHER, 0, node_id=HELD_NODE), "capacity"),
    "keys: outside": (LIVE, after(OTHER, keys=replace(OTHER.after.keys, p_key=0x8001)), "keys"),
    "keys: of another": (
        LIVE,
        after(OTHER, keys=replace(OTHER.after.keys, vni=OLD_KEYS.vni)),
        "keys",
    ),
    "keys: not free": (TAKEN, OTHER, "keys"),
    "keys: change": (LIVE, after(GROW, keys=replace(OLD_KEYS, vni=4_200)), "keys"),
    "storage: no room": (
        replace(
            WITH_FILES,
            targets={
                **LIVE.targets,
                FILES: replace(CREATE_FILES.after, storage_bytes=POOL_BYTES - (1 << 30)),
            },
        ),
        replace(MOUNTING, parent_generation=WITH_FILES.generation),
        "storage",
    ),
    "storage: no quota": (LIVE, after(CREATE_FILES, storage_bytes=0), "storage"),
    "mounts: nothing there": (
        replace(WITH_FILES, targets=LIVE.targets),
        MOUNTING,
        "mounts",
    ),
    "mounts: another tenant's": (
        replace(
            WITH_FILES,
            targets={
                **WITH_FILES.targets,
                FILES: replace(CREATE_FILES.after, tenant_id=TenantId("ten_z")),
            },
        ),
        MOUNTING,
        "mounts",
    ),
    "mounts: on its way out": (
        replace(WITH_FILES, unready={FILES: "releasing"}),
        MOUNTING,
        "mounts",
    ),
    "mounts: another key": (
        WITH_FILES,
        after(MOUNTING, mounts=(replace(MOUNTING.after.mounts[0], filesystem=99),)),
        "mounts",
    ),
    "mounts: deleted in use": (
        MOUNTED,
        replace(DELETE_FILES, parent_generation=MOUNTED.generation),
        "mounts",
    ),
    "steps: one is missing": (LIVE, without_step(OTHER, CLOSE), "steps"),
    "steps: boot before close": (LIVE, swapped(OTHER, CLOSE, BOOT), "steps"),
    "steps: isolate before stop": (LIVE, swapped(RELEASE, 0, 1), "steps"),
    "steps: never cleaned": (LIVE, without_step(RELEASE, 2), "steps"),
    "steps: other address": (LIVE, rewritten(OTHER, CLOSE, "port/", ipv4="10.9.9.9/20"), "steps"),
    "steps: other image": (LIVE, rewritten(OTHER, BOOT, "host/", image="rootkit"), "steps"),
    "step_keys: twice": (
        LIVE,
        with_step(OTHER, CLOSE, 0, key=OTHER.stages[CLOSE].steps[1].key),
        "step_keys",
    ),
    "nodes_at_risk: a shared device": (
        LIVE,
        with_step(OTHER, CLOSE, index_of(OTHER, CLOSE, "fabric/"), node_id=FREE_NODE),
        "nodes_at_risk",
    ),
    "nodes_at_risk: another node": (
        LIVE,
        with_step(OTHER, CLOSE, index_of(OTHER, CLOSE, "port/"), node_id=FREE_NODE),
        "nodes_at_risk",
    ),
    "nodes_at_risk: nobody": (LIVE, with_step(OTHER, HOLD, 0, node_id=None), "nodes_at_risk"),
    "report: price": (
        LIVE,
        replace(OTHER, report=replace(REPORT, price_micro_usd_per_hour=1)),
        "report",
    ),
    "report: spread": (
        LIVE,
        replace(OTHER, report=replace(REPORT, spread=replace(REPORT.spread, pod_count=9))),
        "report",
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_one_broken_thing_is_found_by_its_rule_alone(name):
    snapshot, plan, rule = CASES[name]
    assert {note.rule for note in check_plan(snapshot, plan)} == {rule}


def test_a_node_that_is_not_there_is_found():
    nobody = check_plan(LIVE, member(OTHER, 0, node_id=NodeId("nowhere")))
    assert {note.rule for note in nobody} >= {"masks", "steps"}


def test_a_node_that_is_a_member_twice_is_found():
    twice = (*OTHER.after.members, replace(OTHER.after.members[0], host_index=40))
    assert "members" in {n.rule for n in check_plan(LIVE, after(OTHER, members=twice))}


def test_a_cluster_without_a_member_is_found():
    assert "members" in {n.rule for n in check_plan(LIVE, after(OTHER, members=()))}


def test_a_file_system_with_a_member_is_found():
    holder = replace(CREATE_FILES.after, members=MOUNTING.after.members[:1])
    wrong = replace(CREATE_FILES, after=holder)
    assert "members" in {n.rule for n in check_plan(LIVE, wrong)}


def test_a_member_on_another_fabric_is_found():
    fleet = mixed_fleet()
    empty = Snapshot(fleet, 1, fleet.full_gpu_mask_of_node.astype(np.uint16), {}, {}, {})
    plan = plan_launch(empty, ClusterRequest(TenantId("ten_a"), "x", 16, gpu_type="h100"), IDS)
    stranger = next(n for n in fleet.nodes.ids if n.startswith("a"))
    strange = Member(NodeId(stranger), plan.after.members[0].gpu_mask, "member", 30)
    wrong = replace(plan.after, members=(*plan.after.members, strange))
    assert "place" in {n.rule for n in check_plan(empty, replace(plan, after=wrong))}
    elsewhere = replace(plan.after, site_id=SiteId("site-b"))
    assert "place" in {n.rule for n in check_plan(empty, replace(plan, after=elsewhere))}


def test_a_storage_pool_or_site_that_is_not_there_is_found():
    """The checker says so; it does not fall over what it cannot render."""
    tape = replace(OTHER.after, pool_id=StoragePoolId("tape"))
    assert {n.rule for n in check_plan(LIVE, replace(OTHER, after=tape))} >= {"place", "steps"}
    moon = replace(OTHER.after, site_id=SiteId("moon"))
    assert {n.rule for n in check_plan(LIVE, replace(OTHER, after=moon))} >= {"place", "steps"}


def test_a_step_that_writes_to_another_device_is_found():
    number = index_of(OTHER, CLOSE, "port/")
    wrong = with_step(OTHER, CLOSE, number, device=f"port/{FREE_NODE}", node_id=FREE_NODE)
    assert {n.rule for n in check_plan(LIVE, wrong)} == {"steps"}


def test_a_host_that_is_on_for_one_stage_only_with_its_port_open_is_found():
    """Though in the end all is as it should be."""
    port = index_of(OTHER, CLOSE, "port/")
    step = OTHER.stages[CLOSE].steps[port]
    late = without_step(OTHER, CLOSE, port)
    late = replace(late, stages=(*late.stages, Stage("late", (step,), verify=True)))
    found = check_plan(LIVE, late)
    assert {n.rule for n in found} == {"steps"}
    assert any("runs without its in-band port" in n.sentence for n in found)
    assert isinstance(step.entries[0], NetworkPort)


def test_every_rule_has_a_case():
    alone = {case[2] for case in CASES.values()}
    assert alone == set(RULES)
    assert isinstance(OTHER.stages[BOOT].steps[0].entries[0], HostSlice)
