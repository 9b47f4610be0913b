"""The isolation proof: no two clusters can talk on any plane, and every cluster can in itself.

The argument. Ownership of GPUs, NICs, slots and keys follows from the targets alone (holdings).
Two endpoints can talk on a plane only through something that both are admitted to: a partition
or VNI of the fabric, an in-band VNI or a gateway leg, a BMC, a file system, a GPU. Each of these
is named by a key or an id. The rules demand, entry by entry, that whatever an entry admits and
what it is admitted to have the same one holder; that no key, GPU or subnet has two holders; and
that the ways around keys are shut (full membership of the default partition, BMC-to-BMC routes,
egress into inside networks, paths over paths). If no entry breaks a rule, then everything admitted
to one key belongs to one cluster. So for every pair of clusters there is no common key, and
the pair cannot talk. Grouping the entries by key therefore decides all C(C-1)/2 pairs in one pass
over the entries; a pair is decided "no" by name when an entry breaks a rule.

Likewise inside a cluster: if every NIC of every member is a full member of the cluster's one
partition, any two NICs of one rail talk (full talks to full); if every slot has its port in the
cluster's one network, any two hosts do; if the file system is exported to that network, every host
mounts it; the same holds for each file system that the target mounts. One entry per member thus
decides all n(n-1)/2 pairs of its nodes, spares included.

Two clusters of one tenant are fenced from each other like clusters of two tenants. A file system
that stands alone is one more holder, with a key of storage and nothing else. What is admitted to
it are the networks of those clusters whose targets mount it, all of its own tenant; so two of them
may meet in its files, by their tenant's wish, and on no other plane.

What is relied on and not decided here: devices do what their entries say; a gateway forwards to
and from no inside network (``intent.networks.INSIDE_NETWORKS``) and between no two VNIs; ports
without an entry are limited members of the default partition.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gigawatt.boundary.entries import Entry, PortLocation
from gigawatt.boundary.holdings import Holdings, hold
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.rules import RULES
from gigawatt.boundary.rules.case import Breaks, Finding, Rule, Scope, make_case
from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, KeyPoolId, NodeId, TenantId


@dataclass(frozen=True, slots=True)
class Violation:
    """Findings of one rule about the same clusters.

    Fields:
        rule: name of the rule, see ``rules.RULES``.
        plane: plane on which it happens.
        breaks: whether it disproves isolation or connection.
        cluster_ids, tenant_ids: who is concerned, holder first; empty if nobody holds it.
        devices, node_ids: where, sorted.
        finding_count: findings summed up here, >= 1.
        sentence: one of the findings in words.
    """

    rule: str
    plane: Plane
    breaks: Breaks
    cluster_ids: tuple[ClusterId, ...]
    tenant_ids: tuple[TenantId, ...]
    devices: tuple[DeviceId, ...]
    node_ids: tuple[NodeId, ...]
    finding_count: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer, with how much it decided.

    Fields:
        scope: "targets" or "read_back".
        violations: empty if all is proven; in the order of ``rules.RULES``.
        entry_count: entries read.
        cluster_pair_count: pairs of clusters decided, by plane.
        tenant_pair_count: pairs of tenants decided, by plane.
        node_pair_count: pairs of nodes decided, by cluster.
    """

    scope: Scope
    violations: tuple[Violation, ...]
    entry_count: int
    cluster_pair_count: Mapping[Plane, int]
    tenant_pair_count: Mapping[Plane, int]
    node_pair_count: Mapping[ClusterId, int]

    @property
    def is_isolated(self) -> bool:
        """Whether no two clusters can talk, and nobody else has a way in."""
        return all(violation.breaks != "isolation" for violation in self.violations)

    @property
    def is_connected(self) -> bool:
        """Whether every cluster can talk in itself and reach what is its own."""
        return all(violation.breaks != "connection" for violation in self.violations)

    @property
    def is_proven(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def concerning(self, cluster_id: ClusterId) -> tuple[Violation, ...]:
        """Violations that one cluster is part of.

        For a read-back of one cluster's devices: other clusters are then rightly found lacking.
        """
        return tuple(v for v in self.violations if cluster_id in v.cluster_ids)


def _sum_up(holdings: Holdings, rule: Rule, findings: Iterable[Finding]) -> list[Violation]:
    """One violation for each set of clusters that findings of one rule are about.

    Sorted, so that the answer does not depend on the order in which a device lists its entries.
    """
    groups: dict[tuple[int, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.clusters, []).append(finding)
    violations = []
    for clusters, group in sorted(groups.items()):
        targets = [holdings.targets[cluster] for cluster in clusters]
        more = f" (and {len(group) - 1:,} more of this kind)" if len(group) > 1 else ""
        violations.append(
            Violation(
                rule=rule.name,
                plane=rule.plane,
                breaks=rule.breaks,
                cluster_ids=tuple(target.cluster_id for target in targets),
                tenant_ids=tuple(dict.fromkeys(target.tenant_id for target in targets)),
                devices=tuple(sorted({f.device for f in group if f.device is not None})),
                node_ids=tuple(sorted({f.node_id for f in group if f.node_id is not None})),
                finding_count=len(group),
                sentence=min(finding.sentence for finding in group) + more,
            )
        )
    return violations


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def prove(  # noqa: PLR0913 - what must be gone and what was seen are facts of their own
    fleet: Fleet,
    targets: Sequence[ClusterTarget],
    entries: Iterable[Entry],
    *,
    port_locations: Sequence[PortLocation] = (),
    buried: Collection[tuple[DeviceId, str]] = (),
    buried_keys: Collection[tuple[KeyPoolId, int]] = (),
    scope: Scope = "targets",
) -> Proof:
    """Decide every pair of clusters on every plane, and every pair of nodes in each cluster.

    Args:
        fleet: what exists.
        targets: every cluster that holds anything; ids differ.
        entries: what all devices of these clusters shall hold or were read to hold, in any
            order. For a part of the devices, ask ``Proof.concerning`` about a cluster of which
            all were read.
        port_locations: where fabrics see NICs; a fabric that none names is not judged by them.
        buried: (device, key) of entries under a tombstone. On what no target holds they are on
            their way out and excused; in the scope "targets" nothing may be given to them.
        buried_keys: keys under a tombstone or cooling, which no target may hold.
        scope: "targets" for entries made from targets, "read_back" for entries from devices.

    Raises:
        UnknownIdError: a target names a node that the fleet does not have.
    """
    holdings = hold(fleet, targets)
    case = make_case(
        holdings,
        entries,
        port_locations=port_locations,
        buried=buried,
        buried_keys=buried_keys,
        scope=scope,
    )
    violations = [v for rule in RULES for v in _sum_up(holdings, rule, rule.find(case))]
    tenants = {target.tenant_id for target in targets}
    return Proof(
        scope=scope,
        violations=tuple(violations),
        entry_count=len(case.entries),
        cluster_pair_count=dict.fromkeys(PLANES, _pairs(len(targets))),
        tenant_pair_count=dict.fromkeys(PLANES, _pairs(len(tenants))),
        node_pair_count={
            target.cluster_id: _pairs(len({m.node_id for m in target.members}))
            for target in targets
        },
    )
