"""Nodes by what an operator has at hand: a name, a rack, a tenant, an address, a GUID."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address

import numpy as np
from numpy.typing import NDArray

from gigawatt.app.holdings import FleetHoldings
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId, TenantId
from gigawatt.interfaces.store import Doer

_GUID = re.compile(r"(?:0x)?([0-9a-f]{8,16})")
"""A GUID or a MAC without its colons; shorter ones would be found everywhere."""

_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}")


def nodes_that_match(
    now: FleetHoldings, text: str, names: Mapping[TenantId, str]
) -> NDArray[np.bool_]:
    """bool[N]: nodes of which something contains the text, in whatever case.

    That is the id of node, rack or hall, the state, its reason and who said so, cluster or project
    by name or id, the beginning of the BMC's address, or the whole GUID or MAC of a NIC.
    """
    wanted = text.strip().lower()
    fleet = now.fleet
    found = _contain(fleet.nodes.ids, wanted)
    found |= _contain(fleet.racks.ids, wanted)[fleet.nodes.rack]
    found |= _contain(fleet.halls.ids, wanted)[fleet.racks.hall][fleet.nodes.rack]
    found |= _by_state(now, wanted)
    found |= _by_holder(now, wanted, names)
    found |= _by_address(fleet, wanted)
    found |= _by_guid(fleet, wanted)
    return found


def _contain(texts: tuple[str, ...], wanted: str) -> NDArray[np.bool_]:
    return np.array([wanted in text.lower() for text in texts], np.bool_)


def _rows(fleet: Fleet, rows: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(fleet.nodes), np.bool_)
    mask[rows] = True
    return mask


def _by_state(now: FleetHoldings, wanted: str) -> NDArray[np.bool_]:
    fleet, by = now.fleet, now.taken_out_by
    out = [
        fleet.nodes.index_of[node_id]
        for node_id, said in now.states.items()
        if node_id in fleet.nodes.index_of
        and any(wanted in one.lower() for one in (*said, *_names(by.get(node_id))))
    ]
    mask = _rows(fleet, out)
    if wanted == "available":
        known = (NodeId(node_id) for node_id in fleet.nodes.ids)
        mask |= np.array([node_id not in now.states for node_id in known], np.bool_)
    return mask


def _names(doer: Doer | None) -> tuple[str, ...]:
    return () if doer is None else (doer.account_id, doer.name)


def _by_holder(now: FleetHoldings, wanted: str, names: Mapping[TenantId, str]) -> NDArray[np.bool_]:
    def says(cluster_id: str, name: str, tenant_id: TenantId | None) -> bool:
        said = [cluster_id, name]
        if tenant_id is not None:
            said += [tenant_id, names.get(tenant_id, "")]
        return any(wanted in one.lower() for one in said)

    clusters = {held for found in now.holders.values() for held, _ in found}
    records = {cluster_id: now.clusters.get(cluster_id) for cluster_id in clusters}
    meant = {
        cluster_id
        for cluster_id, record in records.items()
        if says(cluster_id, record.name if record else "", record.tenant_id if record else None)
    }
    return _rows(
        now.fleet,
        [row for row, found in now.holders.items() if any(held in meant for held, _ in found)],
    )


def _by_address(fleet: Fleet, wanted: str) -> NDArray[np.bool_]:
    if not _ADDRESS.fullmatch(wanted):
        return np.zeros(len(fleet.nodes), np.bool_)
    addresses = fleet.nodes.bmc_ipv4.tolist()
    return np.array([str(IPv4Address(one)).startswith(wanted) for one in addresses], np.bool_)


def _by_guid(fleet: Fleet, wanted: str) -> NDArray[np.bool_]:
    digits = _GUID.fullmatch(wanted.replace(":", "").replace("-", ""))
    if digits is None:
        return np.zeros(len(fleet.nodes), np.bool_)
    nics = np.flatnonzero(fleet.nics.guid == np.uint64(int(digits[1], 16)))
    return _rows(fleet, fleet.nics.node[nics].tolist())
