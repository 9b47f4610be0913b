"""``slurm.conf``, ``gres.conf`` and ``cgroup.conf`` of a cluster that brings its own Slurm.

The host of rank 0 runs the controller. Written for Slurm 22.05 and later.

Source: slurm.conf(5), gres.conf(5), cgroup.conf(5).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from gigawatt.artefacts.access import spare_comment
from gigawatt.artefacts.hosts import MemberHost
from gigawatt.artefacts.names import hostlist, safe_word
from gigawatt.artefacts.shape import HostShape
from gigawatt.boundary.target import ClusterTarget
from gigawatt.units import MIB

CLUSTER_NAME_LENGTH_MAX = 40
"""slurm.conf(5), ClusterName."""
MEMORY_SHARE_FOR_JOBS = 0.95
"""Rest is for the system; a host that shows less than RealMemory would be drained. Ours."""
NVLINKS_PER_GPU = {"v100": 6, "a100": 12, "h100": 18, "h200": 18, "b200": 18, "gb200": 18}
"""NVLinks of one GPU (NVIDIA datasheets): gres.conf takes them as links to each other GPU."""

_SETTINGS = """\
SlurmUser=slurm
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/cgroup
TaskPlugin=task/affinity,task/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
TopologyPlugin=topology/tree
ReturnToService=1
GresTypes=gpu
"""


def _memory_mib(shape: HostShape) -> int:
    return int(shape.memory_bytes * MEMORY_SHARE_FOR_JOBS) // MIB


def _runs(hosts: Sequence[MemberHost]) -> Iterator[list[MemberHost]]:
    """Neighbours in rank with one shape whose addresses share all but the last number."""
    for _, run in groupby(hosts, key=lambda h: (h.shape, h.ipv4.rpartition(".")[0])):
        yield list(run)


def _node_line(run: Sequence[MemberHost]) -> str:
    shape = run[0].shape
    return (
        f"NodeName={hostlist([h.hostname for h in run])}"
        f" NodeAddr={hostlist([h.ipv4 for h in run])}"
        f" Sockets={shape.numa_count} CoresPerSocket={shape.cores_per_numa} ThreadsPerCore=1"
        f" RealMemory={_memory_mib(shape)}"
        f" Gres=gpu:{safe_word(shape.gpu_type)}:{shape.gpu_count} State=UNKNOWN\n"
    )


def slurm_conf(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """The configuration, the same file on every host; nodes are in rank order.

    A job that names no memory or cores gets each GPU's even share of them.
    """
    shapes = {host.shape for host in hosts}
    cores = min(s.cores_per_numa * s.numa_count // s.gpu_count for s in shapes)
    memory_mib = min(_memory_mib(s) // s.gpu_count for s in shapes)
    head = hosts[0]
    name = target.name[:CLUSTER_NAME_LENGTH_MAX].rstrip("-")
    return (
        f"# Cluster {target.name}, {len(hosts)} host(s).\n{spare_comment(target)}"
        f"ClusterName={name}\n"
        f"SlurmctldHost={head.hostname}({head.ipv4})\n"
        f"{_SETTINGS}"
        f"DefCpuPerGPU={max(1, cores)}\n"
        f"DefMemPerGPU={max(1, memory_mib)}\n"
        + "".join(_node_line(run) for run in _runs(hosts))
        + "PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )


def _gres_lines(names: str, shape: HostShape) -> Iterator[str]:
    links = NVLINKS_PER_GPU.get(shape.gpu_type)
    for group in shape.groups:
        first = group.numa * shape.cores_per_numa
        for gpu in group.gpus:
            line = (
                f"NodeName={names} Name=gpu Type={safe_word(shape.gpu_type)}"
                f" File=/dev/nvidia{gpu} Cores={first}-{first + shape.cores_per_numa - 1}"
            )
            if links is not None and shape.gpu_count > 1:
                counts = (-1 if other == gpu else links for other in range(shape.gpu_count))
                line += f" Links={','.join(map(str, counts))}"
            yield line + "\n"


def gres_conf(hosts: Sequence[MemberHost]) -> str:
    """One line for every GPU: its device, the cores of its NUMA domain, its NVLinks."""
    lines: list[str] = []
    for shape in dict.fromkeys(host.shape for host in hosts):
        names = hostlist([host.hostname for host in hosts if host.shape == shape])
        lines.extend(_gres_lines(names, shape))
    return "".join(lines)


def cgroup_conf() -> str:
    """Jobs see the cores, memory and GPUs that they were given and no others."""
    return "ConstrainCores=yes\nConstrainDevices=yes\nConstrainRAMSpace=yes\n"
