"""``SqlStorageQuotas``: the ``StorageQuotas`` on the store's own database."""

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select

from gigawatt.identity.quota import STORAGE_BYTES_DEFAULT
from gigawatt.ids import TenantId
from gigawatt.interfaces.storage_quota import StorageQuotas
from gigawatt.store.database import Database
from gigawatt.store.directory_accounts import read_project
from gigawatt.store.directory_schema import projects
from gigawatt.store.storage_quota_schema import storage_quotas

_GRANTED = storage_quotas.c.granted_bytes


class SqlStorageQuotas:
    """Storage quotas; every method is what ``StorageQuotas`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def granted_bytes(self, project_id: TenantId) -> int:
        """What a project may have."""
        query = select(_GRANTED).where(storage_quotas.c.project_id == project_id)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return STORAGE_BYTES_DEFAULT if found is None else int(found)

    def grant(self, project_id: TenantId, granted_bytes: int) -> None:
        """Grant a project another number of bytes."""
        row = {"project_id": project_id, "granted_bytes": granted_bytes}
        with self._database.write() as connection:
            read_project(connection, project_id)
            connection.execute(
                delete(storage_quotas).where(storage_quotas.c.project_id == project_id)
            )
            connection.execute(insert(storage_quotas), row)

    def total_granted_bytes(self) -> int:
        """What all projects together may have."""
        granted = func.coalesce(_GRANTED, STORAGE_BYTES_DEFAULT)
        query = select(func.sum(granted)).select_from(projects.outerjoin(storage_quotas))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one() or 0)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[StorageQuotas] = SqlStorageQuotas
