"""How a plan is shown before anybody says yes."""

from collections.abc import Collection, Iterator
from typing import Any

from rich.console import Console

from gigawatt.boundary.entries import HostSlice
from gigawatt.boundary.keys import subnet_of
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.target import ClusterTarget
from gigawatt.cli.output import bytes_words, console, count_of, pairs
from gigawatt.ids import NodeId
from gigawatt.money import format_usd
from gigawatt.placement.result import Spread
from gigawatt.planner.plan import OperationKind, Plan

HOURS_PER_MONTH = 730
"""8,760 hours a year by twelve."""

PLANE_WORDS = {
    Plane.FABRIC: "fabric",
    Plane.IN_BAND: "in-band",
    Plane.OUT_OF_BAND: "out-of-band",
    Plane.STORAGE: "storage",
    Plane.HOST: "host",
}
_ENTRY_WORDS = {
    "partition_member": "NIC in the cluster's partition",
    "compute_port": "NIC in the cluster's compute network",
    "network_port": "host port in the cluster's network",
    "gateway": "gateway of the network",
    "bmc_account": "BMC account",
    "bmc_route": "way to a BMC",
    "filesystem": "file system",
    "export": "export of it to the network",
    "host_slice": "host",
}
_PLURALS = {
    "partition_member": "NICs in the cluster's partition",
    "compute_port": "NICs in the cluster's compute network",
    "network_port": "host ports in the cluster's network",
    "bmc_route": "ways to BMCs",
}


def spread_words(spread: Spread) -> str:
    """A spread in words, e.g. ``64 nodes in 2 leaf groups and 1 pod; at most 3 switches ...``."""
    nodes = count_of(spread.node_count, "node")
    groups = count_of(spread.leaf_group_count, "leaf group")
    hops = count_of(spread.hop_count_max, "switch", "switches")
    far = f"at most {hops} between two GPUs" if spread.hop_count_max else "joined by NVLink"
    pods = count_of(spread.pod_count, "pod")
    return f"{nodes} in {groups} of {pods}; {far}"


def _verb(entry: object, action: str, before: Collection[NodeId]) -> str:
    if isinstance(entry, HostSlice) and action == "remove":
        return "clean"
    if isinstance(entry, HostSlice) and entry.power == "off":
        return "stop" if entry.node_id in before else "hold"
    if isinstance(entry, HostSlice):
        return "boot"
    return "set" if action == "ensure" else "remove"


def plane_lines(plan: Plan) -> dict[str, str]:
    """What the plan does on each plane, in one line a plane."""
    lines = {}
    before = {m.node_id for m in plan.before.members} if plan.before else set()
    for plane in PLANES:
        steps = [step for step in plan.steps if step.plane is plane]
        kinds: dict[tuple[str, str], int] = {}
        for step in steps:
            for entry in step.entries:
                key = (_verb(entry, step.action, before), entry.kind)
                kinds[key] = kinds.get(key, 0) + 1
        what = ", ".join(
            f"{verb} {count_of(count, _ENTRY_WORDS[kind], _PLURALS.get(kind))}"
            for (verb, kind), count in kinds.items()
        )
        devices = count_of(len({step.device for step in steps}), "device")
        lines[PLANE_WORDS[plane]] = f"{what}; {devices}" if steps else "nothing to do"
    return lines


def key_words(target: ClusterTarget) -> str:
    """The keys of a cluster, in words."""
    keys = target.keys
    parts = []
    if keys.p_key is not None:
        parts.append(f"P_Key {keys.p_key:#06x}")
    if keys.compute_vni is not None:
        parts.append(f"compute VNI {keys.compute_vni}")
    parts.append(f"VNI {keys.vni}")
    if keys.subnet is not None:
        parts.append(f"network {subnet_of(keys.subnet)}")
    if keys.filesystem is not None:
        parts.append(f"file system {keys.filesystem} in {target.pool_id}")
    return ", ".join(parts)


