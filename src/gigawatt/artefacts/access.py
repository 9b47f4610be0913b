"""How to reach the hosts: ``ssh_config``, ``hosts`` and the ``hostfile`` of MPI."""

from collections.abc import Sequence

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.artefacts.names import safe_word
from gigawatt.boundary.target import ClusterTarget

LOGIN_USER = "tenant"
"""Account that holds the tenant's public keys; the host image makes it."""


def spare_comment(target: ClusterTarget) -> str:
    """One comment line about spares, empty when there are none."""
    count = len(target.members) - len(target.active_members)
    return f"# {count} spare(s) held, powered off; not listed until one replaces a member.\n" * (
        count > 0
    )


def ssh_config(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """One ``Host`` per member in rank order, for an ``Include`` line of OpenSSH's client.

    The addresses are in-band: they are reached from inside the cluster's network. Host keys are
    remembered in a file of this cluster, because another cluster may get the same addresses later.

    Source: ssh_config(5).
    """
    known_hosts = f"~/.ssh/known_hosts.{safe_word(target.cluster_id)}"
    blocks = [
        f"# Cluster {target.name}, {len(hosts)} host(s) in rank order.\n{spare_comment(target)}"
    ]
    blocks.extend(
        f"# rank {host.rank}\n"
        f"Host {host.hostname}\n"
        f"    HostName {host.ipv4}\n"
        f"    HostKeyAlias {host.hostname}\n"
        f"    User {LOGIN_USER}\n"
        f"    UserKnownHostsFile {known_hosts}\n"
        f"    StrictHostKeyChecking accept-new\n"
        for host in hosts
    )
    return "\n".join(blocks)


def hosts_file(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """Lines for ``/etc/hosts``, in rank order (hosts(5))."""
    lines = (f"{host.ipv4}\t{host.hostname}\n" for host in hosts)
    return f"# Cluster {target.name}.\n{spare_comment(target)}" + "".join(lines)


def hostfile(hosts: Sequence[MemberHost]) -> str:
    """Hostfile of Open MPI: one slot per GPU, in rank order.

    Source: docs.open-mpi.org, "Scheduling processes across hosts", hostfile syntax.
    """
    return "".join(f"{host.hostname} slots={host.shape.gpu_count}\n" for host in hosts)
