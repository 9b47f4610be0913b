"""The report of a replay: one JSON-able document, and tables made of it for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gigawatt.twin.metrics import Metrics, Sample, by_size, quantiles
from gigawatt.twin.replay import Outcome
from gigawatt.twin.ticket import JobState
from gigawatt.units import HOUR_S

Document = dict[str, Any]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def held_gpu_hours(outcome: Outcome, end_s: float) -> float:
    """GPU-hours that clusters held from second 0 to ``end_s``."""
    points = outcome.ledger.points
    ends = [point.at_s for point in points[1:]] + [max(end_s, points[-1].at_s)]
    return (
        sum(
            point.gpu_count * (min(until_s, end_s) - point.at_s)
            for point, until_s in zip(points, ends, strict=True)
            if point.at_s < end_s
        )
        / HOUR_S
    )


def largest_share(sample: Sample, level: str) -> float | None:
    """Largest cluster that one group of a level could take, over all free whole nodes' GPUs."""
    whole = sample.whole_node
    return float(getattr(sample, f"largest_in_{level}")) / whole if whole else None


def _fragmentation(samples: Sequence[Sample]) -> Document:
    stranded = [1.0 - s.whole_node / s.free for s in samples if s.free]
    document: Document = {"stranded_share_of_free_gpus_mean": _mean(stranded)}
    for level in ("leaf_group", "pod", "fabric"):
        shares = [largest_share(s, level) for s in samples]
        known = [share for share in shares if share is not None]
        document[f"largest_in_{level}_share_of_free_nodes_mean"] = _mean(known)
    return document


def _spread(metrics: Metrics) -> Document:
    ratios = [row.ratio for row in metrics.placed if row.gpu_count >= 8]
    return {
        "clusters": len(ratios),
        "leaf_group_ratio_mean": _mean(ratios),
        "leaf_group_ratio_max": max(ratios, default=None),
        "share_with_fewest_leaf_groups": _mean([float(ratio == 1.0) for ratio in ratios]),
    }


def _events(outcome: Outcome) -> Document:
    counts, metrics = outcome.event_counts, outcome.metrics
    return {
        "node_failures": counts.get("break", 0),
        "replacements": counts.get("replaced", 0),
        "requeued_for_lack_of_room": counts.get("requeue", 0),
        "nodes_returned": counts.get("return", 0),
        "call_faults": dict(sorted(outcome.fault_counts.items())),
        "workers_crashed": counts.get("crash", 0),
        "launches": counts.get("commit", 0),
        "launches_ready": counts.get("ready", 0),
        "launches_unwound": counts.get("unwound", 0),
        "operations_stuck_for_a_while": counts.get("stuck", 0),
        "reconciler_passes": counts.get("reconcile", 0),
        "drift_found": metrics.drift_count,
        "drift_repaired": metrics.repair_count,
    }


def _checks(outcome: Outcome) -> Document:
    return {
        "checks": outcome.event_counts.get("check", 0),
        "proofs": outcome.metrics.proof_count,
        "cluster_pairs_decided_per_plane": outcome.metrics.cluster_pair_count,
        "entries_judged": outcome.metrics.entry_count,
        "violations": 0,
    }


