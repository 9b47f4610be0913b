"""Slurm's own controller and our placer on the same fragmented fleets, against the exact optimum.

Run: ``python bench/slurm_peer.py [--seeds 3]``; needs ``apt-get install slurmctld slurm-client``.

What is compared is one decision only: which nodes a single whole-node job gets. Slurm does far
more than place (queues, priorities, fair share, accounting, launch); nothing here judges that.

Method: slurmctld runs without any slurmd. Every node is State=CLOUD, so it counts as allocatable;
busy nodes are drained. The answer and its time are those of ``sbatch --test-only`` (the time is
what sdiag books for REQUEST_JOB_WILL_RUN, the controller's own, without the client). The topology
plugin is tree: one leaf switch per leaf group, one per pod. The optimum comes from trying every
set of pods, and shares no code with the placer. Slurm 22.05 (Debian 12) has no topology/block, so
NVL72 segments are not compared with it.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Self

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement

APT = "apt-get install --no-install-recommends slurmctld slurm-client"
SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 512)
OCCUPANCIES = (0.3, 0.5, 0.7, 0.85)
NODE_COUNT = 1_250
CONF = """\
ClusterName=peer
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={tcp_port}
SlurmdPort={slurmd_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
TopologyPlugin=topology/tree
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
PrivateData=cloud
SuspendTime=3600
SuspendProgram=/bin/true
ResumeProgram=/bin/true
ResumeTimeout=3600
NodeName=n[0000-{last:04d}] CPUs=8 RealMemory=1000 State=CLOUD
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
"""


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def node_list(rows: list[int]) -> str:
    """Slurm's compressed form, e.g. ``n[0000-0031,0040]``."""
    spans: list[list[int]] = []
    for number in rows:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return "n[" + ",".join(f"{a:04d}" if a == b else f"{a:04d}-{b:04d}" for a, b in spans) + "]"


def rows_of(text: str) -> list[int]:
    """The inverse of ``node_list``; also takes one bare name."""
    body = text.strip().removeprefix("n").strip("[]")
    rows: list[int] = []
    for part in body.split(","):
        first, _, last = part.partition("-")
        rows.extend(range(int(first), int(last or first) + 1))
    return rows


class Controller:
    """One slurmctld in a folder of its own, on loopback; gone when the block ends."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-peer-"))
        (self.folder / "state").mkdir()
        host = socket.gethostname().split(".")[0]
        conf = CONF.format(
            host=host,
            user="root" if os.geteuid() == 0 else os.environ.get("USER", "slurm"),
            tcp_port=free_tcp_port(),
            slurmd_port=free_tcp_port(),
            folder=self.folder,
            last=len(self.fleet.nodes) - 1,
        )
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "topology.conf").write_text("\n".join(self._switches()) + "\n")
        # Debian's program is called slurmctld-wlm and misbehaves under that name.
        program = self.folder / "slurmctld"
        program.symlink_to(Path(shutil.which("slurmctld") or "/usr/sbin/slurmctld").resolve())
        self.env = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        with (self.folder / "out.log").open("w") as log:
            self.process = subprocess.Popen(
                [str(program), "-D", "-c"], env=self.env, stdout=log, stderr=log
            )
        try:
            self._await()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _switches(self) -> list[str]:
        leaf = self.fleet.nodes.leaf_group
        pod = self.fleet.leaf_groups.pod
        lines = [
            f"SwitchName=leaf{g} Nodes={node_list(np.flatnonzero(leaf == g).tolist())}"
            for g in range(len(self.fleet.leaf_groups))
        ]
        for p in range(len(self.fleet.pods)):
            below = ",".join(f"leaf{g}" for g in np.flatnonzero(pod == p).tolist())
            lines.append(f"SwitchName=pod{p} Switches={below}")
        pods = ",".join(f"pod{p}" for p in range(len(self.fleet.pods)))
        return [*lines, f"SwitchName=core Switches={pods}"]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def _await(self) -> None:
        for _ in range(120):
            if self.process.poll() is not None:
                break
            if "UP" in self.run("scontrol", "ping").stdout:
                return
            time.sleep(0.25)
        log = (self.folder / "slurmctld.log").read_text(errors="replace")[-2_000:]
        raise SystemExit(f"slurmctld did not come up:\n{log}")

    def set_busy(self, busy: list[int], free: list[int]) -> None:
        """Drain the busy nodes; bring the others back."""
        for rows, state in ((busy, "state=drain"), (free, "state=undrain")):
            if rows:
                name = f"nodename={node_list(rows)}"
                self.run("scontrol", "update", name, state, "reason=busy")

    def _booked(self) -> tuple[int, int]:
        """Count and total microseconds that sdiag has booked for decisions so far."""
        for line in self.run("sdiag").stdout.splitlines():
            if "REQUEST_JOB_WILL_RUN" in line:
                fields = dict(part.split(":") for part in line.split(")")[1].split() if ":" in part)
                return int(fields["count"]), int(fields["total_time"])
        return 0, 0

    def decide(self, count: int) -> tuple[list[int], float]:
        """Nodes that a job of ``count`` nodes would get now (none: refused), and milliseconds."""
        before = self._booked()
        answer = self.run("sbatch", "--test-only", f"-N{count}", "--exclusive", "--wrap=true")
        after = self._booked()
        text = answer.stdout + answer.stderr
        spent_ms = (after[1] - before[1]) / 1e3 / max(1, after[0] - before[0])
        if " on nodes " not in text:
            return [], spent_ms
        return rows_of(text.split(" on nodes ")[1].split()[0]), spent_ms


def random_busy(fleet: Fleet, seed: int, skewed: bool, occupancy: float) -> np.ndarray:  # noqa: FBT001
    """bool[N]: busy nodes; skewed maps have a rate of their own in every leaf group."""
    rng = np.random.default_rng((seed, int(skewed), int(occupancy * 100)))
    rate = np.full(len(fleet.leaf_groups), occupancy)
    if skewed:
        rate = np.clip(rng.normal(occupancy, 0.3, len(fleet.leaf_groups)), 0, 1)
    return rng.random(len(fleet.nodes)) < rate[fleet.nodes.leaf_group]


def optimum(fleet: Fleet, free: np.ndarray, count: int) -> tuple[int, int, int] | None:
    """Fewest pods, then leaf groups, by trying every set of pods; and fewest groups anywhere."""
    leaves = np.bincount(fleet.nodes.leaf_group[free], minlength=len(fleet.leaf_groups))
    by_pod = [leaves[fleet.leaf_groups.pod == p] for p in range(len(fleet.pods))]
    for pods in range(1, len(by_pod) + 1):
        found = []
        for chosen in combinations(by_pod, pods):
            running = np.cumsum(np.sort(np.concatenate(chosen))[::-1])
            if running[-1] >= count:
                found.append(int(np.searchsorted(running, count)) + 1)
        if found:
            anywhere = int(np.searchsorted(np.cumsum(np.sort(leaves)[::-1]), count)) + 1
            return pods, min(found), anywhere
    return None


@dataclass
class Side:
    """What one side answered, over all cases."""

    pods: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    best_pods: list[int] = field(default_factory=list)
    best_leaves: list[int] = field(default_factory=list)
    fewest_leaves: list[int] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    refused: int = 0
    dominated: int = 0
    not_optimal: int = 0

    def add(
        self, fleet: Fleet, nodes: list[int], best: tuple[int, int, int], spent_ms: float
    ) -> None:
        self.times_ms.append(spent_ms)
        if not nodes:
            self.refused += 1
            return
        pods = len(set(fleet.pod_of_node[nodes].tolist()))
        leaves = len(set(fleet.nodes.leaf_group[nodes].tolist()))
        self.pods.append(pods)
        self.leaves.append(leaves)
        self.best_pods.append(best[0])
        self.best_leaves.append(best[1])
        self.fewest_leaves.append(best[2])
        self.not_optimal += (pods, leaves) != best[:2]
        self.dominated += (pods > best[0] and leaves >= best[1]) or (
            pods == best[0] and leaves > best[1]
        )  # fmt: skip

    def cells(self) -> tuple[str, ...]:
        p50, p99 = np.percentile(self.times_ms, (50, 99))
        return (
            f"{sum(self.pods) / max(1, sum(self.best_pods)):.3f}",
            f"{sum(self.leaves) / max(1, sum(self.best_leaves)):.3f}",
            f"{sum(self.leaves) / max(1, sum(self.fewest_leaves)):.3f}",
            f"{len(self.pods) - self.not_optimal}/{len(self.pods)}",
            str(self.dominated),
            str(self.refused),
            f"{p50:.2f} / {p99:.2f}",
        )


def compare(seeds: int, console: Console) -> bool:
    fleet = hgx_fleet(NODE_COUNT * 8)
    sides = {(name, n): Side() for n in SIZES for name in ("slurm", "ours")}
    place(fleet, fleet.full_gpu_mask_of_node, ClusterRequest(TenantId("ten_b"), "warm", 8))
    with Controller(fleet) as slurm:
        console.print(slurm.run("scontrol", "--version").stdout.strip() + ", topology/tree")
        for seed in range(seeds):
            for skewed in (False, True):
                for occupancy in OCCUPANCIES:
                    busy = random_busy(fleet, seed, skewed, occupancy)
                    slurm.set_busy(np.flatnonzero(busy).tolist(), np.flatnonzero(~busy).tolist())
                    for count in SIZES:
                        judge(fleet, slurm, ~busy, count, sides)
    report(sides, console)
    return all(s.not_optimal == s.refused == 0 for (name, _), s in sides.items() if name == "ours")


def judge(
    fleet: Fleet,
    slurm: Controller,
    free: np.ndarray,
    count: int,
    sides: dict[tuple[str, int], Side],
) -> None:
    best = optimum(fleet, free, count)
    if best is None:
        return
    nodes, spent_ms = slurm.decide(count)
    assert len(nodes) in {0, count}, f"{len(nodes)} nodes for {count}"
    assert free[nodes].all(), "a drained node was chosen: the maps differ"
    sides["slurm", count].add(fleet, nodes, best, spent_ms)
    mask = np.where(free, fleet.full_gpu_mask_of_node, 0).astype(np.uint16)
    request = ClusterRequest(TenantId("ten_bench"), "job", count * 8)
    start = time.perf_counter()
    answer = place(fleet, mask, request)
    spent_ms = (time.perf_counter() - start) * 1e3
    ours = [node for node, _ in answer.members] if isinstance(answer, Placement) else []
    sides["ours", count].add(fleet, ours, best, spent_ms)


def report(sides: dict[tuple[str, int], Side], console: Console) -> None:
    made = Table(title=f"one whole-node job in {NODE_COUNT:,} nodes, against the exact optimum")
    columns = ("pods", "groups", "groups*", "optimal", "dominated", "refused", "ms p50 / p99")
    for name in ("nodes", "who", *columns):
        made.add_column(name, justify="right")
    for count in SIZES:
        for name in ("slurm", "ours"):
            if sides[name, count].times_ms:
                made.add_row(str(count), name, *sides[name, count].cells())
    for name in ("slurm", "ours"):
        total = Side()
        for (who, _), side in sides.items():
            if who == name:
                for attribute in (
                    "pods",
                    "leaves",
                    "best_pods",
                    "best_leaves",
                    "fewest_leaves",
                    "times_ms",
                ):
                    getattr(total, attribute).extend(getattr(side, attribute))
                total.refused += side.refused
                total.dominated += side.dominated
                total.not_optimal += side.not_optimal
        made.add_row("all", name, *total.cells(), style="bold")
    console.print(made)
    console.print(
        "pods, groups: sum over all answers / sum of the optimum (fewest pods, then leaf groups);\n"
        "groups*: against the fewest leaf groups anywhere, however many pods that takes.\n"
        "dominated: the optimum is no worse in both and better in one. Slurm looks for the lowest\n"
        "switch that holds a job and does not claim the optimum above it. Its time is the\n"
        "controller's own for one decision, ours one call in this process. Slurm does far more\n"
        "than place; only this one decision is compared."
    )


def segments(console: Console) -> bool:
    """NVL72: is every feasible request with segments placed? Slurm 22.05 has no counterpart."""
    fleet = nvl72_fleet(139)
    feasible = placed = 0
    for seed in range(3):
        for occupancy in OCCUPANCIES:
            free = ~random_busy(fleet, seed, False, occupancy)  # noqa: FBT003
            mask = np.where(free, fleet.full_gpu_mask_of_node, 0).astype(np.uint16)
            by_domain = np.bincount(fleet.nodes.nvlink_domain[free])
            for segment in (4, 8, 16):
                for count in (16, 32, 64, 128, 256, 512):
                    is_feasible = int((by_domain // segment).sum()) >= count // segment
                    request = ClusterRequest(
                        TenantId("ten_b"), "job", count * 4, segment_node_count=segment
                    )
                    is_placed = isinstance(place(fleet, mask, request), Placement)
                    assert is_placed <= is_feasible
                    feasible += is_feasible
                    placed += is_placed
    console.print(
        f"NVL72, 139 racks, segments of 4, 8, 16: {placed} of {feasible} feasible requests placed, "
        "each segment inside one NVLink domain (Slurm 22.05 has no topology/block: not compared)."
    )
    return placed == feasible


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    console = Console(width=110)
    is_right = segments(console)
    if shutil.which("slurmctld") is None or shutil.which("sbatch") is None:
        console.print(f"skipped: slurmctld or sbatch is not here; to compare: {APT}")
        return 0 if is_right else 1
    return 0 if compare(arguments.seeds, console) and is_right else 1


if __name__ == "__main__":
    raise SystemExit(main())
