"""What watching costs: a scrape, a row of the audit and its check, and an operation that is traced.

On files, with the fleet of 10,000 GPUs; 100 clusters of 96 GPUs hold most of it.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import insert

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.ids import RandomIds
from gigawatt.app.service import open_service
from gigawatt.app.watch.process_metrics import ProcessMetrics
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.traces import tracing
from gigawatt.app.watch.watches import Watches
from gigawatt.executor.progress import UNWATCHED, Watch
from gigawatt.identity.accounts import AccountId, ApiKeyId, OrganisationId
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.store.call_audit import open_call_audit
from gigawatt.store.directory import open_directory
from gigawatt.store.directory_schema import audit_entries
from gigawatt.store.open import open_store_at

ROW_COUNT = 20_000
APPEND_COUNT = 300


def ms_of(work: Callable[[], object], count: int) -> str:
    took_ms = []
    for _ in range(count):
        began_s = time.perf_counter()
        work()
        took_ms.append(1e3 * (time.perf_counter() - began_s))
    ordered = sorted(took_ms)
    return f"p50 {statistics.median(ordered):.2f} ms, worst {ordered[-1]:.2f} ms, n {count}"


def launch(control: Control, name: str, gpu_count: int) -> float:
    request = ClusterRequest(TenantId(f"ten_{name}"), name, gpu_count)
    plan = control.plan_create(request, with_alternatives=False)
    began_s = time.perf_counter()
    operation = control.commit(plan)
    asyncio.run(control.run(operation.operation_id, "worker"))
    return time.perf_counter() - began_s


def scrape(folder: Path) -> None:
    with open_service(
        Home(folder, database_url=None), settings=WatchSettings(replica="r")
    ) as service:
        for number in range(100):
            launch(service.control, f"c{number}", 96)

        def fresh() -> None:
            service.watching.exposition()

        times: list[float] = []
        for _ in range(20):
            time.sleep(1.01)
            began_s = time.perf_counter()
            fresh()
            times.append(1e3 * (time.perf_counter() - began_s))
        print(
            f"scrape, read anew: p50 {statistics.median(times):.1f} ms, worst {max(times):.1f} ms"
        )
        print(f"scrape, within a second of another: {ms_of(fresh, 10)}")
        text = service.watching.exposition()
        line_count = len(text.splitlines())
        print(f"exposition: {len(text):,} bytes, {line_count:,} lines")


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        sequence=0,
        at_s=1e9 + number,
        organisation_id=OrganisationId("org_0123456789abcdef"),
        account_id=AccountId("acc_0123456789abcdef"),
        key_id=ApiKeyId("key_0123456789abcdef"),
        operation="set_quota",
        path="/gw/v1/projects/ten_0123456789abcdef/quota",
        status=200,
        request_id="req_0123456789abcdef",
        client_address="192.0.2.7",
        before={"gpu_count_max": number, "name": "p"},
        after={"gpu_count_max": number + 1, "name": "p"},
    )


def audit(folder: Path) -> None:
    path = folder / "audit.sqlite"
    store = open_store_at(path)
    directory = open_directory(store)
    plain = {
        "at_s": 1.0,
        "operation": "set_quota",
        "path": "/gw/v1/projects/ten_0123456789abcdef/quota",
        "status": 200,
        "request_id": "r",
    }

    def append_plain() -> None:
        with store.database.write() as connection:
            connection.execute(insert(audit_entries), plain)

    print(f"row without a chain: {ms_of(append_plain, APPEND_COUNT)}")
    with store.database.write() as connection:
        connection.execute(audit_entries.delete())
    numbers = iter(range(10**9))
    appended = ms_of(lambda: directory.add_audit(entry(next(numbers))), APPEND_COUNT)
    print(f"row in the chain:    {appended}")
    for _ in range(ROW_COUNT - APPEND_COUNT):
        directory.add_audit(entry(next(numbers)))
    began_s = time.perf_counter()
    found = open_call_audit(store).verify(after=0, count_max=1 << 40, anchor=None)
    took_s = time.perf_counter() - began_s
    assert found.is_sound
    print(f"check of {found.checked_count:,} rows: {took_s:.2f} s")
    store.close()
    print(f"size of a row: {path.stat().st_size / ROW_COUNT:.0f} bytes")


def operations(folder: Path) -> None:
    with ExitStack() as stack:
        traces = stack.enter_context(tracing(InMemorySpanExporter(), "r"))
        watches: dict[str, Watch] = {
            "nobody": UNWATCHED,
            "metrics": Watches([ProcessMetrics()]),
            "metrics and traces": Watches([ProcessMetrics(), traces]),
        }
        took: dict[str, list[float]] = {name: [] for name in watches}
        for number in range(3):
            for name, watch in watches.items():
                home = Home(folder / f"{name}{number}", database_url=None)
                with open_service(home) as service:
                    around = replace(service.control.around, watch=watch)
                    took[name].append(launch(Control(around, RandomIds()), "big", 4_000))
    for name, found in took.items():
        print(f"launch of 4,000 GPUs, watched by {name}: {statistics.median(found):.2f} s")


def main() -> None:
    for part in (scrape, audit, operations):
        with tempfile.TemporaryDirectory() as folder:
            part(Path(folder))


if __name__ == "__main__":
    main()
