"""How long the spine takes: plan, check, commit, apply and verify, on fake drivers without delay.

Run with ``PYTHONPATH=src python bench/spine.py``. Prints tables and writes ``out/bench/spine.png``.
The store is a file on disk and every transaction is synced; devices are in memory and answer at
once, so what is measured is Gigawatt alone. Times are of the clock: median and longest of the runs.
"""

import asyncio
import multiprocessing
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import sqlalchemy

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import REPLAN_COUNT_MAX, Control
from gigawatt.app.ids import RandomIds
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import ConflictError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.check import check_plan
from gigawatt.planner.plan import Plan
from gigawatt.store.sqlite import open_store
from gigawatt.units import TIB

T = TypeVar("T")

OUT = Path("out/bench/spine.png")
FLEET_GPUS = 10_000
GROWTH_GPUS = (16, 64, 256, 1_024, 4_000)
REPEAT_COUNT = 5
CONCURRENT_COUNT = 100
PROCESS_COUNT = 8
CREATES_PER_PROCESS = 5


@dataclass
class Laps:
    """Times of the parts of one operation, ms by name, run by run."""

    ms: dict[str, list[float]] = field(default_factory=dict)

    def lap(self, name: str, work: Callable[[], T]) -> T:
        start_s = time.perf_counter()
        result = work()
        self.ms.setdefault(name, []).append(1e3 * (time.perf_counter() - start_s))
        return result

    def shown(self, name: str) -> str:
        return f"{median(self.ms[name]):.0f} / {max(self.ms[name]):.0f}"


