"""The independent checker: finds what is wrong with a plan, without calling the planner.

It looks at targets and steps only, re-derives every invariant from the snapshot and the fleet,
and never asks how the plan was made. A plan with a note is not committed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gigawatt.boundary.entries import ComputePort, Entry, HostSlice, NetworkPort, PartitionMember
from gigawatt.boundary.keys import key_range, keys_of
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import DeviceId, KeyPoolId, NodeId
from gigawatt.planner.check_prices import above_limit, broken_promises
from gigawatt.planner.plan import Plan, Step
from gigawatt.planner.snapshot import Snapshot

Held = dict[tuple[DeviceId, str], Entry]


@dataclass(frozen=True, slots=True)
class Note:
    """One finding: the rule that is broken, and a sentence that names what breaks it."""

    rule: str
    sentence: str


def _parent(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    if plan.parent_generation != snapshot.generation:
        yield f"parent generation {plan.parent_generation}, the store is at {snapshot.generation}"
    if plan.expires_s <= plan.created_s:
        yield "expires before it was made"
    known = snapshot.targets.get(plan.cluster_id)
    if plan.before != known:
        yield f"target before differs from the committed target of {plan.cluster_id}"


def _identity(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    for target in (plan.before, plan.after):
        if target is not None and target.cluster_id != plan.cluster_id:
            yield f"target of {target.cluster_id} in a plan for {plan.cluster_id}"
        if target is not None and target.tenant_id != plan.tenant_id:
            yield f"target of tenant {target.tenant_id} in a plan of {plan.tenant_id}"
    if plan.before is None and plan.after is None:
        yield "neither a target before nor a target after"


def _members(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    if plan.after is None:
        return
    members = plan.after.members
    if plan.after.is_file_system and members:
        yield f"a file system with {len(members)} members"
    if not plan.after.active_members and not plan.after.is_file_system:
        yield "no member"
    for node_id, count in Counter(m.node_id for m in members).items():
        if count > 1:
            yield f"node {node_id} is a member {count} times"
    for index, count in Counter(m.host_index for m in members).items():
        if count > 1:
            yield f"host index {index} is used {count} times"
    for node_id in sorted({m.node_id for m in members} & set(plan.quarantined)):
        yield f"node {node_id} is a member and quarantined"


def _masks(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    for member in plan.after.members if plan.after else ():
        row = snapshot.fleet.nodes.index_of.get(member.node_id)
        if row is None:
            yield f"node {member.node_id} is not in the fleet"
        elif not 0 < member.gpu_mask <= int(snapshot.fleet.full_gpu_mask_of_node[row]):
            yield f"node {member.node_id} has no GPU mask {member.gpu_mask:#x}"
        elif snapshot.fleet.node_type(row).is_bare_metal and member.gpu_mask != int(
            snapshot.fleet.full_gpu_mask_of_node[row]
        ):
            yield f"node {member.node_id} is bare metal, and {member.gpu_mask:#x} is a part of it"


def _capacity(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    if plan.after is None:
        return
    kept = {m.node_id: m.gpu_mask for m in (plan.before.members if plan.before else ())}
    for member in plan.after.members:
        row = snapshot.fleet.nodes.index_of.get(member.node_id)
        if row is None or kept.get(member.node_id) == member.gpu_mask:
            continue
        if member.node_id in snapshot.blocked_nodes:
            yield f"node {member.node_id} is blocked: {snapshot.blocked_nodes[member.node_id]}"
        elif member.gpu_mask & ~int(snapshot.free_gpu_mask[row]):
            yield f"node {member.node_id}: GPUs {member.gpu_mask:#x} are not all free"


def _place(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    if plan.after is None:
        return
    fleet, after = snapshot.fleet, plan.after
    for member in after.members:
        row = fleet.nodes.index_of.get(member.node_id)
        if row is None:
            continue
        fabric = fleet.fabrics.ids[int(fleet.fabric_of_node[row])]
        site = fleet.sites.ids[int(fleet.site_of_node[row])]
        if (fabric, site) != (after.fabric_id, after.site_id):
            wanted = f"{after.site_id}/{after.fabric_id}"
            yield f"node {member.node_id} is in {site}/{fabric}, not {wanted}"
    if after.pool_id is None:
        return
    storage_pool = fleet.storage_pools.index_of.get(after.pool_id)
    if storage_pool is None:
        yield f"storage pool {after.pool_id} is not in the fleet"
    elif fleet.sites.ids[int(fleet.storage_pools.site[storage_pool])] != after.site_id:
        yield f"storage pool {after.pool_id} is not at site {after.site_id}"


def _keys(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    if plan.after is None:
        return
    mine = dict(keys_of(plan.before)) if plan.before else {}
    if plan.before is not None and plan.before.keys != plan.after.keys:
        yield "keys change during the life of the cluster"
    others: dict[tuple[KeyPoolId, int], str] = {
        key: target.cluster_id
        for target in snapshot.targets.values()
        if target.cluster_id != plan.cluster_id
        for key in keys_of(target)
    }
    for pool, value in keys_of(plan.after):
        if value not in key_range(pool):
            yield f"key {value} is outside pool {pool}"
        if (pool, value) in others:
            yield f"key {value} of {pool} belongs to {others[pool, value]}"
        elif mine.get(pool) != value and value in snapshot.taken_keys.get(pool, frozenset()):
            yield f"key {value} of {pool} is not free"


def _storage(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Quotas that a storage pool has no room for, and file systems with none."""
    after, before = plan.after, plan.before
    if after is None:
        return
    if after.is_file_system and (after.storage_bytes < 1 or after.keys.filesystem is None):
        yield "a file system without a quota or a key"
    storage_pools = snapshot.fleet.storage_pools
    row = None if after.pool_id is None else storage_pools.index_of.get(after.pool_id)
    is_more = before is None or after.storage_bytes > before.storage_bytes
    if row is None or not is_more:
        return
    total_bytes = after.storage_bytes + sum(
        target.storage_bytes
        for target in snapshot.targets.values()
        if target.pool_id == after.pool_id and target.cluster_id != plan.cluster_id
    )
    if total_bytes > int(storage_pools.capacity_bytes[row]):
        yield f"quotas in {after.pool_id} would be {total_bytes} bytes, more than it has"


