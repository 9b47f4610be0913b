"""Records of the control plane as documents of the wire."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from gigawatt.boundary.entries import Entry, HostSlice
from gigawatt.boundary.keys import address_of, gateway_of, subnet_of
from gigawatt.boundary.names import hostname_of
from gigawatt.boundary.plane import PLANES
from gigawatt.boundary.render import network_keys_of
from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.catalogue import HostImage
from gigawatt.fleet.model import Fleet
from gigawatt.identity import accounts as who
from gigawatt.identity.invitations import Invitation
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.sessions import Session
from gigawatt.ids import ClusterId, NodeId
from gigawatt.intent.file_system import default_mount_point
from gigawatt.intent.firewall import InboundRule
from gigawatt.interfaces import directory as records
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.interfaces.firewall import FirewallRuleset
from gigawatt.interfaces.store import ClusterRecord, Event
from gigawatt.market.conditions import CANCELLATION, billed_items
from gigawatt.placement import result
from gigawatt.planner.phases import PHASE_SLA_S, Phase
from gigawatt.planner.plan import Action, Plan
from gigawatt.planner.price import price_of
from gigawatt.planner.target import spread_of
from gigawatt.sdk import documents as doc


def at(seconds: float) -> datetime:
    """A moment given in Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def maybe_at(seconds: float | None) -> datetime | None:
    """A moment, or none."""
    return None if seconds is None else at(seconds)


def organisation_document(found: who.Organisation) -> doc.Organisation:
    """An organisation."""
    return doc.Organisation(
        id=found.organisation_id, name=found.name, created_at=at(found.created_s)
    )


def project_document(found: who.Project) -> doc.Project:
    """A project."""
    return doc.Project(
        id=found.project_id,
        organisation_id=found.organisation_id,
        name=found.name,
        gpu_count_max=found.gpu_count_max,
        created_at=at(found.created_s),
    )


def account_document(found: who.Account) -> doc.Account:
    """An account."""
    return doc.Account(
        id=found.account_id,
        organisation_id=found.organisation_id,
        name=found.name,
        kind=found.kind,
        role=found.role.value,
        project_id=found.project_id,
        created_at=at(found.created_s),
    )


def key_document(key: ApiKey, now_s: float, text: str | None = None) -> doc.ApiKey:
    """An API key; ``text`` is the key itself, in the first answer only."""
    is_expired = key.expires_s is not None and key.expires_s <= now_s
    return doc.ApiKey(
        id=key.key_id,
        account_id=key.account_id,
        project_id=key.project_id,
        name=key.name,
        state="revoked" if key.revoked_s is not None else "expired" if is_expired else "active",
        created_at=at(key.created_s),
        expires_at=maybe_at(key.expires_s),
        last_used_at=maybe_at(key.last_used_s),
        revoked_at=maybe_at(key.revoked_s),
        previous_until=maybe_at(key.previous_until_s),
        key=text,
    )


def session_document(session: Session, idle_s_max: float) -> doc.Session:
    """A session."""
    return doc.Session(
        id=session.session_id,
        account_id=session.account_id,
        created_at=at(session.created_s),
        last_used_at=at(session.last_used_s),
        ends_at=at(session.ends_s(idle_s_max)),
        client_address=session.address,
        user_agent=session.user_agent,
    )


def invitation_document(
    invitation: Invitation, now_s: float, link: str | None = None
) -> doc.Invitation:
    """An invitation; ``link`` in the first answer only."""
    is_accepted = invitation.accepted_s is not None
    is_open = invitation.is_open(now_s)
    return doc.Invitation(
        id=invitation.invitation_id,
        organisation_id=invitation.organisation_id,
        project_id=invitation.project_id,
        email=invitation.email,
        role=invitation.role.value,
        state="accepted" if is_accepted else "open" if is_open else "expired",
        invited_by=invitation.invited_by,
        account_id=invitation.account_id,
        created_at=at(invitation.created_s),
        expires_at=at(invitation.expires_s),
        accepted_at=maybe_at(invitation.accepted_s),
        link=link,
    )


