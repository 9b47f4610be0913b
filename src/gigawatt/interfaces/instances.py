"""What a store of instances must offer: the memory of the Lambda-compatible door.

An instance is a cluster of one node (or one slice of a node) behind. What it holds, where it is
and how far it is follow from that cluster; kept here is only what its tenant said beside.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.interfaces.store import ClusterRecord


@dataclass(frozen=True, slots=True)
class Instance:
    """One wish for one node, written before its cluster is committed.

    Fields:
        instance_id: 32 hexadecimal digits.
        cluster_id: the cluster behind; there is none if its commit was refused.
        name: what its tenant calls it, not unique; None for no name.
        tags: (key, value), as given.
        created_s, release_asked_s: Unix seconds; the second is when its tenant wanted it gone,
            None while it is wanted.
    """

    instance_id: str
    project_id: TenantId
    cluster_id: ClusterId
    name: str | None
    tags: tuple[tuple[str, str], ...]
    ssh_key_names: tuple[str, ...]
    created_s: float
    release_asked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one project holds at one moment.

    Fields:
        records: its clusters that have not ended, oldest first.
        instances: those of them that are instances, by cluster.
        broken: nodes of the site that are quarantined.
    """

    records: tuple[ClusterRecord, ...]
    instances: Mapping[ClusterId, Instance]
    broken: frozenset[NodeId]


@dataclass(frozen=True, slots=True)
class Taken:
    """What of the fleet cannot be given now: GPU mask by node, and nodes that are blocked."""

    masks: Mapping[NodeId, int]
    blocked: frozenset[NodeId]


class Instances(Protocol):
    """Durable state of instances."""

    def add(self, instance: Instance) -> None:
        """Keep an instance whose cluster will be committed next."""
        ...

    def remove(self, instance_id: str) -> None:
        """Forget an instance whose cluster was refused."""
        ...

    def rename(self, instance_id: str, name: str | None) -> None:
        """Give an instance another name."""
        ...

    def ask_release(self, instance_id: str, now_s: float) -> None:
        """Note that its tenant wants it gone; the first time counts."""
        ...

    def unwanted(self, limit: int) -> tuple[ClusterId, ...]:
        """Active clusters of instances that their tenants want gone, oldest wish first."""
        ...

    def holding(self, project_id: TenantId) -> Holding:
        """What a project holds."""
        ...

    def taken(self) -> Taken:
        """What of the fleet is taken or blocked; cheaper than a snapshot of everything."""
        ...
