"""A plan in words, for people at a terminal and for programs over HTTP alike."""

from gigawatt.boundary.entries import HostSlice
from gigawatt.boundary.plane import PLANES
from gigawatt.placement.result import Spread
from gigawatt.planner.plan import Plan


def spread_words(spread: Spread) -> str:
    """A spread in words, e.g. ``2 pods, 16 leaf groups, at most 5 switches between two nodes``."""
    hops = spread.hop_count_max
    return (
        f"{count_of(spread.node_count, 'node')} in "
        f"{count_of(spread.leaf_group_count, 'leaf group')} "
        f"and {count_of(spread.pod_count, 'pod')}; at most "
        f"{count_of(hops, 'switch', 'switches')} between two GPUs"
    )


def count_of(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun, e.g. ``2 pods``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def plane_lines(plan: Plan) -> dict[str, str]:
    """What the plan does on each plane, in one line a plane."""
    lines = {}
    for plane in PLANES:
        steps = [step for step in plan.steps if step.plane is plane]
        kinds: dict[str, int] = {}
        for step in steps:
            for entry in step.entries:
                power = f" {entry.power}" if isinstance(entry, HostSlice) else ""
                verb = "set" if step.action == "ensure" else "remove"
                word = f"{verb} {entry.kind.replace('_', ' ')}{power}"
                kinds[word] = kinds.get(word, 0) + 1
        what = ", ".join(f"{word} x {count:,}" for word, count in kinds.items())
        devices = len({step.device for step in steps})
        lines[plane.value] = f"{what} on {count_of(devices, 'device')}" if steps else "no change"
    return lines