def target_of(plan: Plan) -> ClusterTarget:
    """The cluster as it shall be, or as it was if nothing shall be left."""
    target = plan.after or plan.before
    assert target is not None, f"plan {plan.plan_id} has no target at all"
    return target


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan as a JSON-able document, without the steps' content."""
    report, target = plan.report, target_of(plan)
    return {
        "plan_id": plan.plan_id,
        "kind": plan.kind.value,
        "cluster_id": plan.cluster_id,
        "tenant_id": plan.tenant_id,
        "name": target.name,
        "site_id": target.site_id,
        "fabric_id": target.fabric_id,
        "gpu_type": report.gpu_type,
        "gpu_count": report.gpu_count,
        "nodes": [m.node_id for m in target.active_members],
        "spares": [m.node_id for m in target.members if m.role == "spare"],
        "pod_count": report.spread.pod_count,
        "leaf_group_count": report.spread.leaf_group_count,
        "hop_count_max": report.spread.hop_count_max,
        "price_micro_usd_per_hour": report.price_micro_usd_per_hour,
        "expected_s": report.expected_s,
        "planes": plane_lines(plan),
        "why_here": list(report.reasons),
        "alternatives": [
            {
                "sentence": other.sentence,
                "gpu_type": other.gpu_type,
                "site_id": other.site_id,
                "price_micro_usd_per_hour": other.price_micro_usd_per_hour,
            }
            for other in report.alternatives
        ],
        "stages": [{"name": s.name, "steps": len(s.steps)} for s in plan.stages],
        "expires_s": plan.expires_s,
    }


def _change_words(plan: Plan) -> str:
    """What changes, for a plan that is no launch."""
    before = {m.node_id for m in plan.before.active_members} if plan.before else set()
    after = {m.node_id for m in plan.after.active_members} if plan.after else set()
    parts = []
    if after - before:
        parts.append(f"{count_of(len(after - before), 'node comes', 'nodes come')}")
    if before - after:
        parts.append(f"{count_of(len(before - after), 'node leaves', 'nodes leave')}")
    return ", ".join(parts)


def _plan_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    report, target = plan.report, target_of(plan)
    spares = sum(1 for m in target.members if m.role == "spare")
    if plan.kind is not OperationKind.LAUNCH:
        yield "change", _change_words(plan)
    if plan.after is not None:
        extra = f" and {count_of(spares, 'spare node')}" if spares else ""
        yield "GPUs", f"{report.gpu_count:,} {report.gpu_type}{extra}"
        where = f"{target.site_id}, fabric {target.fabric_id}: {spread_words(report.spread)}"
        yield "where", where
        yield from (("why there", reason) for reason in report.reasons)
        hourly = report.price_micro_usd_per_hour
        monthly = format_usd(hourly * HOURS_PER_MONTH)
        yield "price", f"{format_usd(hourly)} an hour, {monthly} a month (list price)"
        if target.storage_bytes:
            yield "storage", f"{bytes_words(target.storage_bytes)} in {target.pool_id}"
        yield "keys", key_words(target)
    elif target.storage_bytes:
        yield "deletes", f"its file system of {bytes_words(target.storage_bytes)} with all its data"
    for plane, line in plane_lines(plan).items():
        yield plane if plane != "storage" else "storage plane", line
    yield "takes", _expected_words(report.expected_s)
    yield from (("or", other.sentence) for other in report.alternatives)


def _expected_words(expected_s: float | None) -> str:
    if expected_s is None:
        return "not known yet: nothing of the kind was done here before"
    return f"about {max(1, round(expected_s)):,} s, as it took before"


def show_plan(plan: Plan, target: Console = console) -> None:
    """Write a plan for people."""
    name = target_of(plan).name
    pairs(f"Plan: {plan.kind.value} {name!r} for {plan.tenant_id}", _plan_lines(plan), target)
