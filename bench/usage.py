"""How fast usage is written and summed, on each engine, with every write on disk.

Run with ``PYTHONPATH=src python bench/usage.py``. A site of 10,000 GPUs in 1,000 tenants' clusters
is metered for a month: cut at the end of each day, as the service does. Then the month is summed
and checked. PostgreSQL runs as a private server beside this process, with fsync on; both engines
keep their files in one temporary folder of the same disk. Times are seconds of the wall clock.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.ids import ClusterId, FabricId, NodeId, OperationId, PlanId, SiteId, TenantId
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.market.meter import rounded_micro_usd
from gigawatt.money import format_usd
from gigawatt.placement.result import Spread
from gigawatt.planner.plan import OperationKind, Plan, PlanReport
from gigawatt.store import changes
from gigawatt.store.open import open_store_at
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_records import SqlUsageBook

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent))
from postgres_server import SETTINGS, private_server
from store import NewPlace, print_machine

TENANT_COUNT = 1_000
NODE_COUNT = 1_250
BIG_NODE_COUNT = 500
DAY_COUNT = 30
DAY_MS = 86_400_000
PRICE = 2_490_000


def target_of(number: int, nodes: range) -> ClusterTarget:
    """The cluster of one tenant, on whole nodes of 8 GPUs."""
    return ClusterTarget(
        cluster_id=ClusterId(f"clu_{number:016x}"),
        tenant_id=TenantId(f"ten_{number:016x}"),
        name="train",
        site_id=SiteId("site-a"),
        fabric_id=FabricId("ib0"),
        pool_id=None,
        members=tuple(
            Member(NodeId(f"node-{n:05}"), 0xFF, "member", i, price_micro_usd_per_gpu_hour=PRICE)
            for i, n in enumerate(nodes)
        ),
        keys=Keys(1 + number, None, 4_096 + number, number, None),
        storage_bytes=0,
        image="debian-12-gpu",
        ssh_public_keys=(),
        egress_cidrs=(),
    )


def plan_of(
    before: ClusterTarget | None, after: ClusterTarget | None, generation: int, now_s: float
) -> Plan:
    """A launch or a release without steps."""
    target = after or before
    assert target is not None
    price = 8 * len(target.members) * PRICE
    return Plan(
        plan_id=PlanId(f"pln_{generation}"),
        kind=OperationKind.RELEASE if after is None else OperationKind.LAUNCH,
        cluster_id=target.cluster_id,
        tenant_id=target.tenant_id,
        parent_generation=generation,
        before=before,
        after=after,
        stages=(),
        quarantined=(),
        report=PlanReport("h100", 8, Spread(1, 1, 1, 1, 1), (), (), price, None),
        created_s=now_s,
        expires_s=now_s + 60,
    )


def change(
    store: SqlStore, before: ClusterTarget | None, after: ClusterTarget | None, now_s: float
) -> tuple[float, float]:
    """A launch or a release: seconds of its commit, and of its end."""
    generation = store.snapshot(now_s).generation
    plan = plan_of(before, after, generation, now_s)
    began_s = time.perf_counter()
    operation = store.commit(plan, OperationId(f"op_{generation}"), now_s)
    committed_s = time.perf_counter()
    store.finish(operation, "done", {}, now_s)
    return committed_s - began_s, time.perf_counter() - committed_s


def fill(store: SqlStore) -> None:
    """Launch a cluster for each tenant, all in one transaction: it is not what is measured."""
    first = 0
    with store.database.write() as connection:
        for number in range(TENANT_COUNT):
            count = 2 if number < NODE_COUNT - TENANT_COUNT else 1
            plan = plan_of(None, target_of(number, range(first, first + count)), number, 1.0)
            operation = changes.commit(connection, plan, OperationId(f"op_{number}"), 1.0)
            changes.finish(connection, operation, "done", {}, 1.0)
            first += count


def timed(run: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    run()
    return time.perf_counter() - began_s


def big_cluster(place: str | Path) -> dict[str, str]:
    """A cluster of 4,000 GPUs: what metering adds to its launch and its release."""
    with closing(open_store_at(place)) as store:
        target = target_of(0, range(BIG_NODE_COUNT))
        _, launched_s = change(store, None, target, 1e6)
        committed_s, _ = change(store, target, None, 2e6)
    return {
        "end of a launch of 500 nodes, ms": f"{1e3 * launched_s:.0f}",
        "commit of its release, 500 records, ms": f"{1e3 * committed_s:.0f}",
    }


def month(place: str | Path) -> dict[str, str]:
    """A month of 10,000 GPUs in the clusters of 1,000 tenants."""
    found: dict[str, str] = {}
    with closing(open_store_at(place)) as store:
        fill(store)
        book = SqlUsageBook(store.database)
        took = [timed(lambda day=day: book.cut(day * DAY_MS)) for day in range(1, DAY_COUNT + 1)]
        record_count = DAY_COUNT * NODE_COUNT
        found["cut of a day, 1,250 records in 1,000 clusters, s"] = f"{max(took):.2f} worst"
        found["records a second"] = f"{record_count / sum(took):,.0f}"
        query, now_ms = UsageQuery(0, DAY_COUNT * DAY_MS), DAY_COUNT * DAY_MS
        for by in ("project", "cluster", "day"):
            lines = book.summary(query, by, now_ms)
            found[f"summary of the month by {by}, {len(lines):,} lines, s"] = (
                f"{timed(lambda by=by: book.summary(query, by, now_ms)):.2f}"
            )
        total = rounded_micro_usd(sum(line.rated for line in lines))
        wanted = rounded_micro_usd(NODE_COUNT * 8 * (now_ms - 1_000) * PRICE)
        assert total == wanted, (total, wanted)
        found["total of the month"] = format_usd(total)
        found[f"reading {record_count:,} records, s"] = (
            f"{timed(lambda: sum(1 for _ in book.usages(query))):.2f}"
        )
        began_s = time.perf_counter()
        checked = book.check()
        assert (checked.cluster_count, checked.differences) == (TENANT_COUNT, ())
        found["check against the trail, s"] = f"{time.perf_counter() - began_s:.2f}"
    return found


def main() -> None:
    """Measure both engines on one disk."""
    durable = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
    with tempfile.TemporaryDirectory() as folder, private_server(durable, None) as server:
        with closing(psycopg.connect(server.url("postgres"))) as raw:
            version = str(raw.info.parameter_status("server_version"))
        print_machine(version)
        print(f"load when it began: {os.getloadavg()[0]:.1f}")
        names = iter(range(1_000))
        places: dict[str, NewPlace] = {
            "SQLite": lambda: Path(folder) / f"{next(names)}.sqlite",
            "PostgreSQL": server.new,
        }
        for engine, new in places.items():
            print(f"\n| | {engine} |\n|--|--:|")
            for name, value in {**big_cluster(new()), **month(new())}.items():
                print(f"| {name} | {value} |", flush=True)
        print(f"\nload when it ended: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
