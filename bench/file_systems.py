"""How long a file system takes: plan, check, commit, apply and verify, on fake drivers.

Run with ``PYTHONPATH=src python bench/file_systems.py``. The store is a file on disk and every
transaction is synced; devices are in memory and answer at once. Beside the clock's time stands
that of the processor, which says more on a busy computer. A launch of 4,000 GPUs that mounts the
file system, and one that mounts nothing, are measured in turns.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.ids import RandomIds
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import FileSystemId, TenantId
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.plan import Plan
from gigawatt.store.sqlite import open_store
from gigawatt.units import TIB

REPEAT_COUNT = 5
LAUNCH_GPU_COUNT = 4_000
TENANT = TenantId("ten_a")


@dataclass
class Times:
    """Milliseconds of the clock and of the processor, run by run, by name."""

    clock_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)

    def carry_out(self, name: str, control: Control, plan: Callable[[], Plan]) -> str:
        """Plan, commit and run; id of what was changed."""
        clock_s, cpu_s = time.perf_counter(), time.process_time()
        operation = control.commit(plan())
        ended = asyncio.run(control.run(operation.operation_id, "bench"))
        self.clock_ms.setdefault(name, []).append(1e3 * (time.perf_counter() - clock_s))
        self.cpu_ms.setdefault(name, []).append(1e3 * (time.process_time() - cpu_s))
        assert ended.state == "done", ended.error
        return operation.cluster_id


def once(times: Times, control: Control, number: int) -> None:
    """The life of one file system, and launches with and without it."""
    wish = FileSystemRequest(TENANT, f"data-{number}", TIB)
    data = FileSystemId(
        times.carry_out("create", control, lambda: control.plan_create_file_system(wish))
    )
    times.carry_out("resize", control, lambda: control.plan_resize_file_system(data, 2 * TIB, None))
    for name, mounts in (("launch, mounting", (MountWish(data),)), ("launch, without", ())):
        request = ClusterRequest(TENANT, "train", LAUNCH_GPU_COUNT, mounts=mounts)
        cluster_id = times.carry_out(
            name,
            control,
            lambda request=request: control.plan_create(request, with_alternatives=False),
        )
        times.carry_out(
            f"release of it ({name})",
            control,
            lambda cluster_id=cluster_id: control.plan_release(cluster_id),
        )
    times.carry_out("delete", control, lambda: control.plan_delete_file_system(data))


def main() -> None:
    """Print the table."""
    times = Times()
    fleet, clock = hgx_fleet(10_000), SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store.sqlite")
        drivers = fake_drivers(DeviceWorld(fleet), Faults(), clock)
        control = Control(Surroundings(fleet, store, drivers, clock), RandomIds())
        for number in range(REPEAT_COUNT + 1):
            once(times if number else Times(), control, number)
        store.close()
    print(f"median / longest of {REPEAT_COUNT}, ms; a first run is not counted")
    print("| operation | clock | processor |\n|---|--:|--:|")
    for name in times.clock_ms:
        cells = (
            f"{median(t[name]):.1f} / {max(t[name]):.1f}" for t in (times.clock_ms, times.cpu_ms)
        )
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
