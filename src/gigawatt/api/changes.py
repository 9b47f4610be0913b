"""From a request over HTTP to a committed operation: quota, idempotency, version, commit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from fastapi import Header, Response

from gigawatt.api.access import Access
from gigawatt.api.views import cluster_document
from gigawatt.errors import ConflictError, GigawattError, InputError, UnknownIdError, VersionError
from gigawatt.ids import (
    ClusterId,
    FileSystemId,
    FirewallRulesetId,
    NodeId,
    OperationId,
    ReservationId,
    SiteId,
    TenantId,
)
from gigawatt.intent.file_system import MountWish
from gigawatt.intent.firewall import union_of
from gigawatt.intent.request import ClusterRequest, Level, SpreadRule
from gigawatt.intent.term import Term
from gigawatt.interfaces.firewall import FirewallRuleset
from gigawatt.interfaces.store import ClusterRecord, OperationRecord
from gigawatt.interfaces.turned_away import Origin
from gigawatt.planner.phases import ENDED, Phase
from gigawatt.planner.plan import Plan
from gigawatt.planner.snapshot import Snapshot
from gigawatt.sdk import documents as doc

IfMatch = Annotated[
    str | None, Header(max_length=64, description='Version that must be current, e.g. "3".')
]
"""The version that a caller has seen of what it changes."""


def request_of(access: Access, body: doc.ClusterRequest) -> ClusterRequest:
    """The request in a body; SSH keys that it names by id are looked up.

    Raises:
        UnknownIdError: the project has no such SSH key, or no such cluster to be near to.
    """
    project_id = TenantId(body.project_id)
    if body.near_cluster_id is not None:
        _own_cluster(access, project_id, ClusterId(body.near_cluster_id))
    rulesets = own_rulesets(access, project_id, body.firewall_ruleset_ids)
    return ClusterRequest(
        tenant_id=project_id,
        name=body.name,
        gpu_count=body.gpu_count,
        gpu_type=body.gpu_type,
        segment_node_count=body.segment_node_count,
        whole_domains=body.whole_domains,
        keep_together=Level(body.keep_together),
        spread=tuple(SpreadRule(cap.per, cap.node_count_max) for cap in body.spread),
        site_ids=_sites(body, rulesets),
        countries=tuple(body.countries),
        spare_count=body.spare_count,
        excluded_node_ids=frozenset(NodeId(node_id) for node_id in body.excluded_node_ids),
        near_cluster_id=None if body.near_cluster_id is None else ClusterId(body.near_cluster_id),
        storage_bytes=body.storage_bytes,
        image=body.image,
        ssh_public_keys=(
            *body.ssh_public_keys,
            *(_public_key(access, project_id, key_id) for key_id in body.ssh_key_ids),
        ),
        egress_cidrs=tuple(body.egress_cidrs),
        mounts=tuple(
            MountWish(_own_file_system(access, project_id, mount.file_system_id), mount.mount_point)
            for mount in body.file_system_mounts
        ),
        firewall_ruleset_ids=tuple(ruleset.ruleset_id for ruleset in rulesets),
        inbound_rules=union_of([ruleset.inbound_rules for ruleset in rulesets]),
        term=Term(body.term),
        price_micro_usd_per_gpu_hour_max=body.price_micro_usd_per_gpu_hour_max,
        reservation_id=None if body.reservation_id is None else ReservationId(body.reservation_id),
        is_lent=body.is_lent,
        gpu_count_min=body.gpu_count_min,
        returns_to_queue=body.returns_to_queue,
    )


def _sites(body: doc.ClusterRequest, rulesets: Sequence[FirewallRuleset]) -> tuple[SiteId, ...]:
    """Sites that a request allows; firewall rulesets are for the gateway of one site.

    Raises:
        InputError: the rulesets are for several sites, or for one that is not allowed.
    """
    allowed = tuple(SiteId(site_id) for site_id in body.site_ids)
    there = sorted({ruleset.site_id for ruleset in rulesets})
    if not there:
        return allowed
    if len(there) > 1 or (allowed and there[0] not in allowed):
        raise InputError(
            f"the firewall rulesets are for {', '.join(there)}, wanted one site"
            + (f" of {', '.join(allowed)}" if allowed else "")
        )
    return (there[0],)


def own_rulesets(
    access: Access, project_id: TenantId, ruleset_ids: Sequence[str]
) -> tuple[FirewallRuleset, ...]:
    """Firewall rulesets of a project; a foreign one is as absent as none.

    Raises:
        UnknownIdError: the project has no such ruleset.
    """
    found = []
    for ruleset_id in dict.fromkeys(ruleset_ids):
        ruleset = access.service.rulesets.get(FirewallRulesetId(ruleset_id))
        if ruleset.project_id != project_id:
            raise UnknownIdError(f"no firewall ruleset {ruleset_id!r}")
        found.append(ruleset)
    return tuple(found)


def _own_file_system(access: Access, project_id: TenantId, file_system_id: str) -> FileSystemId:
    wanted = FileSystemId(ClusterId(file_system_id))
    try:
        found = access.service.control.around.store.cluster(wanted)
    except UnknownIdError:
        raise UnknownIdError(f"no file system {file_system_id!r}") from None
    if found.tenant_id != project_id or not found.is_file_system:
        raise UnknownIdError(f"no file system {file_system_id!r}")
    return wanted


def _own_cluster(access: Access, project_id: TenantId, cluster_id: ClusterId) -> None:
    """Refuse a cluster of another project: its place must not be found out by asking."""
    found = access.service.control.around.store.cluster(cluster_id)
    if found.tenant_id != project_id or found.is_file_system:
        raise UnknownIdError(f"no cluster {cluster_id!r}")


def _public_key(access: Access, project_id: TenantId, ssh_key_id: str) -> str:
    found = access.service.directory.ssh_key(ssh_key_id)
    if found.project_id != project_id:
        raise UnknownIdError(f"no SSH key {ssh_key_id!r}")
    return found.public_key


@contextmanager
def recorded(access: Access, request: ClusterRequest, origin: Origin) -> Iterator[None]:
    """Note demand that the block turns away, once for each request however often it is sent."""
    source_key = access.repeat_key or access.service.control.new_id("tur")
    with access.service.admission.recorded(request, origin, source_key):
        yield


def admit(access: Access) -> Callable[[Snapshot, Plan], None]:
    """What policy says to a plan: limits, whose turn it is, and what its rulesets let in."""
    return access.service.admission.judge


def expected_version(if_match: str | None) -> int | None:
    """The version in an If-Match header; None when any will do.

    Raises:
        InputError: not a version of ours.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f'If-Match is {if_match[:40]!r}, wanted a version such as "3"')
    return int(text)


