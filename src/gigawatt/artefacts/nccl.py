"""``nccl.env``: settings of NCCL and UCX that follow from the boundary.

What is assumed of the host image: the compute NIC of rail r is called ``mlx5_r`` (numbered from 0
in a guest), and the in-band port ``eth0``.

``NCCL_IB_PKEY`` is an *index* into the port's P_Key table, not a key. A subnet manager writes the
default partition, in which the port is a limited member, to index 0; a port that is in one more
partition finds it at index 1. ``torchrun.sh`` does not trust that: it looks the key up on the
host. ``UCX_IB_PKEY`` is the key itself, 15 bits.

Source: NCCL user guide, "Environment variables"; NCCL src/transport/net_ib (``pkey_index`` of
``ibv_qp_attr``); UCX ``uct_ib_iface_config_table`` ("PKEY", 0 to 0x7fff).
"""

from collections.abc import Sequence

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.boundary.target import ClusterTarget

HCA_NAME = "mlx5_{}"
"""RDMA device of a compute NIC, by its number."""
IN_BAND_INTERFACE = "eth0"
P_KEY_INDEX = 1
"""Index of the cluster's partition in the P_Key table; see the module docstring."""
ROCE_GID_INDEX = 3
"""GID of RoCE v2 over IPv4: mlx5 lists v1 and v2 of the link-local address first, then of IPv4."""
TOPOLOGY_PATH = "/etc/gigawatt/nccl-topo.xml"
"""Where a guest's image finds the topology file."""


def _fabric_lines(target: ClusterTarget, nic_count: int) -> list[str]:
    if nic_count == 0:
        return ["# This host has no NIC on the compute fabric.", "NCCL_IB_DISABLE=1"]
    names = [HCA_NAME.format(number) for number in range(nic_count)]
    lines = [
        f"NCCL_IB_HCA=={','.join(names)}",
        f"UCX_NET_DEVICES={','.join(f'{name}:1' for name in names)}",
    ]
    if target.keys.p_key is not None:
        lines += [
            f"# P_Key {target.keys.p_key:#06x}; NCCL wants its index in the table, UCX the key.",
            f"NCCL_IB_PKEY={P_KEY_INDEX}",
            f"UCX_IB_PKEY={target.keys.p_key:#06x}",
        ]
    if target.keys.compute_vni is not None:
        lines += [
            f"# RoCE v2 in VNI {target.keys.compute_vni}.",
            f"NCCL_IB_GID_INDEX={ROCE_GID_INDEX}",
            f"UCX_IB_GID_INDEX={ROCE_GID_INDEX}",
        ]
    return lines


def nccl_env(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """``NAME=value`` lines that a shell, ``docker --env-file`` and systemd read alike.

    ``NCCL_TOPO_FILE`` is set in guests, whose virtual PCIe tree hides what is beside what. On
    bare metal NCCL reads the true tree, and a file could only be worse, so it stays a comment.

    Args:
        target: the cluster.
        hosts: its hosts; every host is taken to have as many NICs as the poorest.
    """
    nic_count = min(host.shape.nic_count for host in hosts)
    topology = f"NCCL_TOPO_FILE={TOPOLOGY_PATH}"
    if not hosts[0].shape.is_guest:
        topology = f"# Bare metal: NCCL reads the PCIe tree itself.\n# {topology}"
    lines = [
        f"# Cluster {target.name}: {nic_count} compute NIC(s) per host.",
        f"NCCL_SOCKET_IFNAME=={IN_BAND_INTERFACE}",
        *_fabric_lines(target, nic_count),
        topology,
    ]
    return "\n".join(lines) + "\n"
