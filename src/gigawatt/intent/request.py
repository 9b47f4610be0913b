"""What a tenant asks for. A request is a value; nothing here knows what is free."""

from dataclasses import dataclass
from enum import StrEnum

from gigawatt.errors import InputError
from gigawatt.ids import (
    ClusterId,
    FirewallRulesetId,
    NodeId,
    ReservationId,
    SiteId,
    TenantId,
)
from gigawatt.intent.file_system import (
    MOUNTS_PER_CLUSTER_MAX,
    MountWish,
    mount_point_complaint,
)
from gigawatt.intent.firewall import RULESETS_PER_CLUSTER_MAX, InboundRule, rule_complaint
from gigawatt.intent.networks import outside_complaint
from gigawatt.intent.term import Term
from gigawatt.units import PIB

GPUS_PER_CLUSTER_MAX = 32_000
"""Bound of one cluster's in-band subnet: /20 has 4,094 hosts, 8 GPUs each, rounded down."""

PRICE_MICRO_USD_MAX = 10_000_000_000
"""$10,000 for a GPU-hour: beyond it somebody mistook a unit. Ours."""

NAME_LENGTH_MAX = 63
"""RFC 1123 label, because the name becomes a host name."""


class Level(StrEnum):
    """Topology levels, tightest first; a cluster never spans more than one fabric."""

    NODE = "node"
    NVLINK_DOMAIN = "nvlink_domain"
    LEAF_GROUP = "leaf_group"
    POD = "pod"
    FABRIC = "fabric"


@dataclass(frozen=True, slots=True)
class SpreadRule:
    """At most ``nodes_max`` nodes (>= 1) of the cluster in any one rack, leaf group or pod."""

    per: str
    """One of "rack", "leaf_group", "pod"."""
    nodes_max: int


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """One tenant's wish for one cluster.

    Fields:
        tenant_id: who pays and who is fenced.
        name: RFC 1123 label, unique among the tenant's live clusters.
        gpu_count: GPUs wanted, 1 to 32,000. Below one node's count it must be a slice size
            (1, 2, 4 of 8) and becomes one guest; otherwise a multiple of the node's count.
        gpu_type: "h100" and so on, or None for the cheapest type on which it fits.
        segment_node_count: nodes per segment; every segment lies inside one NVLink domain, and
            the nodes wanted must be a multiple of it. None: no segments.
        whole_domains: take whole NVLink domains only.
        keep_together: widest level the nodes may span, e.g. LEAF_GROUP: all in one leaf group.
        spread: caps per rack, leaf group or pod.
        site_ids: sites allowed; empty allows all.
        countries: ISO 3166-1 alpha-2 countries allowed; empty allows all.
        spare_count: extra nodes held to replace failed ones.
        excluded_node_ids: nodes never to use.
        near_cluster_id: prefer the groups that this cluster already uses.
        storage_bytes: quota of the cluster's file system, 0 for none, <= 1 PiB.
        image: id of a host image in the catalogue.
        ssh_public_keys: OpenSSH public key lines put on every host.
        egress_cidrs: IPv4 networks the cluster may reach outside; empty closes egress.
        mounts: file systems of the tenant to mount; they must all lie at one site.
        firewall_ruleset_ids: rulesets that ``inbound_rules`` come from, so that a change of one
            finds the cluster.
        inbound_rules: what may come in through the gateway; empty closes it.
        term: how the GPUs are held.
        price_micro_usd_per_gpu_hour_max: the most that one of them may cost, None for any; who
            wants spot always says it.
        reservation_id: what covers them, for reserved ones only.
        is_lent: on demand, take nodes too that are promised to others, and give them back with
            notice when they are wanted.
        gpu_count_min: GPUs without which the cluster is of no use: if spot or lent nodes are asked
            back and fewer would be left, it is given back whole. 0 for any.
        returns_to_queue: a spot cluster that was taken whole bids again by itself.
    """

    tenant_id: TenantId
    name: str
    gpu_count: int
    gpu_type: str | None = None
    segment_node_count: int | None = None
    whole_domains: bool = False
    keep_together: Level = Level.FABRIC
    spread: tuple[SpreadRule, ...] = ()
    site_ids: tuple[SiteId, ...] = ()
    countries: tuple[str, ...] = ()
    spare_count: int = 0
    excluded_node_ids: frozenset[NodeId] = frozenset()
    near_cluster_id: ClusterId | None = None
    storage_bytes: int = 0
    image: str = "debian-12-gpu"
    ssh_public_keys: tuple[str, ...] = ()
    egress_cidrs: tuple[str, ...] = ()
    mounts: tuple[MountWish, ...] = ()
    firewall_ruleset_ids: tuple[FirewallRulesetId, ...] = ()
    inbound_rules: tuple[InboundRule, ...] = ()
    term: Term = Term.ON_DEMAND
    price_micro_usd_per_gpu_hour_max: int | None = None
    reservation_id: ReservationId | None = None
    is_lent: bool = False
    gpu_count_min: int = 0
    returns_to_queue: bool = False