def _mounts(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Mounts of what is not the tenant's, not there or not ready; deletes of what is mounted."""
    after, before = plan.after, plan.before
    if before is not None and after is not None and before.mounts != after.mounts:
        yield "mounts change during the life of the cluster"
    for mount in after.mounts if after is not None else ():
        owner = snapshot.targets.get(mount.file_system_id)
        if owner is None or not owner.is_file_system:
            yield f"file system {mount.file_system_id} is not there"
            continue
        if before is None and mount.file_system_id in snapshot.unready:
            yield f"file system {owner.cluster_id} is {snapshot.unready[owner.cluster_id]}"
        if (owner.tenant_id, owner.site_id) != (plan.tenant_id, after.site_id if after else ""):
            yield f"file system {owner.cluster_id} is of {owner.tenant_id} at {owner.site_id}"
        if (owner.pool_id, owner.keys.filesystem) != (mount.pool_id, mount.filesystem):
            yield f"file system {owner.cluster_id} is not {mount.filesystem} in {mount.pool_id}"
    if after is None:
        for target in snapshot.targets.values():
            if any(mount.file_system_id == plan.cluster_id for mount in target.mounts):
                yield f"file system {plan.cluster_id} is mounted by {target.cluster_id}"


def _half_closed(fleet: Fleet, held: Held) -> Iterator[str]:
    """Slices that run while their in-band port or one of their NICs is not in the fabric."""
    wired = {e.guid for e in held.values() if isinstance(e, PartitionMember | ComputePort)}
    reached = {(e.node_id, e.slot) for e in held.values() if isinstance(e, NetworkPort)}
    for host in held.values():
        if not isinstance(host, HostSlice) or host.power == "off":
            continue
        row = fleet.nodes.index_of[host.node_id]
        first = int(fleet.first_nic_of_node[row])
        nics = nics_of_mask(fleet.node_type(row), host.gpu_mask)
        if not all(int(fleet.nics.guid[first + nic]) in wired for nic in nics):
            yield f"{host.node_id} runs with a NIC outside its fabric"
        if (host.node_id, host.slot) not in reached:
            yield f"{host.node_id} runs without its in-band port"


def _unknown(fleet: Fleet, target: ClusterTarget | None) -> Iterator[str]:
    """What a target names and the fleet does not have."""
    if target is None:
        return
    yield from (m.node_id for m in target.members if m.node_id not in fleet.nodes.index_of)
    if target.is_file_system and target.members:
        yield f"a network for the members of {target.cluster_id}"
    if target.site_id not in fleet.sites.index_of:
        yield target.site_id
    if target.storage_bytes and target.pool_id not in fleet.storage_pools.index_of:
        yield f"storage pool {target.pool_id}"


def _entries_of(fleet: Fleet, target: ClusterTarget | None) -> Held:
    return {(e.device, e.key): e for e in (render(fleet, target) if target else ())}


def _play(step: Step, held: Held) -> Iterator[str]:
    for entry in step.entries:
        if (entry.device, entry.plane) != (step.device, step.plane):
            yield f"step {step.key} writes to {entry.device}"
        if step.action == "ensure":
            held[entry.device, entry.key] = entry
        else:
            held.pop((entry.device, entry.key), None)


def _steps(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Play the steps: every stage keeps running hosts closed, and the end is the target after."""
    fleet = snapshot.fleet
    missing = [name for target in (plan.before, plan.after) for name in _unknown(fleet, target)]
    if missing:
        yield f"steps cannot be played: {missing[0]} is not in the fleet"
        return
    held = _entries_of(fleet, plan.before)
    for stage in plan.stages:
        for step in stage.steps:
            yield from _play(step, held)
        for sentence in _half_closed(fleet, held):
            yield f"after {stage.name!r}: {sentence}"
    wanted = _entries_of(fleet, plan.after)
    for place in sorted(held.keys() - wanted.keys()):
        yield f"leaves {place[1]} on {place[0]}"
    for place in sorted(wanted.keys() - held.keys()):
        yield f"never sets {place[1]} on {place[0]}"
    for place in sorted(wanted.keys() & held.keys()):
        if held[place] != wanted[place]:
            yield f"sets {place[1]} on {place[0]} to something else than the target"


def _step_keys(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    for key, count in Counter(step.key for step in plan.steps).items():
        if count > 1:
            yield f"step key {key!r} is used {count} times"


def _nodes_at_risk(_snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        owner, _, name = step.device.partition("/")
        wanted = NodeId(name) if owner in {"port", "bmc", "host"} else None
        if step.node_id != wanted:
            yield f"step {step.key} puts node {step.node_id} at risk, wanted {wanted}"


def _report(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    fleet = snapshot.fleet
    target: ClusterTarget | None = plan.after
    if target is None or any(m.node_id not in fleet.nodes.index_of for m in target.members):
        return
    rows = [(fleet.node_index(m.node_id), m) for m in target.members]
    price = 0
    for row, m in rows:
        bound = m.price_micro_usd_per_gpu_hour
        listed = fleet.node_type(row).price_micro_usd_per_gpu_hour
        price += m.gpu_mask.bit_count() * (listed if bound is None else bound)
    if price != plan.report.price_micro_usd_per_hour:
        yield f"price {plan.report.price_micro_usd_per_hour}, the members cost {price}"
    active = [row for row, m in rows if m.role == "member"]
    shown = (plan.report.spread.pod_count, plan.report.spread.leaf_group_count)
    pods = len({int(fleet.pod_of_node[row]) for row in active})
    groups = len({int(fleet.nodes.leaf_group[row]) for row in active})
    if plan.before is None and shown != (pods, groups):
        yield f"report says {shown} pods and leaf groups, the members span {(pods, groups)}"


RULES: dict[str, Callable[[Snapshot, Plan], Iterator[str]]] = {
    "parent": _parent,
    "identity": _identity,
    "members": _members,
    "masks": _masks,
    "capacity": _capacity,
    "place": _place,
    "keys": _keys,
    "storage": _storage,
    "mounts": _mounts,
    "steps": _steps,
    "step_keys": _step_keys,
    "nodes_at_risk": _nodes_at_risk,
    "report": _report,
    "promises": broken_promises,
    "price_limit": above_limit,
}
"""Every invariant by name; each has a test that breaks exactly that one."""


def check_plan(snapshot: Snapshot, plan: Plan) -> tuple[Note, ...]:
    """Everything that is wrong with a plan; empty when it may be committed."""
    return tuple(
        Note(rule, sentence) for rule, judge in RULES.items() for sentence in judge(snapshot, plan)
    )
