"""How a real fabric is kept: its managers' files, its ``partitions.conf``, and its ports now.

The files are judged by ``hygiene``; what the ports say is compared with what the fleet says, as
P_Keys are worth nothing on a port that is another one, or that is full in the default partition.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gigawatt.drivers.opensm.hygiene import HygieneFinding, lint_options
from gigawatt.drivers.opensm.hygiene_partitions import lint_partitions
from gigawatt.drivers.opensm.questions import PortTables
from gigawatt.drivers.opensm.subnet import ManagedFabric, Subnet
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.fabric_care import FabricFinding

NAMED_MAX = 4
"""Ports that one finding names. Ours."""


def lint_files(fabric: ManagedFabric) -> Iterator[FabricFinding]:
    """What is wrong with the files of a fabric: of each manager, and of all of them."""
    for subnet in fabric.subnets:
        if not subnet.options_paths:
            yield FabricFinding(
                "options_unknown",
                f"subnet {subnet.name}",
                "nobody said where its managers' opensm.conf is: M_Key, SM_Key and SA_Key are not"
                " judged",
                "Name the files under 'options_files' of the subnet in site.yaml.",
            )
        for path in subnet.options_paths:
            yield from _lint_options(fabric, subnet, path)
    text = _text(fabric.conf_path)
    if text is None:
        yield _unread(fabric.conf_path)
        return
    for finding in lint_partitions(text):
        yield _told(
            fabric.conf_path,
            finding,
            f"See 'diff {fabric.conf_path}.kept {fabric.conf_path}'; put the first in place of the"
            " second, send SIGHUP to opensm, then run 'gw reconcile'.",
        )


def _lint_options(fabric: ManagedFabric, subnet: Subnet, path: Path) -> Iterator[FabricFinding]:
    text = _text(path)
    if text is None:
        yield _unread(path)
        return
    found = lint_options(text, partitions_conf=None, build=fabric.build)
    for finding in found:
        yield _told(
            path,
            finding,
            f"Correct {finding.rule.replace('_', ' ')} in {path} as docs/lab/fabric.md says, the"
            f" same for every manager of {subnet.name}, and start opensm again.",
        )


def _told(path: Path, finding: HygieneFinding, next_step: str) -> FabricFinding:
    where = f"{path}:{finding.line}" if finding.line else str(path)
    return FabricFinding(finding.rule, where, finding.reason, next_step)


def _unread(path: Path) -> FabricFinding:
    return FabricFinding(
        "file_unread",
        str(path),
        "it is not there, or may not be read",
        f"See that {path} exists and that this control plane may read it.",
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def lint_ports(
    fleet: Fleet, fabric: ManagedFabric, port_tables: Sequence[PortTables]
) -> Iterator[FabricFinding]:
    """What is wrong with ports as they are now: open, not where they belong, unknown, or gone."""
    rows = {int(guid): row for row, guid in enumerate(fleet.nics.guid.tolist())}
    own = set().union(*(subnet.guids for subnet in fabric.subnets))
    tenants = [port for port in port_tables if port.guid not in fabric.manager_guids]
    opened = [port.guid for port in tenants if port.is_open]
    if opened:
        yield FabricFinding(
            "open_port",
            _named(opened),
            "full in the default partition: it reaches every port, and every port reaches it",
            "If a manager runs there, add it to 'manager_guids' in site.yaml; else look for"
            " 'PARSE ERROR' in OpenSM's log and run 'gw reconcile'.",
        )
    unknown = [port.guid for port in tenants if port.guid not in own]
    if unknown:
        yield FabricFinding(
            "unknown_port",
            _named(unknown),
            "on the fabric, and no NIC of the fleet nor a manager's",
            "Pull the cable, or import the fleet anew: 'gw fleet import'.",
        )
    for port in tenants:
        row = rows.get(port.guid)
        if row is None:
            continue
        leaf, at = int(fleet.nics.leaf[row]), int(fleet.nics.leaf_switch_port[row])
        if (int(fleet.switches.guid[leaf]), at) != (port.switch_guid, port.switch_port):
            yield FabricFinding(
                "wrong_switch_port",
                _named([port.guid]),
                f"at port {port.switch_port} of switch {port.switch_guid:#018x}, by the fleet at"
                f" port {at} of {fleet.switches.ids[leaf]}",
                "Put the cable back, or import the fleet anew: 'gw fleet import'.",
            )
    seen = {port.guid for port in port_tables}
    gone = sorted(own - seen)
    if gone:
        owners = fleet.nics.node[np.isin(fleet.nics.guid, np.array(gone, np.uint64))].tolist()
        nodes = sorted({str(fleet.nodes.ids[row]) for row in owners})
        yield FabricFinding(
            "missing_port",
            _named(gone),
            f"of {', '.join(nodes[:NAMED_MAX])}{' and more' if len(nodes) > NAMED_MAX else ''}: in"
            " the fleet, and not on the fabric",
            "See whether the node is on; look at the cable and at 'iblinkinfo'.",
        )


def _named(guids: Sequence[int]) -> str:
    more = f" and {len(guids) - NAMED_MAX} more" if len(guids) > NAMED_MAX else ""
    named = ", ".join(f"{guid:#018x}" for guid in sorted(guids)[:NAMED_MAX])
    return f"port {named}{more}"
