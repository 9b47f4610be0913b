"""Meters of storage: read, advanced and written back, as ``usage_meters`` does for GPUs."""

from sqlalchemy import Connection, Row, insert, select, update

from gigawatt.boundary.target import ClusterTarget
from gigawatt.ids import ClusterId
from gigawatt.market.storage_meter import StorageMeter, promise_bytes
from gigawatt.store.usage_meters import organisation_of
from gigawatt.store.usage_records_schema import storage_meters, storage_records

_WHOSE = (
    storage_meters.c.organisation_id,
    storage_meters.c.project_id,
    storage_meters.c.storage_pool_id,
    storage_meters.c.site_id,
)


def note_promised(connection: Connection, target: ClusterTarget, at_ms: int) -> None:
    """Note that a cluster or file system has the storage of its target from now on."""
    storage_bytes = 0 if target.pool_id is None else target.storage_bytes
    name = target.cluster_id
    row = _row(connection, name)
    if row is None and storage_bytes == 0:
        return
    if row is None:
        first = {
            "holder_id": name,
            "organisation_id": organisation_of(connection, target.tenant_id),
            "project_id": target.tenant_id,
            "storage_pool_id": target.pool_id,
            "site_id": target.site_id,
            "at_ms": at_ms,
            "storage_bytes": 0,
            "next_number": 0,
        }
        connection.execute(insert(storage_meters), first)
    _advance(connection, name, storage_bytes, at_ms)


def note_let_go(connection: Connection, holder_id: ClusterId, at_ms: int) -> None:
    """Note that a cluster or file system has no storage any more."""
    if _row(connection, holder_id) is not None:
        _advance(connection, holder_id, 0, at_ms)


def _row(connection: Connection, holder_id: ClusterId) -> Row | None:  # type: ignore[type-arg]
    query = select(storage_meters).where(storage_meters.c.holder_id == holder_id)
    return connection.execute(query).one_or_none()


def _advance(connection: Connection, holder_id: ClusterId, storage_bytes: int, at_ms: int) -> None:
    """Promise so many bytes."""
    row = _row(connection, holder_id)
    assert row is not None, "the holder has a meter"
    before = StorageMeter(holder_id, row.at_ms, row.storage_bytes, row.since_ms, row.next_number)
    after, ended = promise_bytes(before, storage_bytes, at_ms)
    values = {
        "at_ms": after.at_ms,
        "storage_bytes": after.storage_bytes,
        "since_ms": after.since_ms,
        "next_number": after.next_number,
    }
    mine = storage_meters.c.holder_id == holder_id
    connection.execute(update(storage_meters).where(mine).values(values))
    if ended is None:
        return
    whose = connection.execute(select(*_WHOSE).where(mine)).one()
    record = {
        "holder_id": holder_id,
        "number": ended.number,
        **whose._mapping,  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
        "storage_bytes": ended.storage_bytes,
        "from_ms": ended.from_ms,
        "to_ms": ended.to_ms,
    }
    connection.execute(insert(storage_records), record)