def _is_label(name: str) -> bool:
    body = name.replace("-", "a")
    return (
        0 < len(name) <= NAME_LENGTH_MAX
        and body.isascii()
        and body.isalnum()
        and name == name.lower()
        and not name.startswith("-")
        and not name.endswith("-")
    )


def _complaints(request: ClusterRequest) -> list[str]:
    bad = []
    if not _is_label(request.name):
        bad.append(f"name {request.name!r} is not a lower-case RFC 1123 label of 1 to 63 letters")
    if not request.tenant_id:
        bad.append("tenant is empty")
    if not 1 <= request.gpu_count <= GPUS_PER_CLUSTER_MAX:
        bad.append(f"gpu_count is {request.gpu_count}, wanted 1 to {GPUS_PER_CLUSTER_MAX:,}")
    if not 0 <= request.spare_count <= 64:
        bad.append(f"spare_count is {request.spare_count}, wanted 0 to 64")
    if not 0 <= request.storage_bytes <= PIB:
        bad.append(f"storage_bytes is {request.storage_bytes}, wanted 0 to {PIB}")
    if request.segment_node_count is not None and request.segment_node_count < 1:
        bad.append(f"segment_node_count is {request.segment_node_count}, wanted >= 1")
    bad.extend(
        f"spread rule {rule.per!r} <= {rule.nodes_max} is not known; per is rack, leaf_group or pod"
        for rule in request.spread
        if rule.per not in {"rack", "leaf_group", "pod"} or rule.nodes_max < 1
    )
    bad.extend(
        f"ssh key {key[:20]!r}... is not one line of an OpenSSH public key"
        for key in request.ssh_public_keys
        if "\n" in key or not key.startswith(("ssh-", "ecdsa-", "sk-")) or len(key) > 16_384
    )
    return [*bad, *_outer_complaints(request), *_price_complaints(request)]


def _outer_complaints(request: ClusterRequest) -> list[str]:
    """What is wrong with what a cluster boots, mounts, and lets in and out."""
    complaints = [
        *(outside_complaint("egress", cidr) for cidr in request.egress_cidrs),
        *(rule_complaint(rule) for rule in request.inbound_rules),
        *(
            mount_point_complaint(wish.mount_point)
            for wish in request.mounts
            if wish.mount_point is not None
        ),
    ]
    bad = [complaint for complaint in complaints if complaint is not None]
    for what, count, count_max in (
        ("file systems to mount", len(request.mounts), MOUNTS_PER_CLUSTER_MAX),
        ("firewall rulesets", len(request.firewall_ruleset_ids), RULESETS_PER_CLUSTER_MAX),
    ):
        if count > count_max:
            bad.append(f"{count} {what}, at most {count_max}")
    return bad


def _price_complaints(request: ClusterRequest) -> list[str]:
    """What is wrong with how the GPUs are to be held and paid for."""
    bad, most = [], request.price_micro_usd_per_gpu_hour_max
    if most is not None and not 0 <= most <= PRICE_MICRO_USD_MAX:
        bad.append(f"the highest price is {most}, wanted 0 to {PRICE_MICRO_USD_MAX:,} micro-USD")
    if request.term is Term.SPOT and most is None:
        bad.append("spot needs the highest price that is paid for a GPU-hour, and none is said")
    is_reserved = request.term is Term.RESERVED
    if is_reserved and not request.reservation_id:
        bad.append("it is to be reserved and names no reservation")
    if request.is_lent and request.term is not Term.ON_DEMAND:
        bad.append(f"what is {request.term.value} is not lent; leave that out")
    if not 0 <= request.gpu_count_min <= request.gpu_count:
        bad.append(f"gpu_count_min is {request.gpu_count_min}, wanted 0 to {request.gpu_count}")
    if request.returns_to_queue and request.term is not Term.SPOT:
        bad.append(f"what is {request.term.value} does not bid again; leave that out")
    if request.reservation_id is not None and not is_reserved:
        bad.append(f"it names reservation {request.reservation_id!r} and is {request.term.value}")
    return bad


def check_request(request: ClusterRequest) -> None:
    """Refuse a request that is wrong whatever the fleet looks like.

    Raises:
        InputError: names every field that is wrong, what it is and what was wanted.
    """
    bad = _complaints(request)
    if bad:
        raise InputError(f"request {request.name!r}: " + "; ".join(bad))
