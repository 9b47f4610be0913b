"""How fast the store is on each engine, with every write on disk before it counts.

Run with ``PYTHONPATH=src python bench/store.py``. Prints a table and a second one about writers
that compete. PostgreSQL runs as a private server beside this process, on a unix socket, with
fsync on; both engines keep their files in one temporary folder of the same disk. Times are
seconds of the wall clock, the best of several, because waiting for the disk is what counts.
"""

import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import sqlalchemy

from gigawatt.app.clock import ManualClock
from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.store.open import open_store_at
from gigawatt.store.store import SqlStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from postgres_server import SETTINGS, private_server

GPU_COUNT = 10_000
BIG_GPU_COUNT = 4_000
CLUSTER_COUNT = 100
CLUSTER_GPU_COUNT = 96
STEP_COUNT = 2_000
FLUSH_STEP_COUNT = 512
EVENT_COUNT = 300
REPEAT_COUNT = 5
WRITER_COUNTS = (1, 2, 4)
NOW_S = 1e6

NewPlace = Callable[[], str | Path]

WRITER = """
import sys, time
from gigawatt.store.open import open_store_at
store = open_store_at(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    store.add_event("note", "one line of the trail", 1.0)
"""


def control_on(fleet: Fleet, store: SqlStore) -> Control:
    """A control plane that only plans and commits."""
    return Control(Surroundings(fleet, store, {}, ManualClock(NOW_S)), CountingIds())


def launch(control: Control, name: str, gpu_count: int) -> tuple[float, str]:
    """Plan, then commit: seconds of the commit alone, and the operation's id."""
    request = ClusterRequest(TenantId(f"ten_{name}"), name, gpu_count, storage_bytes=1 << 40)
    plan = control.plan_create(request, with_alternatives=False)
    start_s = time.perf_counter()
    operation = control.around.store.commit(plan, f"op_{name}", NOW_S)
    return time.perf_counter() - start_s, operation.operation_id


@contextmanager
def fresh(place: str | Path) -> Iterator[SqlStore]:
    """A store at a new place."""
    with closing(open_store_at(place)) as store:
        yield store


def commit_s(fleet: Fleet, new: NewPlace) -> float:
    """Commit of one plan of 500 nodes."""
    took = []
    for _ in range(REPEAT_COUNT):
        with fresh(new()) as store:
            took.append(launch(control_on(fleet, store), "big", BIG_GPU_COUNT)[0])
    return min(took)


def steps_s(fleet: Fleet, new: NewPlace) -> float:
    """Start and end of 2,000 steps, journaled in the executor's portions."""
    keys = [f"ensure ports leaf-{index:04} 0123456789abcdef" for index in range(STEP_COUNT)]
    portions = [keys[i : i + FLUSH_STEP_COUNT] for i in range(0, STEP_COUNT, FLUSH_STEP_COUNT)]
    took = []
    with fresh(new()) as store:
        _, operation_id = launch(control_on(fleet, store), "a", 8)
        operation = store.operation(operation_id)
        for _ in range(REPEAT_COUNT):
            start_s = time.perf_counter()
            for portion in portions:
                store.start_steps(operation, portion, NOW_S)
            for portion in portions:
                store.finish_steps(operation, [(key, "done", "") for key in portion], NOW_S)
            took.append(time.perf_counter() - start_s)
    return min(took)


def snapshot_s(fleet: Fleet, new: NewPlace) -> float:
    """Snapshot of a fleet of 10,000 GPUs with 100 clusters."""
    took = []
    with fresh(new()) as store:
        control = control_on(fleet, store)
        for number in range(CLUSTER_COUNT):
            _, operation_id = launch(control, f"c{number}", CLUSTER_GPU_COUNT)
            store.finish(store.operation(operation_id), "done", {}, NOW_S)
        for _ in range(REPEAT_COUNT):
            start_s = time.perf_counter()
            seen = store.snapshot(NOW_S)
            took.append(time.perf_counter() - start_s)
        assert len(seen.clusters) == CLUSTER_COUNT
    return min(took)


def events_per_s(place: str | Path, writer_count: int) -> float:
    """Lines a second that some processes together add to the trail, one transaction each."""
    open_store_at(place).close()
    command = [sys.executable, "-c", WRITER, str(place), str(EVENT_COUNT // writer_count)]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(writer_count)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    start_s = time.perf_counter()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.wait() == 0
    return EVENT_COUNT / (time.perf_counter() - start_s)


def print_machine(server_version: str) -> None:
    """The machine and the versions that were measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    print(f"{names[0] if names else platform.processor()}, {len(names)} cores, shared")
    print(
        f"Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}, psycopg"
        f" {psycopg.__version__}, SQLite {sqlite3.sqlite_version}, PostgreSQL {server_version}"
    )


def print_tables(places: dict[str, NewPlace]) -> None:
    """One engine for each key of ``places``, which give a new place at each call."""
    fleet = hgx_fleet(GPU_COUNT)
    print(f"\n| best of {REPEAT_COUNT}, ms | {' | '.join(places)} |\n|--|{'--:|' * len(places)}")
    cases = {
        "commit of 500 nodes (4,000 GPUs)": commit_s,
        "start and end of 2,000 steps, 512 at a time": steps_s,
        "snapshot of 10,000 GPUs, 100 clusters": snapshot_s,
    }
    for name, case in cases.items():
        row = [f"{1e3 * case(fleet, new):.1f}" for new in places.values()]
        print(f"| {name} | {' | '.join(row)} |", flush=True)
    print(f"\n| events/s, one each commit | {' | '.join(places)} |\n|--|{'--:|' * len(places)}")
    for writer_count in WRITER_COUNTS:
        row = [f"{events_per_s(new(), writer_count):,.0f}" for new in places.values()]
        print(f"| {writer_count} writing processes | {' | '.join(row)} |", flush=True)


def main() -> None:
    """Measure both engines on one disk."""
    durable = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
    with tempfile.TemporaryDirectory() as folder, private_server(durable, None) as server:
        with closing(psycopg.connect(server.url("postgres"))) as raw:
            version = str(raw.info.parameter_status("server_version"))
        names = iter(range(1_000))
        print_machine(version)
        print_tables(
            {
                "SQLite": lambda: Path(folder) / f"{next(names)}.sqlite",
                "PostgreSQL": server.new,
            }
        )


if __name__ == "__main__":
    main()
