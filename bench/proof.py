"""How long the isolation proof takes, and how it grows with the fleet.

Run with ``PYTHONPATH=src python bench/proof.py``. Prints a table and writes
``out/bench/proof.png``. Every fleet is full: a seeded mix of whole-node clusters, some with a
spare, and of nodes that are shared by guests. Times are CPU seconds, the best of five; there is
one thread and nothing to wait for, so on an idle machine they are what the clock shows.
"""

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from gigawatt.boundary.entries import DEFAULT_P_KEY, Entry, PartitionMember
from gigawatt.boundary.keys import keys_of, take_keys
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.reachability import reachability
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import aligned_masks
from gigawatt.ids import ClusterId, FabricId, SiteId, StoragePoolId, TenantId
from gigawatt.units import TIB

OUT = Path("out/bench/proof.png")
SEED = 7
CASES = ((10_000, 10), (10_000, 100), (10_000, 500), (100_000, 100), (100_000, 500))
GROWTH_GPUS = (1_000, 3_000, 10_000, 30_000, 100_000)
REPEAT_COUNT = 5


def allocate(fleet: Fleet, tenant_count: int) -> list[list[tuple[int, int, str]]]:
    """(node, mask, role) of one cluster per tenant; one tenant in ten is a guest."""
    chance = np.random.default_rng(SEED)
    guests = tenant_count // 10
    whole = len(fleet.nodes) - guests
    bounds = chance.choice(np.arange(1, whole), tenant_count - guests - 1, replace=False)
    edges = [0, *sorted(bounds.tolist()), whole]
    clusters = []
    for first, last in pairwise(edges):
        has_spare = last - first >= 4 and chance.random() < 0.5
        clusters.append(
            [
                (node, 0xFF, "spare" if has_spare and node == last - 1 else "member")
                for node in range(first, last)
            ]
        )
    shared = range(edges[-1], len(fleet.nodes))
    masks = [(node, mask) for node in shared for mask in aligned_masks(8, 2)]
    picked = chance.choice(len(masks), guests, replace=False).tolist()
    clusters += [[(*masks[i], "member")] for i in picked]
    return clusters


def make_targets(fleet: Fleet, tenant_count: int) -> list[ClusterTarget]:
    """Targets of all tenants, with keys from the pools."""
    taken: dict = defaultdict(set)
    targets = []
    for number, nodes in enumerate(allocate(fleet, tenant_count)):
        keys = take_keys(
            taken,
            fabric_id=FabricId("ib0"),
            is_infiniband=True,
            site_id=SiteId("site-a"),
            pool_id=StoragePoolId("ib0-fs"),
        )
        target = ClusterTarget(
            cluster_id=ClusterId(f"clu_{number:04d}"),
            tenant_id=TenantId(f"ten_{number:04d}"),
            name=f"c{number}",
            site_id=SiteId("site-a"),
            fabric_id=FabricId("ib0"),
            pool_id=StoragePoolId("ib0-fs"),
            members=tuple(
                Member(fleet.node_id(node), mask, role, index)
                for index, (node, mask, role) in enumerate(nodes)
            ),
            keys=keys,
            storage_bytes=TIB,
            image="debian-12-gpu",
            ssh_public_keys=(),
            egress_cidrs=(),
        )
        for pool_id, key in keys_of(target):
            taken[pool_id].add(key)
        targets.append(target)
    return targets


def best_s(function: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs."""
    times = []
    for _ in range(REPEAT_COUNT):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def fail_open(entries: list[Entry]) -> list[Entry]:
    """What OpenSM makes of a malformed file: everybody full in the default partition."""
    return [
        replace(e, p_key=DEFAULT_P_KEY) if isinstance(e, PartitionMember) else e for e in entries
    ]


def row(gpu_count: int, tenant_count: int) -> tuple[list[str], float]:
    """One line of the table, and the seconds of the proof."""
    fleet = hgx_fleet(gpu_count)
    targets = make_targets(fleet, tenant_count)
    entries = [entry for target in targets for entry in render(fleet, target)]
    proof: Proof = prove(fleet, targets, entries)
    assert proof.is_proven, proof.violations[:3]
    opened = fail_open(entries)
    assert not prove(fleet, targets, opened).is_isolated
    proof_s = best_s(lambda: prove(fleet, targets, entries))
    cells = [
        f"{gpu_count:,}",
        f"{tenant_count:,}",
        f"{len(entries):,}",
        f"{sum(proof.tenant_pair_count.values()):,}",
        f"{sum(proof.node_pair_count.values()):,}",
        f"{best_s(lambda: [render.__wrapped__(fleet, target) for target in targets]) * 1e3:.0f}",
        f"{proof_s * 1e3:.0f}",
        f"{best_s(lambda: prove(fleet, targets, opened)) * 1e3:.0f}",
        f"{best_s(lambda: reachability(fleet, targets, entries)) * 1e3:.0f}",
    ]
    return cells, proof_s


def print_table() -> None:
    """The table with the machine it was measured on."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    print(f"{cpu}, 1 thread; Python {sys.version.split()[0]}, numpy {np.__version__}; seed {SEED}")
    head = ["GPUs", "tenants", "entries", "tenant pairs x 5", "node pairs"]
    head += ["render CPU ms", "prove CPU ms", "prove fail-open CPU ms", "matrix CPU ms"]
    print("| " + " | ".join(head) + " |")
    print("|" + "--:|" * len(head))
    for gpu_count, tenant_count in CASES:
        print("| " + " | ".join(row(gpu_count, tenant_count)[0]) + " |", flush=True)


def plot_growth() -> None:
    """Seconds over GPUs, for 100 tenants, beside a straight proportion."""
    mpl.use("Agg")
    seconds = [row(gpu_count, 100)[1] for gpu_count in GROWTH_GPUS]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.loglog(GROWTH_GPUS, seconds, "o-", label="proof, 100 tenants, all five planes")
    line = [seconds[-1] * gpus / GROWTH_GPUS[-1] for gpus in GROWTH_GPUS]
    axes.loglog(GROWTH_GPUS, line, "--", color="grey", label="proportional")
    axes.axhline(1.0, color="tab:red", linewidth=0.8, label="1 s")
    axes.set(xlabel="GPUs in the fleet", ylabel="CPU seconds", title="Time of the isolation proof")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT, dpi=150)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    print_table()
    plot_growth()