def ssh_key_document(key: records.SshKey) -> doc.SshKey:
    """An SSH key."""
    return doc.SshKey(
        id=key.ssh_key_id,
        project_id=key.project_id,
        name=key.name,
        public_key=key.public_key,
        created_at=at(key.created_s),
    )


def audit_document(entry: AuditEntry) -> doc.AuditEntry:
    """One call."""
    return doc.AuditEntry(
        sequence=entry.sequence,
        at=at(entry.at_s),
        account_id=entry.account_id,
        key_id=entry.key_id,
        operation=entry.operation,
        path=entry.path,
        status=entry.status,
        request_id=entry.request_id,
        client_address=entry.client_address,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
        entry_hash=entry.entry_hash or None,
    )


def event_document(event: Event, *, is_for_site: bool) -> doc.Event:
    """One line of the trail; which of the site's processes did it is for the site to know."""
    data = {key: told for key, told in event.data.items() if is_for_site or key != "worker"}
    return doc.Event(
        sequence=event.sequence,
        at=at(event.at_s),
        cluster_id=event.cluster_id,
        operation_id=event.operation_id,
        kind=event.kind,
        message=event.message,
        data=data,
    )


def spread_document(spread: result.Spread) -> doc.Spread:
    """A spread."""
    return doc.Spread(
        pod_count=spread.pod_count,
        leaf_group_count=spread.leaf_group_count,
        nvlink_domain_count=spread.nvlink_domain_count,
        node_count=spread.node_count,
        hop_count_max=spread.hop_count_max,
    )


def _config(target: ClusterTarget) -> doc.ClusterConfig:
    spares = [member for member in target.members if member.role == "spare"]
    return doc.ClusterConfig(
        name=target.name,
        gpu_count=sum(member.gpu_mask.bit_count() for member in target.active_members),
        spare_node_count=len(spares),
        storage_bytes=target.storage_bytes,
        image=target.image,
        ssh_public_keys=list(target.ssh_public_keys),
        egress_cidrs=list(target.egress_cidrs),
        file_system_mounts=_mounts(target),
        firewall_ruleset_ids=list(target.firewall_ruleset_ids),
        term=target.term.value,
        price_micro_usd_per_gpu_hour_max=target.price_micro_usd_per_gpu_hour_max,
        reservation_id=target.reservation_id,
        is_lent=target.is_lent,
        gpu_count_min=target.gpu_count_min,
    )


def _rule(rule: InboundRule, description: str = "") -> doc.FirewallRule:
    return doc.FirewallRule(
        protocol=rule.protocol,
        port_range=rule.port_range,
        source_network=rule.source_cidr,
        description=description,
    )


def ruleset_document(
    found: FirewallRuleset, cluster_ids: Sequence[ClusterId]
) -> doc.FirewallRuleset:
    """A firewall ruleset and who names it."""
    return doc.FirewallRuleset(
        id=found.ruleset_id,
        project_id=found.project_id,
        name=found.name,
        site_id=found.site_id,
        rules=[_rule(kept.rule, kept.description) for kept in found.rules],
        version=found.version,
        created_at=at(found.created_s),
        cluster_ids=list(cluster_ids),
        is_applied=found.follow_at_s is None,
    )


def network_document(target: ClusterTarget) -> doc.ClusterNetwork:
    """A cluster's network as its tenant sees it."""
    _, index = network_keys_of(target)
    subnet = subnet_of(index)
    return doc.ClusterNetwork(
        cluster_id=target.cluster_id,
        subnet=subnet,
        gateway_ipv4=gateway_of(subnet),
        hosts=[
            doc.NetworkHost(
                hostname=hostname_of(target.name, member.host_index),
                ipv4=address_of(subnet, member.host_index).partition("/")[0],
                role=member.role,
            )
            for member in target.members
        ],
        egress_cidrs=list(target.egress_cidrs),
        firewall_ruleset_ids=list(target.firewall_ruleset_ids),
        inbound_rules=[_rule(rule) for rule in target.inbound_rules],
        mounts=_mounts(target),
    )


