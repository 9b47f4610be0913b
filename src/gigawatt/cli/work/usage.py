"""Usage: sums with their total, records, and the check."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    bytes_words,
    console,
    count_of,
    moment,
    paragraph,
    show_document,
    show_list,
    table,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.errors import DriftError, InputError
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose usage, and of when: a day or moment of UTC as ISO 8601 writes it."""

    project: str | None
    cluster: str | None
    from_: str | None
    to: str | None


def moment_ms(text: str) -> int:
    """Unix milliseconds of a day or moment; of UTC unless it says otherwise.

    Raises:
        InputError: it is neither.

    Example:
        >>> moment_ms("1970-01-02")
        86400000
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no day and no moment",
            next_step="Write e.g. 2026-01-31 or 2026-01-31T12:00:00.",
        ) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1000)


def _query(connection: Connection, wanted: Wanted) -> dict[str, Any]:
    project_id = connection.find_project(wanted.project) if wanted.project else None
    cluster = wanted.cluster
    return {
        "project_id": project_id,
        "cluster_id": None if cluster is None else connection.cluster(cluster, wanted.project).id,
        "from_ms": None if wanted.from_ is None else moment_ms(wanted.from_),
        "to_ms": None if wanted.to is None else moment_ms(wanted.to),
    }


def _cells(key: str, line: doc.UsageLine) -> tuple[str, str, str]:
    return key, f"{line.gpu_hours:,.2f}", format_usd(line.amount_micro_usd)


_BY: Mapping[str, doc.UsageBy] = {
    "project": "project",
    "cluster": "cluster",
    "gpu-type": "gpu_type",
    "day": "day",
}


def show_summary(wanted: Wanted, by: str, form: Format) -> None:
    """Show GPU-hours and amounts by project, cluster, GPU type or day, and their total."""
    with connected() as connection:
        call = calls.get_usage_summary(by=_BY[by], **_query(connection, wanted))
        found = connection.client.send(call)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    paragraph(f"usage from {moment(found.from_ms / 1000)} to {moment(found.to_ms / 1000)}")
    rows = [_cells(line.name or line.key, line) for line in found.lines]
    table((by.replace("-", " "), "gpu-hours", "amount"), [*rows, _cells("total", found.total)])
    if found.storage:
        console.print("")
        rows = [_storage_cells(line) for line in found.storage]
        hours = sum(line.gib_hours for line in found.storage)
        table(("storage", "gib-hours", "now"), [*rows, ("total", f"{hours:,.2f}", "")])
    if found.external:
        console.print("")
        table(
            ("measured elsewhere", "project", "quantity", "unit"),
            [(x.product, x.project_id, f"{x.quantity:,}", x.unit) for x in found.external],
        )


def _storage_cells(line: doc.StorageLine) -> tuple[str, str, str]:
    now = f"billing {bytes_words(line.storage_bytes)}" if line.is_under_way else "ended"
    return line.name, f"{line.gib_hours:,.2f}", now


def show_records(wanted: Wanted, form: Format) -> None:
    """Show what each node was used for, in the order in which it was written down."""
    with connected() as connection:
        make = partial(calls.list_usage, **_query(connection, wanted))
        found = list(connection.client.pages(make, limit=PAGE_LIMIT))
    listing: Listing[doc.UsageRecord] = Listing(
        ("from", "to", "node", "gpus", "$/gpu-hour", "amount", "cluster", "number"),
        lambda r: (
            moment(r.from_ms / 1000),
            moment(r.to_ms / 1000),
            r.node_id,
            r.gpu_count,
            format_usd(r.price_micro_usd_per_gpu_hour),
            format_usd(r.amount_micro_usd),
            r.cluster_id,
            r.number,
        ),
        "no records yet; what is under way is in: gw usage",
    )
    show_list(found, form, listing)
    if found and form is Format.TABLE:
        gpu_ms = sum((r.to_ms - r.from_ms) * r.gpu_count for r in found)
        console.print(f"{count_of(len(found), 'record')}, {gpu_ms / 3_600_000:,.2f} GPU-hours")


def check(cluster: str | None, project: str | None, form: Format) -> None:
    """Reckon usage again from the audit trail and compare.

    Raises:
        DriftError: records differ.
    """
    with connected() as connection:
        cluster_id = None if cluster is None else connection.cluster(cluster, project).id
        found = connection.client.check_usage(cluster_id=cluster_id)
    if form is not Format.TABLE:
        show_document(found, form)
    elif found.is_sound:
        clusters = count_of(found.cluster_count, "cluster")
        holders = count_of(found.storage_holder_count, "holder")
        said = "every record is what the audit trail says"
        console.print(f"{clusters} and {holders} of storage checked: {said}")
    if not found.is_sound:
        raise DriftError(
            "records of usage are not what the audit trail says",
            notes=[difference.sentence for difference in found.differences],
            next_step="Bill nothing of these clusters before somebody has looked at them.",
        )
