"""Instances as they are now: those that were launched here, and nodes of native clusters.

Every member of every cluster of the project is an instance to look at. One that was launched at
this door has its own row of memory and can be changed here; a node of a cluster that was made
natively has an id made from its place in the cluster and can only be looked at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import LambdaAccess
from gigawatt.api.lambda_cloud.offers import at_price, type_of_member
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.app.service import Service
from gigawatt.boundary.keys import address_of, subnet_of
from gigawatt.boundary.names import hostname_of
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import UnknownIdError
from gigawatt.identity.accounts import Project
from gigawatt.ids import ClusterId
from gigawatt.interfaces.instances import Holding, Instance
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.phases import Phase
from gigawatt.planner.price import bound_price

Status = Literal["booting", "active", "unhealthy", "terminating"]

_STATUS: Mapping[Phase, Status] = {
    Phase.LAUNCHING: "booting",
    Phase.ACTIVE: "active",
    Phase.CHANGING: "active",
    Phase.RELEASING: "terminating",
    Phase.UNWINDING: "terminating",
    Phase.STUCK: "unhealthy",
}
"""Status by the phase of the cluster; those that have ended are not shown."""

GLOBAL_ID_PREFIX = "fwr_global_"
"""Beginning of the ids of global firewall rulesets, which instances have and do not show."""

NO_RESTART = "a running node is not restarted by the control plane"


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance at one moment.

    Fields: instance is the memory of one that was launched here, None for a node of a native
    cluster; is_broken tells that its node is quarantined; mount_names are of file systems.
    """

    instance_id: str
    record: ClusterRecord
    target: ClusterTarget
    member: Member
    instance: Instance | None
    is_broken: bool
    mount_names: tuple[str, ...]

    @property
    def status(self) -> Status:
        """Status in Lambda's words."""
        is_unwanted = self.instance is not None and self.instance.release_asked_s is not None
        if is_unwanted and self.record.phase is not Phase.STUCK:
            return "terminating"
        status = _STATUS[self.record.phase]
        return "unhealthy" if status == "active" and self.is_broken else status


@lru_cache(maxsize=1 << 16)
def member_id(cluster_id: ClusterId, host_index: int) -> str:
    """Id of a node of a native cluster: it stays as long as the node is in the cluster."""
    return blake2b(f"{cluster_id}/{host_index}".encode(), digest_size=16).hexdigest()


def seen_in(holding: Holding) -> Iterator[Seen]:
    """Every instance of a project, oldest cluster first, in rank order."""
    names = {record.cluster_id: record.name for record in holding.records}
    for record in holding.records:
        target = record.target
        if target is None or target.is_file_system:
            continue
        members = target.active_members
        instance = holding.instances.get(record.cluster_id) if len(members) == 1 else None
        for member in members:
            own_id = None if instance is None else instance.instance_id
            yield Seen(
                own_id or member_id(record.cluster_id, member.host_index),
                record,
                target,
                member,
                instance,
                member.node_id in holding.broken,
                tuple(names.get(mount.file_system_id, "") for mount in target.mounts),
            )


def find_seen(access: LambdaAccess, project: Project, instance_id: str) -> Seen:
    """One instance of a project.

    Raises:
        UnknownIdError: there is none.
    """
    for seen in seen_in(access.service.instances.holding(project.project_id)):
        if seen.instance_id == instance_id:
            return seen
    raise UnknownIdError(
        f"no instance {instance_id!r}", next_step="List what you can see, and take its id."
    )


def _addresses(service: Service, seen: Seen) -> tuple[str | None, str | None]:
    """Public and in-band address; both None before the instance is active."""
    if seen.status not in {"active", "unhealthy"} or seen.record.phase is Phase.STUCK:
        return None, None
    subnet = seen.target.keys.subnet
    assert subnet is not None, "a cluster with members has a network"
    inside = address_of(subnet_of(subnet), seen.member.host_index).partition("/")[0]
    prefix = service.lambda_settings.public_prefixes.get(seen.target.site_id)
    is_first = seen.member == seen.target.active_members[0]
    return (inside if prefix is None or not is_first else str(prefix[subnet])), inside


def _can(*, available: bool, code: str = "", why: str = "") -> doc.ActionAvailability:
    if available:
        return doc.ActionAvailability(available=True)
    return doc.ActionAvailability(available=False, reason_code=code, reason_description=why)


def _actions(seen: Seen) -> doc.InstanceActions:
    absent = _can(available=False, code="not-supported", why="there is no such action here")
    restart = _can(available=False, code="not-supported", why=NO_RESTART)
    if seen.instance is None:
        why = f"it is a node of cluster {seen.record.cluster_id}"
        terminate = _can(available=False, code="node-of-a-cluster", why=why)
    elif seen.status == "terminating":
        terminate = _can(available=False, code="vm-is-terminating", why="it is terminating")
    else:
        terminate = _can(available=True)
    return doc.InstanceActions(
        migrate=absent, rebuild=absent, restart=restart, cold_reboot=restart, terminate=terminate
    )


def instance_document(service: Service, seen: Seen) -> doc.Instance:
    """An instance as it is answered."""
    fleet, target, instance = service.control.around.fleet, seen.target, seen.instance
    row = int(fleet.nodes.type[fleet.node_index(seen.member.node_id)])
    public, inside = _addresses(service, seen)
    hostname = hostname_of(target.name, seen.member.host_index)
    tags = None if instance is None else [doc.Tag(key=k, value=v) for k, v in instance.tags]
    return doc.Instance(
        id=seen.instance_id,
        name=hostname if instance is None else instance.name,
        ip=public,
        private_ip=inside,
        status=seen.status,
        ssh_key_names=[] if instance is None else list(instance.ssh_key_names),
        file_system_names=list(seen.mount_names),
        file_system_mounts=[
            doc.MountEntry(mount_point=mount.mount_point, file_system_id=mount.file_system_id)
            for mount in target.mounts
        ]
        or None,
        firewall_rulesets=[
            doc.RulesetName(id=one)
            for one in target.firewall_ruleset_ids
            if not one.startswith(GLOBAL_ID_PREFIX)
        ]
        or None,
        region=region_of(service, target.site_id),
        instance_type=at_price(
            type_of_member(fleet, row, seen.member.gpu_mask.bit_count()),
            bound_price(fleet, seen.member),
        ),
        hostname=hostname,
        actions=_actions(seen),
        tags=tags,
        cluster_id=seen.record.cluster_id,
    )