def make_report(outcome: Outcome, wall_s: float | None = None) -> Document:
    """Everything a replay tells; all but ``speed`` follows from its inputs.

    Args:
        outcome: the replay.
        wall_s: seconds it took here; leaves ``speed`` out when None.
    """
    workload, metrics, ledger = outcome.workload, outcome.metrics, outcome.ledger
    span_s = workload.trace.span_s
    held = held_gpu_hours(outcome, span_s)
    fresh = [row for row in metrics.served if not row.is_carried]
    report: Document = {
        "inputs": {
            "fleet": outcome.fleet.name,
            "gpus": outcome.fleet.gpu_count,
            "source": workload.source,
            "jobs": len(workload.trace),
            "jobs_carried_over": workload.carried_count,
            "hours": span_s / HOUR_S,
            "offered_load": workload.load,
            "seed": outcome.settings.seed,
            "node_failures_per_1000_node_days": outcome.settings.rates.node_failures_per_day * 1e3,
        },
        "digest": outcome.digest,
        "jobs": {state.value: outcome.job_states.get(state, 0) for state in list(JobState)[3:]},
        "utilisation": held / (outcome.fleet.gpu_count * span_s / HOUR_S),
        "gpu_hours_by_phase": ledger.gpu_hours(),
        "wait_s": quantiles(row.wait_s for row in fresh),
        "wait_s_by_size": by_size((row.gpu_count, row.wait_s) for row in fresh),
        "ready_s": quantiles(row.ready_s for row in metrics.served),
        "ready_s_by_size": by_size((row.gpu_count, row.ready_s) for row in metrics.served),
        "spread": _spread(metrics),
        "fragmentation": _fragmentation(metrics.samples),
        "happenings": _events(outcome),
        "checks": _checks(outcome),
    }
    if wall_s is not None:
        total = ledger.held_gpu_s / HOUR_S
        report["speed"] = {
            "wall_s": wall_s,
            "gpu_hours_per_wall_s": total / wall_s,
            "launches_per_wall_s": outcome.event_counts.get("commit", 0) / wall_s,
        }
    return report


def _seconds(value: float | None) -> str:
    """Time for people."""
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < HOUR_S else f"{value / HOUR_S:.1f} h"


def _count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _times(title: str, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [f"{title:<28}{'jobs':>7}{'median':>11}{'95 %':>11}{'longest':>11}"]
    for name, row in rows.items():
        times = "".join(f"{_seconds(row[key]):>11}" for key in ("p50", "p95", "max"))
        lines.append(f"  {name:<26}{row['count']:>7,}{times}")
    return lines


def _pairs(title: str, values: Mapping[str, Any], show: Callable[[Any], str]) -> list[str]:
    lines = [title]
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines.append(f"  {name.replace('_', ' ')}")
            lines += [f"    {key.replace('_', ' '):<42}{show(n)}" for key, n in value.items()]
        else:
            lines.append(f"  {name.replace('_', ' '):<44}{show(value)}")
    return lines


def text_of(report: Document) -> str:
    """The report as text tables, at most 100 columns wide."""
    given, spread = report["inputs"], report["spread"]
    ratio_mean, ratio_max = spread["leaf_group_ratio_mean"], spread["leaf_group_ratio_max"]
    lines = [
        f"Replay of {given['jobs']:,} jobs on {given['gpus']:,} GPUs, {given['hours']:g} h",
        f"  {given['source']}",
        f"  seed {given['seed']}, offered load {_share(given['offered_load'])}",
        f"  {given['jobs_carried_over']:,} of the jobs were running when the window opened",
        f"  event log {report['digest']}",
        "",
        f"utilisation (GPUs held / all)   {_share(report['utilisation'])}",
        *_pairs("GPU-hours held, by phase", report["gpu_hours_by_phase"], lambda v: f"{v:,.0f}"),
        *_pairs("jobs at the end", report["jobs"], _count),
        "",
        *_times("wait for room, by GPUs", {**report["wait_s_by_size"], "all": report["wait_s"]}),
        *_times(
            "commit to ready, by GPUs", {**report["ready_s_by_size"], "all": report["ready_s"]}
        ),
        "",
        "leaf groups used / fewest possible"
        + (f"   mean {ratio_mean:.2f}, worst {ratio_max:.2f}" if ratio_mean else "   -"),
        *_pairs("fragmentation, mean over time", report["fragmentation"], _share),
        "",
        *_pairs("what happened", report["happenings"], _count),
        *_pairs("checks", report["checks"], _count),
    ]
    if "speed" in report:
        speed = report["speed"]
        lines.append(
            f"speed   {speed['gpu_hours_per_wall_s']:,.0f} GPU-hours and "
            f"{speed['launches_per_wall_s']:.1f} launches a second of real time "
            f"({speed['wall_s']:.1f} s)"
        )
    return "\n".join(lines) + "\n"
