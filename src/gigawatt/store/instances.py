"""``SqlInstances``: the ``Instances`` on the store's own database."""

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, func, insert, literal, select, update

from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.interfaces.instances import Holding, Instance, Instances, Taken
from gigawatt.planner.phases import Phase
from gigawatt.store.clusters import record_of
from gigawatt.store.database import Database
from gigawatt.store.instances_schema import instances
from gigawatt.store.nodes import all_states
from gigawatt.store.schema import allocations, clusters, nodes
from gigawatt.store.store import SqlStore


def open_instances(store: SqlStore) -> "SqlInstances":
    """The instances in a store's database."""
    return SqlInstances(store.database)


class SqlInstances:
    """Instances; every method is what ``Instances`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def add(self, instance: Instance) -> None:
        """Keep an instance whose cluster will be committed next."""
        row = {
            "instance_id": instance.instance_id,
            "project_id": instance.project_id,
            "cluster_id": instance.cluster_id,
            "name": instance.name,
            "tags": json.dumps(instance.tags),
            "ssh_key_names": json.dumps(instance.ssh_key_names),
            "created_s": instance.created_s,
            "release_asked_s": instance.release_asked_s,
        }
        with self._database.write() as connection:
            connection.execute(insert(instances), row)

    def remove(self, instance_id: str) -> None:
        """Forget an instance whose cluster was refused."""
        with self._database.write() as connection:
            connection.execute(delete(instances).where(instances.c.instance_id == instance_id))

    def rename(self, instance_id: str, name: str | None) -> None:
        """Give an instance another name."""
        mine = instances.c.instance_id == instance_id
        with self._database.write() as connection:
            connection.execute(update(instances).where(mine).values(name=name))

    def ask_release(self, instance_id: str, now_s: float) -> None:
        """Note that its tenant wants it gone; the first time counts."""
        first = instances.c.instance_id == instance_id, instances.c.release_asked_s.is_(None)
        with self._database.write() as connection:
            connection.execute(update(instances).where(*first).values(release_asked_s=now_s))

    def unwanted(self, limit: int) -> tuple[ClusterId, ...]:
        """Active clusters of instances that their tenants want gone, oldest wish first."""
        query = (
            select(instances.c.cluster_id)
            .join(clusters, clusters.c.cluster_id == instances.c.cluster_id)
            .where(instances.c.release_asked_s.is_not(None), clusters.c.phase == Phase.ACTIVE.value)
            .order_by(instances.c.release_asked_s, instances.c.instance_id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(ClusterId(row.cluster_id) for row in connection.execute(query))

    def holding(self, project_id: TenantId) -> Holding:
        """What a project holds."""
        live = clusters.c.tenant_id == project_id, ~clusters.c.is_ended
        query = select(clusters).where(*live).order_by(clusters.c.created_generation)
        wishes = (
            select(instances)
            .join(clusters, clusters.c.cluster_id == instances.c.cluster_id)
            .where(instances.c.project_id == project_id, *live)
        )
        with self._database.read() as connection:
            records = tuple(record_of(row) for row in connection.execute(query))
            found = [_instance(row) for row in connection.execute(wishes)]
            return Holding(
                records, {kept.cluster_id: kept for kept in found}, _quarantined(connection)
            )

    def taken(self) -> Taken:
        """What of the fleet is taken or blocked."""
        mask = func.sum(literal(1).op("<<")(allocations.c.gpu))
        query = select(allocations.c.node_id, mask).group_by(allocations.c.node_id)
        with self._database.read() as connection:
            return Taken(
                {NodeId(node_id): int(bits) for node_id, bits in connection.execute(query).all()},
                frozenset(all_states(connection)),
            )


def _quarantined(connection: Connection) -> frozenset[NodeId]:
    query = select(nodes.c.node_id).where(nodes.c.state == "quarantined")
    return frozenset(NodeId(row.node_id) for row in connection.execute(query))


def _instance(row: Row[Any]) -> Instance:
    return Instance(
        instance_id=row.instance_id,
        project_id=TenantId(row.project_id),
        cluster_id=ClusterId(row.cluster_id),
        name=row.name,
        tags=tuple((key, value) for key, value in json.loads(row.tags)),
        ssh_key_names=tuple(json.loads(row.ssh_key_names)),
        created_s=row.created_s,
        release_asked_s=row.release_asked_s,
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Instances] = SqlInstances
