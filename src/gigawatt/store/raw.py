"""The bare facts of a store for an auditor, read with SQL of its own.

It uses none of the code that writes the store, so a fault there cannot hide here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gigawatt.store.address import Place
from gigawatt.store.reading import Row, read_rows


@dataclass(frozen=True, slots=True)
class RawFacts:
    """Who holds what, and what is on its way out.

    Fields:
        gpus: cluster by (node id, GPU number).
        keys: cluster by (pool id, value), held keys and those under a tombstone.
        buried: (device id, entry key) of every tombstone.
        blocked_nodes: nodes that are drained or quarantined.
        phases: phase by cluster id.
        open_clusters: clusters with an operation that has not ended.
        mounts: (cluster, file system) of every mount that a target names rightly: the holder is a
            file system of the same tenant, with that key.
    """

    gpus: Mapping[tuple[str, int], str]
    keys: Mapping[tuple[str, int], str]
    buried: frozenset[tuple[str, str]]
    blocked_nodes: frozenset[str]
    phases: Mapping[str, str]
    open_clusters: frozenset[str]
    mounts: frozenset[tuple[str, str]]


def read_facts(place: Place) -> RawFacts:
    """The facts of the store at a place, from one consistent state.

    Raises:
        DataError: it cannot be read as a store.
        InputError: the place is the URL of something else.
    """
    with read_rows(place) as rows:
        held = rows.ask("SELECT node_id, gpu, cluster_id FROM allocation")
        keys = rows.ask("SELECT pool_id, value, cluster_id FROM held_key WHERE state != 'cooling'")
        buried = rows.ask("SELECT device_id, entry_key FROM tombstone")
        nodes = rows.ask("SELECT node_id FROM node")
        clusters = rows.ask("SELECT cluster_id, tenant_id, phase, target FROM cluster")
        is_open = rows.ask("SELECT cluster_id FROM operation WHERE is_open")
    return RawFacts(
        gpus={(row["node_id"], row["gpu"]): row["cluster_id"] for row in held},
        keys={(row["pool_id"], row["value"]): row["cluster_id"] for row in keys},
        buried=frozenset((row["device_id"], row["entry_key"]) for row in buried),
        blocked_nodes=frozenset(row["node_id"] for row in nodes),
        phases={row["cluster_id"]: row["phase"] for row in clusters},
        open_clusters=frozenset(row["cluster_id"] for row in is_open),
        mounts=frozenset(_mounts(clusters)),
    )


def _mounts(clusters: list[Row]) -> Iterator[tuple[str, str]]:
    targets = {row["cluster_id"]: json.loads(row["target"]) for row in clusters if row["target"]}
    tenants = {row["cluster_id"]: row["tenant_id"] for row in clusters}
    for cluster_id, target in targets.items():
        for mount in target.get("mounts", ()):
            name = mount["file_system_id"]
            owner = targets.get(name)
            if owner is None or tenants[name] != tenants[cluster_id] or owner["members"]:
                continue
            place = (owner["pool_id"], owner["keys"]["filesystem"])
            if place == (mount["pool_id"], mount["filesystem"]):
                yield cluster_id, name
