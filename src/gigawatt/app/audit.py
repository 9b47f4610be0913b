"""The leak auditor: every entry on every device must have one living owner in the books.

It does not know targets, plans or the renderer. For each entry it asks the bare tables who holds
the GPUs and who holds the key that the entry names; both must be one and the same live cluster,
or a tombstone must say that the entry is on its way out.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import gpus_in_mask
from gigawatt.store.raw import RawFacts

ENDED = frozenset({"released", "failed"})


class Auditor:
    """Audits the devices of one fleet against one reading of the books."""

    def __init__(self, fleet: Fleet, facts: RawFacts) -> None:
        """Index NICs by GUID once."""
        self._fleet = fleet
        self._facts = facts
        self._nic_of_guid = {int(guid): row for row, guid in enumerate(fleet.nics.guid.tolist())}

    def leaks(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """One sentence for every entry that nobody living owns; empty when nothing leaked."""
        return tuple(
            f"{entry.device} holds {entry.key}: {reason}"
            for entry in entries
            if (entry.device, entry.key) not in self._facts.buried
            for reason in self._complaints(entry)
        )

    def _complaints(self, entry: Entry) -> Iterator[str]:
        owners = self._owners(entry)
        if None in owners.values():
            free = " and ".join(what for what, owner in owners.items() if owner is None)
            yield f"nobody holds its {free}"
            return
        names = {owner for owner in owners.values() if owner is not None}
        if len(names) > 1:
            yield f"it mixes what {' and '.join(sorted(names))} hold"
        for name in sorted(names):
            if self._facts.phases.get(name) in ENDED:
                yield f"its owner {name} is {self._facts.phases[name]}"

    def _owners(self, entry: Entry) -> Mapping[str, str | None]:
        """Holder of each thing that an entry names, None where nobody holds it."""
        owners: dict[str, str | None] = {}
        match entry:
            case PartitionMember():
                owners["P_Key"] = self._key("p_key", entry.fabric_id, entry.p_key)
                owners["NIC"] = self._nic(entry.guid)
            case ComputePort():
                owners["VNI"] = self._key("compute_vni", entry.fabric_id, entry.vni)
                owners["NIC"] = self._nic(entry.guid)
            case NetworkPort():
                row = self._fleet.node_index(entry.node_id)
                site = self._fleet.sites.ids[int(self._fleet.site_of_node[row])]
                owners["VNI"] = self._key("vni", site, entry.vni)
                owners["slot"] = self._gpu(entry.node_id, entry.slot)
            case Gateway():
                owners["VNI"] = self._key("vni", entry.site_id, entry.vni)
            case BmcAccount() | BmcRoute():
                owners["node"] = self._gpu(entry.node_id, 0)
            case FileSystem():
                owners["file system"] = self._key("filesystem", entry.pool_id, entry.filesystem)
            case Export():
                owners |= self._export(entry)
            case HostSlice():
                for gpu in gpus_in_mask(entry.gpu_mask):
                    owners[f"GPU {gpu}"] = self._gpu(entry.node_id, gpu)
            case _:
                assert_never(entry)
        return owners

    def _key(self, kind: str, scope: str, value: int) -> str | None:
        return self._facts.keys.get((f"{kind}/{scope}", value))

    def _export(self, entry: Export) -> Mapping[str, str | None]:
        """Holders of what is exported and of whom it lets in; one of them where that may be.

        A cluster that mounts a file system of its tenant is let in as if it held it.
        """
        row = self._fleet.storage_pools.index_of[entry.pool_id]
        site = self._fleet.sites.ids[int(self._fleet.storage_pools.site[row])]
        owner = self._key("filesystem", entry.pool_id, entry.filesystem)
        client = self._key("vni", site, entry.vni)
        if owner is not None and client is not None and (client, owner) in self._facts.mounts:
            return {"VNI": client}
        return {"file system": owner, "VNI": client}

    def _gpu(self, node_id: str, gpu: int) -> str | None:
        return self._facts.gpus.get((node_id, gpu))

    def _nic(self, guid: int) -> str | None:
        """Holder of the first GPU that a NIC serves."""
        row = self._nic_of_guid.get(guid)
        if row is None:
            return None
        node = int(self._fleet.nics.node[row])
        node_type = self._fleet.node_type(node)
        gpu = int(self._fleet.nics.rail[row]) * node_type.gpu_count // node_type.nic_count
        return self._gpu(self._fleet.nodes.ids[node], gpu)
