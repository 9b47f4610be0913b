"""Everything that a tenant gets with a cluster, as files."""

from gigawatt.artefacts.access import hostfile, hosts_file, ssh_config
from gigawatt.artefacts.fstab import fstab
from gigawatt.artefacts.hosts import member_hosts
from gigawatt.artefacts.kubernetes import kubernetes_labels
from gigawatt.artefacts.launch import torchrun_script
from gigawatt.artefacts.nccl import nccl_env
from gigawatt.artefacts.nccl_topology import nccl_topology
from gigawatt.artefacts.slurm import cgroup_conf, gres_conf, slurm_conf
from gigawatt.artefacts.slurm_start import slurm_script
from gigawatt.artefacts.slurm_topology import (
    cluster_topology,
    topology_block_conf,
    topology_conf,
    topology_yaml,
)
from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import Fleet


def render_artefacts(fleet: Fleet, target: ClusterTarget) -> dict[str, str]:
    """Content by file name; equal input gives equal text.

    All files are made from one list of hosts, so they name the same hosts in the same order:
    rank order. ``topology-block.conf`` is there only if an NVLink domain joins several hosts,
    ``fstab`` only if there is something to mount;
    ``nccl-topo.xml`` describes the host of rank 0.

    Raises:
        InputError: the cluster has no member, or its name is not an RFC 1123 label.
        UnknownIdError: the fleet lacks a node.
        NoCapacityError: a host index is past the in-band network's last address.
    """
    hosts = member_hosts(fleet, target)
    topology = cluster_topology(fleet, hosts)
    is_infiniband = target.keys.p_key is not None
    files = {
        "ssh_config": ssh_config(target, hosts),
        "hosts": hosts_file(target, hosts),
        "hostfile": hostfile(hosts),
        "nccl.env": nccl_env(target, hosts),
        "nccl-topo.xml": nccl_topology(hosts[0].shape, is_infiniband=is_infiniband),
        "slurm.conf": slurm_conf(target, hosts),
        "gres.conf": gres_conf(hosts),
        "cgroup.conf": cgroup_conf(),
        "topology.conf": topology_conf(topology),
        "topology.yaml": topology_yaml(topology),
        "slurm.sh": slurm_script(target, hosts),
        "torchrun.sh": torchrun_script(target, hosts),
        "kubernetes-labels.yaml": kubernetes_labels(fleet, hosts),
    }
    if target.storage_bytes or target.mounts:
        files["fstab"] = fstab(target)
    if topology.blocks:
        files["topology-block.conf"] = topology_block_conf(topology)
    return files