def commit(
    access: Access,
    make_plan: Callable[[], Plan],
    *,
    cluster_id: ClusterId | None = None,
    version: int | None = None,
) -> OperationRecord:
    """Plan and commit, once under one idempotency key.

    Args:
        access: whose request it is.
        make_plan: makes the plan; called again when somebody was faster.
        cluster_id: the cluster that the plan changes.
        version: what the cluster's version must be, None for any.

    Raises:
        VersionError: the cluster has another version.
    """
    found = committed_before(access)
    if found is not None:
        return found
    control = access.service.control

    def of_version() -> Plan:
        check_version(access, cluster_id, version)
        plan = make_plan()
        # Again: the commit holds only if nothing was committed since the plan was made.
        check_version(access, cluster_id, version)
        return plan

    drawn = None if access.opened is None else access.opened.operation_id
    try:
        operation = control.commit_new(of_version, operation_id=drawn, admit=admit(access))
    except GigawattError:
        # A try that was given up as lost may have woken up and committed it meanwhile.
        late = committed_before(access)
        if late is None:
            raise
        operation = late
    access.service.worker.wake()
    return operation


def check_version(access: Access, cluster_id: ClusterId | None, version: int | None) -> None:
    """Nothing, when a cluster has the version that its caller has seen, or any will do.

    Raises:
        VersionError: it has another one.
    """
    if cluster_id is None or version is None:
        return
    actual = access.service.control.around.store.cluster(cluster_id).version
    if actual != version:
        raise VersionError(f"cluster {cluster_id!r} has version {actual}, the caller has {version}")


def committed_before(access: Access) -> OperationRecord | None:
    """The operation that an earlier, cut-off try of the same request has committed, if any."""
    if access.opened is None or not access.opened.is_retry:
        return None
    try:
        return access.service.control.around.store.operation(
            OperationId(access.opened.operation_id)
        )
    except UnknownIdError:
        return None


def started(access: Access, operation: OperationRecord, response: Response) -> doc.Cluster:
    """The cluster of an operation that was just committed."""
    around = access.service.control.around
    record = around.store.cluster(operation.cluster_id)
    response.headers["ETag"] = f'"{record.version}"'
    found = cluster_document(around.fleet, record, operation_id=operation.operation_id)
    access.after = _in_brief(found)
    return found


def _in_brief(found: doc.Cluster) -> dict[str, object]:
    """What the audit keeps of a cluster: enough to find the rest by its version and operation."""
    return {
        "cluster_id": found.id,
        "project_id": found.project_id,
        "name": found.name,
        "version": found.version,
        "state": found.state,
        "gpu_count": None if found.config is None else found.config.gpu_count,
        "operation_id": found.operation_id,
    }


def live_cluster(access: Access, cluster_id: str) -> ClusterRecord:
    """A cluster that the caller may change, and that is in a phase in which it can be.

    Raises:
        ConflictError: it is not active.
    """
    record = access.cluster(cluster_id)
    if record.phase is not Phase.ACTIVE and committed_before(access) is None:
        ended = "It holds nothing any more; 'gw cluster list' shows those that are live."
        waits = "Wait for its operation; 'gw cluster watch' shows how far it is."
        raise ConflictError(
            f"cluster {record.name!r} ({cluster_id}) is {record.phase.value}, wanted active",
            next_step=ended if record.phase in ENDED else waits,
        )
    access.before = _in_brief(cluster_document(access.service.control.around.fleet, record))
    return record
