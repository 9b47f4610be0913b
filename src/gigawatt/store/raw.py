"""The bare facts of a store's file for an auditor, read with SQL of its own.

It uses none of the code that writes the store, so a fault there cannot hide here.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gigawatt.errors import DataError


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
    """

    gpus: Mapping[tuple[str, int], str]
    keys: Mapping[tuple[str, int], str]
    buried: frozenset[tuple[str, str]]
    blocked_nodes: frozenset[str]
    phases: Mapping[str, str]
    open_clusters: frozenset[str]


def read_facts(path: Path) -> RawFacts:
    """The facts in the SQLite file ``path``, from one consistent state.

    Raises:
        DataError: the file cannot be read as a store.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as raw:
            raw.isolation_level = None
            raw.execute("BEGIN")
            return RawFacts(
                gpus={
                    (node, gpu): cluster
                    for node, gpu, cluster in raw.execute(
                        "SELECT node_id, gpu, cluster_id FROM allocation"
                    )
                },
                keys={
                    (pool, value): cluster
                    for pool, value, cluster in raw.execute(
                        "SELECT pool_id, value, cluster_id FROM held_key WHERE state != 'cooling'"
                    )
                },
                buried=frozenset(raw.execute("SELECT device_id, entry_key FROM tombstone")),
                blocked_nodes=frozenset(n for (n,) in raw.execute("SELECT node_id FROM node")),
                phases=dict(raw.execute("SELECT cluster_id, phase FROM cluster")),
                open_clusters=frozenset(
                    c for (c,) in raw.execute("SELECT cluster_id FROM operation WHERE is_open")
                ),
            )
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be read as a store: {error}") from error
