"""How long a month's invoices take for 1,000 tenants on 10,000 GPUs, on each engine.

Run with ``PYTHONPATH=src python bench/billing.py [RECORDS_PER_NODE [MONTHS]]``; 30 records a node
are a cut each day, 720 one each hour. Every tenant has a commitment, a tax and storage. A closing
looks at every month before it again, so the last of MONTHS, 12 unless said, is timed as well.
Seconds of the wall clock, once: a month is closed once. PostgreSQL runs as a private server beside
this process, on a unix socket, with fsync on; both engines keep their files in one temporary folder
of the same disk.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import insert

from gigawatt.app.market.billing import Billing
from gigawatt.app.market.invoice_html import invoice_html
from gigawatt.app.market.invoice_pdf import invoice_pdf
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import TenantId
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.ledger import to_beancount
from gigawatt.market.month import next_month, start_ms
from gigawatt.store.billing import open_billing
from gigawatt.store.billing_schema import contract_items
from gigawatt.store.directory import open_directory
from gigawatt.store.directory_schema import organisations, projects
from gigawatt.store.open import open_store_at
from gigawatt.store.reservations import SqlReservations
from gigawatt.store.schema import clusters
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_records import SqlUsageBook
from gigawatt.store.usage_records_schema import storage_records, usage_records

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from postgres_server import SETTINGS, private_server

TENANT_COUNT = 1_000
GPU_COUNT, GPUS_PER_NODE = 10_000, 8
MONTH = "2026-11"
LAST_MONTH = "2036-10"
ROWS_AT_ONCE = 10_000


def timed(work: Callable[[], object]) -> float:
    """Seconds that work takes."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def fill(store: SqlStore, records_per_node: int) -> int:
    """Tenants with their contracts and what they used; how many records of GPUs."""
    owners = range(TENANT_COUNT)
    with store.database.write() as connection:
        made = [Organisation(OrganisationId(f"org_{n:04}"), f"Tenant {n}", 0.0) for n in owners]
        names = ("organisation_id", "name", "created_s")
        connection.execute(insert(organisations), [{k: getattr(o, k) for k in names} for o in made])
        rows = [
            Project(TenantId(f"ten_{n:04}"), OrganisationId(f"org_{n:04}"), "p", 10**6, 0.0)
            for n in owners
        ]
        names = ("project_id", "organisation_id", "name", "gpu_count_max", "created_s")
        connection.execute(insert(projects), [{k: getattr(p, k) for k in names} for p in rows])
        connection.execute(insert(clusters), [cluster_row(n) for n in owners])
        items = [row for n in owners for row in item_rows(n)]
        connection.execute(insert(contract_items), items)
        connection.execute(insert(storage_records), [storage_row(n) for n in owners])
    return fill_month(store, MONTH, 0, records_per_node)


