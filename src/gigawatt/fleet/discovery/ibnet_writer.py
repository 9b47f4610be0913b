"""Writes one InfiniBand fabric of a fleet in ibnetdiscover's format, which ibsim reads.

Each NIC is written as an HCA with one port, described as "NODE hcaN" where N is the NIC's rail.
ibsim numbers a port's GUID as the HCA's GUID plus the port number, so the HCA gets the NIC's GUID
less one and the NIC's own GUID is what a subnet manager then sees.

Source: infiniband-diags 44 ``ibnetdiscover.c``; ibsim 0.10 ``sim_net.c``.
"""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import FabricKind, Fleet

_VENDOR = ("vendid=0x2c9", "devid=0x0")


def _cables(fleet: Fleet, fabric_index: int) -> dict[int, list[tuple[int, str]]]:
    """Lines under each switch of the fabric, as (switch port, text)."""
    lines: dict[int, list[tuple[int, str]]] = defaultdict(list)
    ids, guid = fleet.switches.ids, [int(g) for g in fleet.switches.guid]
    links, nics = fleet.links, fleet.nics
    is_own = fleet.switches.fabric == fabric_index
    columns = (links.lower, links.lower_switch_port, links.upper, links.upper_switch_port)
    for link in np.flatnonzero(is_own[links.lower]):
        a, a_switch_port, b, b_switch_port = (int(column[link]) for column in columns)
        for x, x_port, y, y_port in (
            (a, a_switch_port, b, b_switch_port),
            (b, b_switch_port, a, a_switch_port),
        ):
            far = f'"S-{guid[y]:016x}"[{y_port}]'
            lines[x].append((x_port, f'[{x_port}]\t{far}\t\t# "{ids[y]}" lid 0 4xNDR'))
    for nic in np.flatnonzero(is_own[nics.leaf]):
        leaf, leaf_switch_port = int(nics.leaf[nic]), int(nics.leaf_switch_port[nic])
        own = int(nics.guid[nic])
        far = f'"H-{own - 1:016x}"[1]({own:x})'
        name = f"{fleet.nodes.ids[nics.node[nic]]} hca{nics.rail[nic]}"
        lines[leaf].append((leaf_switch_port, f'[{leaf_switch_port}]\t{far} \t\t# "{name}" lid 0'))
    return lines


def ibnet_text(fleet: Fleet, fabric_index: int, switch_rows: Collection[int] | None = None) -> str:
    """Switches, HCAs and cables of one fabric, as ibnetdiscover prints them and ibsim reads them.

    Args:
        fleet: the fleet.
        fabric_index: row of the fabric.
        switch_rows: the switches of one of its subnets, with which their HCAs come; None for all.

    Raises:
        InputError: there is no such fabric, or it is not InfiniBand.
    """
    if not 0 <= fabric_index < len(fleet.fabrics):
        raise InputError(f"fleet {fleet.name!r} has no fabric {fabric_index}")
    if fleet.fabrics.kind[fabric_index] is not FabricKind.INFINIBAND:
        raise InputError(f"fabric {fleet.fabrics.ids[fabric_index]!r} is not InfiniBand")
    cables = _cables(fleet, fabric_index)
    switches, nics = fleet.switches, fleet.nics
    out = [f"# Topology file: fabric {fleet.fabrics.ids[fabric_index]} of fleet {fleet.name}", ""]
    is_own = switches.fabric == fabric_index
    if switch_rows is not None:
        is_own &= np.isin(np.arange(len(switches)), list(switch_rows))
    for row in np.flatnonzero(is_own).tolist():
        guid = int(switches.guid[row])
        out += [*_VENDOR, f"sysimgguid={guid:#x}", f"switchguid={guid:#x}({guid:x})"]
        out.append(
            f'Switch\t{switches.switch_port_count[row]} "S-{guid:016x}"\t\t'
            f'# "{switches.ids[row]}" base port 0 lid 0 lmc 0'
        )
        out += [text for _, text in sorted(cables[row])] + [""]
    for nic in np.flatnonzero(is_own[nics.leaf]).tolist():
        own, leaf = int(nics.guid[nic]), int(nics.leaf[nic])
        name = f"{fleet.nodes.ids[nics.node[nic]]} hca{nics.rail[nic]}"
        out += [*_VENDOR, f"sysimgguid={own - 1:#x}", f"caguid={own - 1:#x}({own - 1:x})"]
        out.append(f'Ca\t1 "H-{own - 1:016x}"\t\t# "{name}"')
        far = f'"S-{int(switches.guid[leaf]):016x}"[{nics.leaf_switch_port[nic]}]'
        out += [f'[1]({own:x}) \t{far}\t\t# lid 0 lmc 0 "{switches.ids[leaf]}" lid 0 4xNDR', ""]
    return "\n".join(out) + "\n"
