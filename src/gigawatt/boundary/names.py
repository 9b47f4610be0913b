"""Names that a boundary gives: host names, BMC accounts, secrets, file system paths.

All follow from ids, so what a device holds can be traced back to the cluster it is for.
"""

from hashlib import blake2b

from gigawatt.ids import ClusterId, NodeId, TenantId

LABEL_LENGTH_MAX = 63
"""Longest host name label (RFC 1123, section 2.1, by way of RFC 1035, section 2.3.4)."""

CLUSTER_SOURCE = "cluster:"
"""Prefix of a ``BmcRoute`` source: the proxy of one cluster."""
BMC_SOURCE = "bmc:"
"""Prefix of a ``BmcRoute`` source: another BMC. No target holds one."""


def hostname_of(cluster_name: str, host_index: int) -> str:
    """Host name of one host: the cluster's name, shortened if it must be, and the host index.

    Unique in the cluster, which is the only place where it is resolved.

    Example:
        >>> hostname_of("train-7b", 12)
        'train-7b-0012'
    """
    suffix = f"-{host_index:04d}"
    return cluster_name[: LABEL_LENGTH_MAX - len(suffix)].rstrip("-") + suffix


def bmc_username_of(cluster_id: ClusterId) -> str:
    """Name of a cluster's account on its BMCs: 16 characters, another for every cluster.

    IPMI 2.0 (section 22.28) allows 16 bytes. An account of an earlier tenant that survived a
    reset can never pass for the present one's, because its name is another.
    """
    return "gw" + blake2b(cluster_id.encode(), digest_size=7).hexdigest()


def bmc_secret_ref_of(cluster_id: ClusterId, node_id: NodeId) -> str:
    """Name under which the password of a cluster's account on one BMC is kept."""
    return f"bmc/{cluster_id}/{node_id}"


def cluster_source_of(cluster_id: ClusterId) -> str:
    """``BmcRoute`` source of a cluster's proxy."""
    return f"{CLUSTER_SOURCE}{cluster_id}"


def filesystem_path_of(tenant_id: TenantId, cluster_id: ClusterId) -> str:
    """Path of a cluster's file system in its pool."""
    return f"/tenants/{tenant_id}/{cluster_id}"
