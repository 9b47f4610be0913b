"""``kubernetes-labels.yaml``: the place of every host as node labels.

Apply with ``kubectl apply --server-side -f``. Schedulers that read Topograph's labels (Kueue, KAI,
Volcano by way of its discovery) understand them.

Source: NVIDIA Topograph, "Node labels and annotations", default label keys.
"""

from collections.abc import Sequence

import yaml

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
    documents = (
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": host.hostname, "labels": _labels(fleet, host)},
        }
        for host in hosts
    )
    return yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
