"""Rules of ownership: keys and GPUs that two clusters hold, and what is used again too early."""

from collections.abc import Iterator
from functools import partial

from gigawatt.boundary.entries import (
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    PartitionMember,
)
from gigawatt.boundary.holdings import FREE, Holdings
from gigawatt.boundary.keys import key_range
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.ids import KeyPoolId, NodeId

PLANE_OF_KEY = {
    "p_key": Plane.FABRIC,
    "compute_vni": Plane.FABRIC,
    "vni": Plane.IN_BAND,
    "subnet": Plane.IN_BAND,
    "filesystem": Plane.STORAGE,
}
"""Plane that the keys of each class of pool fence."""


def _keys_of_plane(case: Case, plane: Plane) -> Iterator[tuple[KeyPoolId, int, list[int]]]:
    for (pool_id, key), clusters in case.holdings.key_holders.items():
        if PLANE_OF_KEY[pool_id.partition("/")[0]] is plane:
            yield pool_id, key, clusters


def find_shared_key(case: Case, plane: Plane) -> Iterator[Finding]:
    """Keys that two targets hold."""
    for pool_id, key, clusters in _keys_of_plane(case, plane):
        if len(clusters) > 1:
            yield Finding(
                tuple(dict.fromkeys(clusters)),
                None,
                None,
                f"key {key:#x} of pool {pool_id} is held by {case.names(clusters)}",
            )


def find_key_out_of_range(case: Case, plane: Plane) -> Iterator[Finding]:
    """Keys of targets that their pool does not have."""
    for pool_id, key, clusters in _keys_of_plane(case, plane):
        keys = key_range(pool_id)
        if key not in keys:
            yield Finding(
                tuple(clusters),
                None,
                None,
                f"key {key:#x} of {case.names(clusters)} is not in pool {pool_id}, wanted "
                f"{keys[0]:#x} to {keys[-1]:#x}",
            )


def find_reused_key(case: Case, plane: Plane) -> Iterator[Finding]:
    """Keys of targets that are still under a tombstone or cooling down."""
    for pool_id, key, clusters in _keys_of_plane(case, plane):
        if (pool_id, key) in case.buried_keys:
            yield Finding(
                tuple(clusters),
                None,
                None,
                f"key {key:#x} of pool {pool_id} is given to {case.names(clusters)} before it was "
                "observed gone everywhere and has cooled down",
            )


def _subject(holdings: Holdings, entry: Entry) -> tuple[NodeId | None, tuple[int, ...]]:
    """Node that an entry names, and clusters that hold what it names."""
    if isinstance(entry, PartitionMember | ComputePort):
        cluster = holdings.cluster_of_guid(entry.guid)
        return holdings.node_of_guid(entry.guid), () if cluster == FREE else (cluster,)
    if isinstance(entry, Gateway):
        return None, tuple(holdings.of_vni(entry.site_id, entry.vni))
    if isinstance(entry, FileSystem | Export):
        return None, tuple(holdings.of_filesystem(entry.pool_id, entry.filesystem))
    return entry.node_id, holdings.clusters_on(entry.node_id)


def find_reused_entry(case: Case, plane: Plane) -> Iterator[Finding]:
    """Entries of targets whose place on the device is still under a tombstone.

    Only targets are asked: a read-back of a cluster that is being released rightly still shows
    entries that are under a tombstone.
    """
    if case.scope != "targets" or not case.buried:
        return
    for entry in case.entries:
        if entry.plane is not plane or not case.is_buried(entry):
            continue
        node_id, clusters = _subject(case.holdings, entry)
        if clusters:
            yield Finding(
                clusters,
                entry.device,
                node_id,
                f"{entry.key} on {entry.device} is given to {case.names(clusters)} before the "
                "last holder's was observed gone",
            )


def find_double_held(case: Case) -> Iterator[Finding]:
    """GPUs that two members hold."""
    for node_id, holders in case.holdings.node_holders.items():
        taken = 0
        for position, (cluster, member) in enumerate(holders):
            shared = taken & member.gpu_mask
            taken |= member.gpu_mask
            if shared:
                before = [c for c, m in holders[:position] if m.gpu_mask & shared]
                yield Finding(
                    tuple(dict.fromkeys([*before, cluster])),
                    None,
                    node_id,
                    f"GPUs {shared:#x} of node {node_id} are held by "
                    f"{case.names([*before, cluster])}",
                )


def _rules_of(plane: Plane) -> tuple[Rule, ...]:
    return (
        Rule(
            "shared_key",
            plane,
            "isolation",
            "Two plans that took one key: both tenants are behind one fence.",
            partial(find_shared_key, plane=plane),
        ),
        Rule(
            "key_out_of_range",
            plane,
            "isolation",
            "A key outside its pool is the default, invalid, or another system's.",
            partial(find_key_out_of_range, plane=plane),
        ),
        Rule(
            "reused_key",
            plane,
            "isolation",
            "A stale worker writes an old membership back after the key went to the next tenant.",
            partial(find_reused_key, plane=plane),
        ),
    )


OWNERSHIP_RULES = (
    *(rule for plane in (Plane.FABRIC, Plane.IN_BAND, Plane.STORAGE) for rule in _rules_of(plane)),
    *(
        Rule(
            "reused_entry",
            plane,
            "isolation",
            "A node or port that is handed on before the last tenant's entry was seen gone.",
            partial(find_reused_entry, plane=plane),
        )
        for plane in Plane
    ),
    Rule(
        "double_held",
        Plane.HOST,
        "isolation",
        "Two plans that took one node: both tenants are on it.",
        find_double_held,
    ),
)