def _mounts(target: ClusterTarget) -> list[doc.Mount]:
    return [
        doc.Mount(file_system_id=mount.file_system_id, mount_point=mount.mount_point)
        for mount in target.mounts
    ]


def host_image_document(row: HostImage) -> doc.HostImage:
    """A host image."""
    return doc.HostImage(
        id=row.host_image_id,
        name=row.host_image_id,
        family=row.family,
        version=row.version,
        architecture=row.architecture,
        description=row.description,
        confidence=row.confidence,
        source=row.source,
    )


_FILE_SYSTEM_STATES = {
    Phase.LAUNCHING: "creating",
    Phase.CHANGING: "resizing",
    Phase.RELEASING: "deleting",
    Phase.RELEASED: "deleted",
}
"""Words for the phases of a file system where those of a cluster would mislead."""


def file_system_document(
    record: ClusterRecord,
    users: Sequence[ClusterTarget],
    *,
    used_bytes: int | None = None,
    operation_id: str | None = None,
) -> doc.FileSystem:
    """A file system and the clusters that mount it."""
    target = record.target
    return doc.FileSystem(
        id=record.cluster_id,
        project_id=record.tenant_id,
        name=record.name,
        site_id=None if target is None else target.site_id,
        storage_pool_id=None if target is None else target.pool_id,
        quota_bytes=None if target is None else target.storage_bytes,
        used_bytes=used_bytes,
        mount_point=default_mount_point(record.name),
        is_in_use=bool(users),
        cluster_ids=sorted(user.cluster_id for user in users),
        state=_FILE_SYSTEM_STATES.get(record.phase, record.phase.value),
        state_reason=record.phase_reason,
        state_since=at(record.phase_since_s),
        version=record.version,
        created_at=at(record.created_s),
        operation_id=operation_id,
    )


def _status(fleet: Fleet, target: ClusterTarget, *, is_whole: bool) -> doc.ClusterStatus:
    first = fleet.node_index(target.members[0].node_id)
    return doc.ClusterStatus(
        site_id=target.site_id,
        fabric_id=target.fabric_id,
        gpu_type=fleet.node_type(first).gpu_type,
        node_count=len(target.active_members),
        price_micro_usd_per_hour=price_of(fleet, target.members),
        spread=spread_document(spread_of(fleet, target.members)),
        keys=_keys(target),
        storage_pool_id=target.pool_id,
        members=[m.node_id for m in target.active_members] if is_whole else None,
        spares=[m.node_id for m in target.members if m.role == "spare"] if is_whole else None,
    )


def cluster_document(
    fleet: Fleet,
    record: ClusterRecord,
    *,
    is_whole: bool = True,
    operation_id: str | None = None,
) -> doc.Cluster:
    """A cluster; its members only when ``is_whole``."""
    target = record.target
    return doc.Cluster(
        id=record.cluster_id,
        project_id=record.tenant_id,
        name=record.name,
        config=None if target is None else _config(target),
        status=None if target is None else _status(fleet, target, is_whole=is_whole),
        state=record.phase.value,
        state_reason=record.phase_reason,
        state_since=at(record.phase_since_s),
        state_sla_s=PHASE_SLA_S.get(record.phase),
        version=record.version,
        created_at=at(record.created_s),
        operation_id=operation_id,
    )


def _planes(plan: Plan) -> dict[str, doc.PlaneChange]:
    changes = {}
    before = {member.node_id for member in plan.before.members} if plan.before else set()
    for plane in PLANES:
        steps = [step for step in plan.steps if step.plane is plane]
        kinds = {
            action: Counter(str(e.kind) for s in steps if s.action == action for e in s.entries)
            for action in ("ensure", "remove")
        }
        actions = Counter(
            (_verb(entry, step.action, before), str(entry.kind))
            for step in steps
            for entry in step.entries
        )
        changes[plane.value] = doc.PlaneChange(
            device_count=len({step.device for step in steps}),
            ensured=dict(kinds["ensure"]),
            removed=dict(kinds["remove"]),
            actions=[
                doc.PlaneAction(verb=verb, entry_kind=kind, count=count)
                for (verb, kind), count in actions.items()
            ],
        )
    return changes