@contextmanager
def a_control(fleet: Fleet) -> Iterator[Control]:
    """A control plane over a new store on disk and empty devices."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store.sqlite")
        clock = SystemClock()
        drivers = fake_drivers(DeviceWorld(fleet), Faults(), clock)
        yield Control(Surroundings(fleet, store, drivers, clock), RandomIds())
        store.close()


def wish(gpu_count: int, number: int = 0) -> ClusterRequest:
    return ClusterRequest(TenantId(f"ten_{number}"), "bench", gpu_count, storage_bytes=TIB)


def create(control: Control, gpu_count: int, laps: Laps) -> ClusterId:
    """One cluster from wish to hand-over; the parts of the run are told apart by its events."""
    start_s = time.perf_counter()
    plan = laps.lap("plan", lambda: control.plan_create(wish(gpu_count), with_alternatives=False))
    laps.lap("check", lambda: check_plan(control.snapshot(), plan))
    operation = laps.lap("commit", lambda: control.commit(plan))
    last = [0.0]

    def listen(_progress: object) -> None:
        last[0] = time.perf_counter()

    begun_s = time.perf_counter()
    ended = asyncio.run(control.run(operation.operation_id, "bench", listen))
    ended_s = time.perf_counter()
    assert ended.state == "done", ended.error
    laps.ms.setdefault("apply", []).append(1e3 * (last[0] - begun_s))
    laps.ms.setdefault("verify", []).append(1e3 * (ended_s - last[0]))
    # The check of its own is not part of the way: commit checks again.
    total_ms = 1e3 * (ended_s - start_s) - laps.ms["check"][-1]
    laps.ms.setdefault("total", []).append(total_ms)
    return operation.cluster_id


def release(control: Control, cluster_id: ClusterId, laps: Laps) -> None:
    def work() -> None:
        operation = control.commit(control.plan_release(cluster_id))
        assert asyncio.run(control.run(operation.operation_id, "bench")).state == "done"

    laps.lap("release", work)


def one_size(fleet: Fleet, gpu_count: int) -> Laps:
    laps = Laps()
    for _ in range(REPEAT_COUNT):
        with a_control(fleet) as control:
            cluster_id = create(control, gpu_count, laps)
            release(control, cluster_id, laps)
    return laps


def print_sizes(fleet: Fleet) -> list[Laps]:
    names = ["plan", "check", "commit", "apply", "verify", "total", "release"]
    print(f"\nOne cluster in {FLEET_GPUS:,} GPUs; ms, median / longest of {REPEAT_COUNT}")
    print("commit holds a second check; total = plan + commit + apply + verify")
    print("| GPUs | " + " | ".join(names) + " |\n|" + "--:|" * (len(names) + 1))
    found = []
    for gpu_count in GROWTH_GPUS:
        laps = one_size(fleet, gpu_count)
        print(f"| {gpu_count:,} | " + " | ".join(map(laps.shown, names)) + " |", flush=True)
        found.append(laps)
    return found


def print_reconcile(fleet: Fleet) -> None:
    """A pass over a full fleet in which nothing drifted, and one in which a host restarted."""
    laps = Laps()
    with a_control(fleet) as control:
        world: DeviceWorld = next(iter(control.around.drivers.values()))._world  # noqa: SLF001
        for number in range(25):
            operation = control.commit(
                control.plan_create(wish(400, number), with_alternatives=False)
            )
            asyncio.run(control.run(operation.operation_id, "bench"))
        for _ in range(REPEAT_COUNT):
            still = laps.lap("peace", lambda: asyncio.run(control.reconcile("bench")))
            assert still.is_converged
            assert not still.drift
            world.reboot(f"host/{fleet.nodes.ids[7]}")
            mended = laps.lap("drift", lambda: asyncio.run(control.reconcile("bench")))
            assert len(mended.repaired) == 1
    entry_count = sum(map(len, world.everything().values()))
    print(f"\nReconcile, 25 clusters on {FLEET_GPUS:,} GPUs, {entry_count:,} entries; ms")
    print(f"nothing drifted {laps.shown('peace')}; one host restarted {laps.shown('drift')}")


async def at_once(control: Control) -> None:
    async def one(number: int) -> None:
        operation = control.commit_new(
            lambda: control.plan_create(wish(96, number), with_alternatives=False)
        )
        await asyncio.sleep(0)
        ended = await control.run(operation.operation_id, f"bench-{number}")
        assert ended.state == "done", ended.error

    await asyncio.gather(*(one(number) for number in range(CONCURRENT_COUNT)))


def print_concurrent(fleet: Fleet) -> None:
    laps = Laps()
    for _ in range(3):
        with a_control(fleet) as control:
            laps.lap("at once", lambda c=control: asyncio.run(at_once(c)))
    print(f"\n{CONCURRENT_COUNT} creates of 96 GPUs at once, one process: ", end="")
    print(f"{laps.shown('at once')} ms, all active, isolation of all pairs proven")


def race(path: Path, number: int, answers: multiprocessing.Queue) -> None:
    """One process: creates one after the other; conflicts, clusters and longest wait."""
    fleet, clock = hgx_fleet(FLEET_GPUS), SystemClock()
    store = open_store(path)
    drivers = fake_drivers(DeviceWorld(fleet), Faults(), clock)
    control = Control(Surroundings(fleet, store, drivers, clock), RandomIds())
    conflicts, refused, longest_ms = 0, 0, 0.0
    for turn in range(CREATES_PER_PROCESS):
        plans: list[Plan] = []
        request = wish(96, 100 * number + turn)

        def plan(made: list[Plan] = plans, asked: ClusterRequest = request) -> Plan:
            made.append(control.plan_create(asked, with_alternatives=False))
            return made[-1]

        start_s = time.perf_counter()
        try:
            control.commit_new(plan)
        except ConflictError:
            refused += 1
        conflicts += len(plans) - 1
        longest_ms = max(longest_ms, 1e3 * (time.perf_counter() - start_s))
    store.close()
    answers.put((conflicts, refused, longest_ms))


def print_race() -> None:
    answers: multiprocessing.Queue = multiprocessing.Queue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        open_store(path).close()
        processes = [
            multiprocessing.Process(target=race, args=(path, number, answers))
            for number in range(PROCESS_COUNT)
        ]
        for process in processes:
            process.start()
        found = [answers.get() for _ in processes]
        for process in processes:
            process.join()
        with sqlite3.connect(path) as books:
            twice = books.execute(
                "SELECT count(*) FROM (SELECT 1 FROM allocation GROUP BY node_id, gpu"
                " HAVING count(*) > 1)"
            ).fetchone()[0]
            held = books.execute("SELECT count(*) FROM allocation").fetchone()[0]
    wanted = PROCESS_COUNT * CREATES_PER_PROCESS
    refused = sum(row[1] for row in found)
    assert held == 96 * (wanted - refused)
    print(f"\n{PROCESS_COUNT} processes race to commit {wanted} clusters of 96 GPUs on one store:")
    print(
        f"{wanted - refused} committed, {refused} refused after {REPLAN_COUNT_MAX} plans, "
        f"{sum(row[0] for row in found)} plans made again, {twice} GPUs given twice, "
        f"longest commit {max(row[2] for row in found):.0f} ms"
    )


def plot(found: list[Laps]) -> None:
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in ("plan", "commit", "apply", "verify", "total", "release"):
        style = {"linewidth": 2.2} if name == "total" else {}
        axes.loglog(GROWTH_GPUS, [median(x.ms[name]) for x in found], "o-", label=name, **style)
    axes.axhline(2_000.0, color="tab:red", linewidth=0.8, label="2 s")
    title = "Create and release of one cluster; fake devices, store on disk"
    axes.set(xlabel="GPUs of the cluster", ylabel="ms, median", title=title)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(ncols=2, fontsize=8)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT, dpi=150)
    print(f"\nwrote {OUT}")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    cpu = next(named, platform.processor())
    load = os.getloadavg()[0]
    return (
        f"{cpu}, {os.cpu_count()} cores, load {load:.1f}; Python {sys.version.split()[0]}, "
        f"SQLAlchemy {sqlalchemy.__version__}, SQLite {sqlite3.sqlite_version}, "
        f"numpy {np.__version__}"
    )


if __name__ == "__main__":
    print(machine())
    demo = hgx_fleet(FLEET_GPUS)
    laps_by_size = print_sizes(demo)
    print_reconcile(demo)
    print_concurrent(demo)
    print_race()
    plot(laps_by_size)
