"""``kubernetes-labels.yaml``: the place of every host as node labels.

Apply with ``kubectl apply --server-side -f``. Schedulers that read Topograph's labels (Kueue, KAI,
Volcano by way of its discovery) understand them.

Written line by line: a YAML library takes a second and a half for 4,000 hosts.

Source: NVIDIA Topograph, "Node labels and annotations", default label keys.
"""

from collections.abc import Sequence
from json import dumps as quoted

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.artefacts.names import safe_word
from gigawatt.fleet.model import Fleet

LABEL_PREFIX = "network.topology.nvidia.com"


def _labels(fleet: Fleet, host: MemberHost) -> dict[str, str]:
    pod = int(fleet.leaf_groups.pod[host.leaf_group])
    places = {
        "accelerator": fleet.nvlink_domains.ids[host.nvlink_domain],
        "leaf": fleet.leaf_groups.ids[host.leaf_group],
        "spine": fleet.pods.ids[pod],
        "core": fleet.fabrics.ids[int(fleet.pods.fabric[pod])],
    }
    return {f"{LABEL_PREFIX}/{level}": safe_word(name) for level, name in places.items()}


def kubernetes_labels(fleet: Fleet, hosts: Sequence[MemberHost]) -> str:
    """One ``Node`` document per host in rank order: NVLink domain, leaf group, pod and fabric."""
    return "".join(
        "---\napiVersion: v1\nkind: Node\nmetadata:\n"
        f"  name: {quoted(host.hostname)}\n  labels:\n"
        + "".join(f"    {key}: {quoted(value)}\n" for key, value in _labels(fleet, host).items())
        for host in hosts
    )