def fill_month(store: SqlStore, month: str, number_before: int, records_per_node: int) -> int:
    """What GPUs were used for in a month, after so many months; how many records."""
    found = [
        usage_row(month, node, number, records_per_node, number_before)
        for node in range(GPU_COUNT // GPUS_PER_NODE)
        for number in range(records_per_node)
    ]
    for start in range(0, len(found), ROWS_AT_ONCE):
        with store.database.write() as connection:
            connection.execute(insert(usage_records), found[start : start + ROWS_AT_ONCE])
    return len(found)


def cluster_row(number: int) -> dict[str, object]:
    return {
        "cluster_id": f"clu_{number:04}",
        "tenant_id": f"ten_{number:04}",
        "name": "c",
        "phase": "released",
        "phase_reason": "",
        "phase_since_s": 0.0,
        "is_ended": True,
        "version": 1,
        "target": None,
        "created_s": 0.0,
        "created_generation": number + 1,
        "is_file_system": False,
    }


def item_rows(number: int) -> list[dict[str, object]]:
    both = (
        ContractItem("a", OrganisationId(""), ItemKind.COMMITMENT, "prepaid", 10**10, 0, "", ""),
        ContractItem("b", OrganisationId(""), ItemKind.TAX, "VAT 19 %", 0, 190_000, "", ""),
    )
    return [
        {
            "item_id": f"ctr_{number:04}{item.item_id}",
            "organisation_id": f"org_{number:04}",
            "kind": item.kind.value,
            "name": item.name,
            "amount_micro_usd": item.amount_micro_usd,
            "rate_ppm": item.rate_ppm,
            "from_month": MONTH,
            "to_month": LAST_MONTH,
            "created_s": 0.0,
        }
        for item in both
    ]


def owner_of(number: int) -> dict[str, object]:
    return {
        "organisation_id": f"org_{number:04}",
        "project_id": f"ten_{number:04}",
        "site_id": "site-a",
    }


def storage_row(number: int) -> dict[str, object]:
    return {
        **owner_of(number),
        "holder_id": f"clu_{number:04}",
        "number": 0,
        "storage_pool_id": "pool-a",
        "storage_bytes": 10 << 40,
        "from_ms": start_ms(MONTH),
        "to_ms": start_ms(next_month(MONTH)),
    }


def usage_row(
    month: str, node: int, number: int, count: int, months_before: int
) -> dict[str, object]:
    tenant = node % TENANT_COUNT
    begin_ms, end_ms = start_ms(month), start_ms(next_month(month))
    step_ms = (end_ms - begin_ms) // count
    from_ms = begin_ms + number * step_ms
    return {
        **owner_of(tenant),
        "cluster_id": f"clu_{tenant:04}",
        "number": (2 * months_before + node // TENANT_COUNT) * count + number,
        "node_id": f"n{node:05}",
        "gpu_type": "h100",
        "term": "on_demand",
        "gpu_count": GPUS_PER_NODE,
        "price_micro_usd_per_gpu_hour": 2_490_000 + tenant,
        "from_ms": from_ms,
        "to_ms": from_ms + step_ms,
        "reservation_id": None,
    }


def later_months(
    store: SqlStore, billing_at: Callable[[str], Billing], records_per_node: int, month_count: int
) -> dict[str, float]:
    """Seconds of the last of some months, those before it closed; all were used alike."""
    month, found = MONTH, dict[str, float]()
    for number in range(1, month_count):
        month = next_month(month)
        fill_month(store, month, number, records_per_node)
        billing = billing_at(month)
        found = {
            f"plan month {number + 1}": timed(lambda: billing.plan(month)),  # noqa: B023 - at once
            f"close month {number + 1}": timed(lambda: billing.close(month)),  # noqa: B023 - at once
        }
    return found


def run(place: str | Path, records_per_node: int, month_count: int) -> dict[str, float]:
    """Seconds of each part of a month's run."""
    with closing(open_store_at(place)) as store:
        record_count = fill(store, records_per_node)
        book = open_billing(store)
        usage, directory = SqlUsageBook(store.database), open_directory(store)
        reserved = SqlReservations(store.database)

        def billing_at(month: str) -> Billing:
            now_s = start_ms(next_month(month)) / 1000 + 60
            return Billing(book, usage, reserved, directory, lambda: now_s)

        billing = billing_at(MONTH)
        found = {
            "plan": timed(lambda: billing.plan(MONTH)),
            "close": timed(lambda: billing.close(MONTH)),
            "close again": timed(lambda: billing.close(MONTH)),
            "check the books": timed(book.check),
            "export to beancount": timed(lambda: to_beancount(book.entries())),
            "500 invoices read": timed(lambda: book.invoices(None, None, "", 500)),
        }
        (month,) = book.closings()
        assert month.invoice_count == TENANT_COUNT
        assert book.check().fault is None
        invoice = book.invoice(f"INV-{MONTH}-00001")
        invoice_pdf(invoice)  # fonts are looked up once
        found["one invoice as PDF"] = timed(lambda: invoice_pdf(invoice))
        found["one invoice as HTML"] = timed(lambda: invoice_html(invoice))
        found |= later_months(store, billing_at, records_per_node, month_count)
    print(f"  {record_count:,} records of GPUs, {month.invoice_count:,} invoices")
    return found


def main() -> None:
    records_per_node = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    month_count = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    with tempfile.TemporaryDirectory() as folder:
        sqlite = run(Path(folder) / "store.sqlite", records_per_node, month_count)
        durable = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
        with private_server(durable, None) as server, server.database() as url:
            postgres = run(url, records_per_node, month_count)
    print(f"{'seconds':24}{'SQLite':>10}{'PostgreSQL':>12}")
    for name, took_s in sqlite.items():
        print(f"{name:24}{took_s:10.3f}{postgres[name]:12.3f}")


if __name__ == "__main__":
    main()
