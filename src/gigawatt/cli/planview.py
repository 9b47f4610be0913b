"""How a plan is shown before anybody says yes."""

from typing import Any

from gigawatt.app.plan_words import count_of, plane_lines, spread_words
from gigawatt.cli.output import console, pairs
from gigawatt.money import format_usd
from gigawatt.planner.plan import Plan


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan as a JSON-able document, without the steps' content."""
    report, target = plan.report, plan.after or plan.before
    assert target is not None
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


def show_plan(plan: Plan) -> None:
    """Write a plan for people."""
    report, target = plan.report, plan.after or plan.before
    assert target is not None
    hourly = report.price_micro_usd_per_hour
    expected = (
        "not known yet: nothing of the kind was done here before"
        if report.expected_s is None
        else f"{report.expected_s:,.1f} s, as such operations took before"
    )
    spares = [m.node_id for m in target.members if m.role == "spare"]
    head = f"Plan {plan.plan_id}: {plan.kind.value} {target.name!r} for {plan.tenant_id}"
    pairs(
        head,
        {
            "GPUs": f"{report.gpu_count:,} {report.gpu_type}"
            + (f" and {count_of(len(spares), 'spare node')}" if spares else ""),
            "where": f"{target.site_id}, fabric {target.fabric_id}: {spread_words(report.spread)}",
            "price": f"{format_usd(hourly)} an hour at list price"
            + (f", {format_usd(hourly * 730)} a month of 730 hours" if hourly else ""),
            "takes": expected,
            **plane_lines(plan),
        },
    )
    for reason in report.reasons:
        console.print(f"  why here  {reason}")
    for other in report.alternatives:
        price = format_usd(other.price_micro_usd_per_hour)
        console.print(f"  or        {other.sentence} ({price} an hour)")
