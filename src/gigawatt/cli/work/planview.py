"""How a plan is shown before anybody says yes."""

from collections.abc import Iterator

from rich.console import Console

from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.cli.output import bytes_words, console, count_of, moment, pairs
from gigawatt.cli.work.pricewords import BASIS_WORDS, TERM_WORDS, price_words
from gigawatt.intent.amounts import duration_s_of
from gigawatt.money import format_usd
from gigawatt.sdk import documents as doc
from gigawatt.units import HOUR_S

HOURS_PER_MONTH = 730
"""8,760 hours a year by twelve."""

PLANE_WORDS = {
    Plane.FABRIC.value: "fabric",
    Plane.IN_BAND.value: "in-band",
    Plane.OUT_OF_BAND.value: "out-of-band",
    Plane.STORAGE.value: "storage",
    Plane.HOST.value: "host",
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


def spread_words(spread: doc.Spread) -> str:
    """A spread in words, e.g. ``64 nodes in 2 leaf groups and 1 pod; at most 3 switches ...``."""
    nodes = count_of(spread.node_count, "node")
    groups = count_of(spread.leaf_group_count, "leaf group")
    hops = count_of(spread.hop_count_max, "switch", "switches")
    far = f"at most {hops} between two GPUs" if spread.hop_count_max else "joined by NVLink"
    pods = count_of(spread.pod_count, "pod")
    return f"{nodes} in {groups} of {pods}; {far}"


def _action_words(action: doc.PlaneAction) -> str:
    """E.g. ``set 32 BMC accounts``."""
    kind = action.entry_kind
    return (
        f"{action.verb} {count_of(action.count, _ENTRY_WORDS.get(kind, kind), _PLURALS.get(kind))}"
    )


def plane_lines(plan: doc.Plan) -> dict[str, str]:
    """What the plan does on each plane, in one line a plane."""
    lines = {}
    for plane in PLANES:
        change = plan.planes[plane.value]
        what = ", ".join(_action_words(action) for action in change.actions)
        devices = count_of(change.device_count, "device")
        lines[PLANE_WORDS[plane.value]] = f"{what}; {devices}" if what else "nothing to do"
    return lines


def key_words(keys: doc.BoundaryKeys, pool_id: str | None) -> str:
    """The keys of a cluster, in words."""
    parts = []
    if keys.p_key is not None:
        parts.append(f"P_Key {keys.p_key:#06x}")
    if keys.compute_vni is not None:
        parts.append(f"compute VNI {keys.compute_vni}")
    parts.append(f"VNI {keys.vni}")
    if keys.network:
        parts.append(f"network {keys.network}")
    if keys.filesystem is not None:
        parts.append(f"file system {keys.filesystem} in {pool_id}")
    return ", ".join(parts)


def _change_words(plan: doc.Plan) -> str:
    """What changes, for a plan that is no launch."""
    parts = []
    if plan.joining_node_count:
        parts.append(count_of(plan.joining_node_count, "node comes", "nodes come"))
    if plan.leaving_node_count:
        parts.append(count_of(plan.leaving_node_count, "node leaves", "nodes leave"))
    return ", ".join(parts)


def _price_lines(plan: doc.Plan, duration: str | None) -> Iterator[tuple[str, str]]:
    """What it costs, for how long, what is billed and how it ends."""
    hourly = plan.price_micro_usd_per_hour
    if plan.price_micro_usd_per_gpu_hour is not None:
        whose = " for those that come" if plan.kind == "grow" else ""
        basis = BASIS_WORDS.get(plan.price_basis or "", plan.price_basis or "")
        term = TERM_WORDS.get(plan.term, plan.term)
        each = price_words(plan.price_micro_usd_per_gpu_hour)
        yield "price", f"{each} a GPU-hour{whose}, {term} ({basis})"
    monthly = format_usd(hourly * HOURS_PER_MONTH)
    yield "in all", f"{format_usd(hourly)} an hour, {monthly} a month"
    if duration is not None:
        total = -(-hourly * duration_s_of(duration) // HOUR_S)
        yield "total", f"{format_usd(total)} for {duration}"
    yield from (("billed", sentence) for sentence in plan.billed)
    yield "ends", plan.cancellation


def _plan_lines(plan: doc.Plan, duration: str | None) -> Iterator[tuple[str, str]]:
    if plan.kind != "launch":
        yield "change", _change_words(plan)
    if plan.keys is not None:
        spares = f" and {count_of(len(plan.spares), 'spare node')}" if plan.spares else ""
        yield "GPUs", f"{plan.gpu_count:,} {plan.gpu_type}{spares}"
        yield "where", f"{plan.site_id}, fabric {plan.fabric_id}: {spread_words(plan.spread)}"
        yield from (("why there", reason) for reason in plan.reasons)
        if plan.until_at is not None:
            yield "until", f"{moment(plan.until_at.timestamp())}, then its nodes are taken back"
        yield from _price_lines(plan, duration)
        if plan.storage_bytes:
            yield "storage", f"{bytes_words(plan.storage_bytes)} in {plan.storage_pool_id}"
        yield "keys", key_words(plan.keys, plan.storage_pool_id)
    elif plan.storage_bytes:
        yield "deletes", f"its file system of {bytes_words(plan.storage_bytes)} with all its data"
    for plane, line in plane_lines(plan).items():
        yield plane if plane != "storage" else "storage plane", line
    yield "takes", _expected_words(plan.expected_s)
    yield from (("or", other.sentence) for other in plan.alternatives)


def _expected_words(expected_s: float | None) -> str:
    if expected_s is None:
        return "not known yet: nothing of the kind was done here before"
    return f"about {max(1, round(expected_s)):,} s, as it took before"


def show_plan(
    plan: doc.Plan, whose: str, target: Console = console, duration: str | None = None
) -> None:
    """Write a plan for people; ``whose`` names the project, ``duration`` how long it is for."""
    title = f"Plan: {plan.kind} {plan.name!r} for {whose}"
    pairs(title, _plan_lines(plan, duration), target)
