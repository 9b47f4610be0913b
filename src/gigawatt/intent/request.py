"""What a tenant asks for. A request is a value; nothing here knows what is free."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, ip_network

from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, NodeId, SiteId, TenantId
from gigawatt.units import PIB

GPUS_PER_CLUSTER_MAX = 32_000
"""Bound of one cluster's in-band subnet: /20 has 4,094 hosts, 8 GPUs each, rounded down."""

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
        image: name of the host image.
        ssh_public_keys: OpenSSH public key lines put on every host.
        egress_cidrs: IPv4 networks the cluster may reach outside; empty closes egress.
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


INSIDE_NETWORKS = (IPv4Network("10.0.0.0/8"), IPv4Network("100.64.0.0/10"))
"""Networks of clusters and of BMCs. A gateway forwards to none of them, whatever egress says.

So ``0.0.0.0/0`` means the world less these; an egress network *inside* them could only aim at
another tenant or at a BMC, and is refused.
"""


def _egress_complaint(cidr: str) -> str | None:
    try:
        network = ip_network(cidr)
    except ValueError:
        return f"egress {cidr!r} is not an IPv4 network such as 192.0.2.0/24"
    if not isinstance(network, IPv4Network):
        return f"egress {cidr!r} is not IPv4"
    if any(network.subnet_of(inside) for inside in INSIDE_NETWORKS):
        return f"egress {cidr!r} is an inside network, which no cluster may reach"
    return None


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
    bad.extend(
        complaint
        for cidr in request.egress_cidrs
        if (complaint := _egress_complaint(cidr)) is not None
    )
    return bad


def check_request(request: ClusterRequest) -> None:
    """Refuse a request that is wrong whatever the fleet looks like.

    Raises:
        InputError: names every field that is wrong, what it is and what was wanted.
    """
    bad = _complaints(request)
    if bad:
        raise InputError(f"request {request.name!r}: " + "; ".join(bad))