def _verb(entry: Entry, action: Action, before: Collection[NodeId]) -> str:
    """What a step does to an entry, in one word; hosts are stopped, held, booted, cleaned."""
    if isinstance(entry, HostSlice) and action == "remove":
        return "clean"
    if isinstance(entry, HostSlice) and entry.power == "off":
        return "stop" if entry.node_id in before else "hold"
    if isinstance(entry, HostSlice):
        return "boot"
    return "set" if action == "ensure" else "remove"


def _moves(plan: Plan) -> tuple[int, int]:
    """Nodes that come and nodes that leave, spares not counted."""
    before = {m.node_id for m in plan.before.active_members} if plan.before else set()
    after = {m.node_id for m in plan.after.active_members} if plan.after else set()
    return len(after - before), len(before - after)


def _keys(target: ClusterTarget) -> doc.BoundaryKeys:
    """The keys of a cluster's own planes; a file system has no network."""
    vni, subnet = network_keys_of(target)
    return doc.BoundaryKeys(
        p_key=target.keys.p_key,
        compute_vni=target.keys.compute_vni,
        vni=vni,
        subnet=subnet,
        network=str(subnet_of(subnet)),
        filesystem=target.keys.filesystem,
    )


def _billed(plan: Plan) -> list[str]:
    """What is billed beside the GPUs asked for, after the plan."""
    after = plan.after
    if after is None or after.is_file_system:
        return []
    spare_count = len(after.members) - len(after.active_members)
    return list(billed_items(spare_count, after.storage_bytes))


def plan_document(plan: Plan) -> doc.Plan:
    """A plan, without the content of its steps."""
    report, target = plan.report, plan.after or plan.before
    assert target is not None, "a plan has a target before or after"
    joining, leaving = _moves(plan)
    return doc.Plan(
        id=plan.plan_id,
        kind=plan.kind.value,
        project_id=plan.tenant_id,
        cluster_id=plan.cluster_id,
        name=target.name,
        site_id=target.site_id,
        fabric_id=target.fabric_id,
        gpu_type=report.gpu_type,
        gpu_count=report.gpu_count,
        nodes=[member.node_id for member in target.active_members],
        spares=[member.node_id for member in target.members if member.role == "spare"],
        spread=spread_document(report.spread),
        price_micro_usd_per_hour=report.price_micro_usd_per_hour,
        term=report.term.value,
        price_micro_usd_per_gpu_hour=report.price_micro_usd_per_gpu_hour,
        price_basis=report.price_basis,
        billed=_billed(plan),
        cancellation="" if plan.after is None else CANCELLATION[plan.after.term],
        until_at=maybe_at(report.until_s),
        expected_s=report.expected_s,
        planes=_planes(plan),
        reasons=list(report.reasons),
        alternatives=[
            doc.Alternative(
                sentence=other.sentence,
                gpu_type=other.gpu_type,
                site_id=other.site_id,
                spread=spread_document(other.spread),
                price_micro_usd_per_hour=other.price_micro_usd_per_hour,
            )
            for other in report.alternatives
        ],
        stages=[doc.PlanStage(name=s.name, step_count=len(s.steps)) for s in plan.stages],
        keys=None if plan.after is None or plan.after.is_file_system else _keys(plan.after),
        storage_bytes=target.storage_bytes,
        storage_pool_id=target.pool_id,
        joining_node_count=joining,
        leaving_node_count=leaving,
        created_at=at(plan.created_s),
        expires_at=at(plan.expires_s),
    )


def operation_document(
    line: records.OperationLine,
    **more: Any,  # noqa: ANN401 - fields of the document
) -> doc.Operation:
    """An operation; ``more`` are fields that lists leave out."""
    return doc.Operation(
        id=line.operation_id,
        project_id=line.project_id,
        cluster_id=line.cluster_id,
        cluster_name=line.cluster_name,
        kind=line.kind.value,
        state=line.state,
        state_reason=line.error,
        is_cancellable=line.kind.is_reversible and line.state == "applying",
        version=line.generation,
        started_at=at(line.started_s),
        finished_at=maybe_at(line.finished_s),
        **more,
    )
