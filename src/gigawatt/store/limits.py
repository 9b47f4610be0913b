"""``SqlLimitBook``: the ``LimitBook`` on the store's own database."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select

from gigawatt.identity.quota import Limits
from gigawatt.ids import TenantId
from gigawatt.interfaces.limits import LimitBook
from gigawatt.store.database import Database, raise_generation
from gigawatt.store.directory_accounts import read_project, write_quota
from gigawatt.store.directory_schema import projects
from gigawatt.store.journal import add_project_event
from gigawatt.store.queue_schema import quota_limits
from gigawatt.store.store import SqlStore

_columns = quota_limits.c


def open_limit_book(store: SqlStore) -> "SqlLimitBook":
    """The limits in a store's database."""
    return SqlLimitBook(store.database)


class SqlLimitBook:
    """Limits of projects; every method is what ``LimitBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def limits(self, project_id: TenantId) -> Limits:
        """The limits of a project; none are set at first."""
        with self._database.read() as connection:
            return _read(connection, project_id)

    def all_limits(self) -> Mapping[TenantId, tuple[int, Limits]]:
        """GPUs granted and limits of every project."""
        columns = projects.c
        query = select(columns.project_id, columns.gpu_count_max).order_by(columns.project_id)
        found: dict[str, list[tuple[str, str, int]]] = {}
        with self._database.read() as connection:
            granted = connection.execute(query).all()
            for row in connection.execute(select(quota_limits)):
                found.setdefault(row.project_id, []).append((row.kind, row.name, row.count_max))
        return {
            TenantId(row.project_id): (row.gpu_count_max, _limits(found.get(row.project_id, [])))
            for row in granted
        }

    def grant(
        self, project_id: TenantId, gpu_count_max: int, limits: Limits, said: Mapping[str, Any]
    ) -> None:
        """Change what a project may hold, and write before and after into the trail."""
        with self._database.write() as connection:
            # A plan that was judged by the grant before names an older parent: it is judged again.
            raise_generation(connection)
            project = read_project(connection, project_id)
            before = _told(project.gpu_count_max, _read(connection, project_id))
            write_quota(connection, project_id, gpu_count_max)
            connection.execute(delete(quota_limits).where(_columns.project_id == project_id))
            if rows := _rows(project_id, limits):
                connection.execute(insert(quota_limits), rows)
            after = _told(gpu_count_max, limits)
            now_s = float(said["at_s"])
            data = {**said, "project_id": project_id, "before": before, "after": after}
            message = f"the quota of project {project_id} was changed"
            add_project_event(connection, project_id, "quota", message, now_s, data)


def _read(connection: Connection, project_id: TenantId) -> Limits:
    query = select(_columns.kind, _columns.name, _columns.count_max)
    rows = connection.execute(query.where(_columns.project_id == project_id))
    return _limits([(row.kind, row.name, row.count_max) for row in rows])


def _limits(rows: list[tuple[str, str, int]]) -> Limits:
    single = {kind: count for kind, _, count in rows}
    return Limits(
        gpu_count_max_by_type={n: count for kind, n, count in sorted(rows) if kind == "gpu_type"},
        cluster_count_max=single.get("cluster"),
        waiting_count_max=single.get("waiting"),
    )


def _rows(project_id: TenantId, limits: Limits) -> list[dict[str, Any]]:
    found = [("gpu_type", name, count) for name, count in limits.gpu_count_max_by_type.items()]
    if limits.cluster_count_max is not None:
        found.append(("cluster", "", limits.cluster_count_max))
    if limits.waiting_count_max is not None:
        found.append(("waiting", "", limits.waiting_count_max))
    return [
        {"project_id": project_id, "kind": kind, "name": name, "count_max": count}
        for kind, name, count in found
    ]


def _told(gpu_count_max: int, limits: Limits) -> dict[str, Any]:
    return {
        "gpu_count": gpu_count_max,
        "gpu_count_by_type": dict(limits.gpu_count_max_by_type),
        "cluster_count": limits.cluster_count_max,
        "waiting_count": limits.waiting_count_max,
    }


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[LimitBook] = SqlLimitBook
