"""P_Keys that are left in ports of the compute fabric, by ``ibnetdiscover`` and ``smpquery``."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.places import subnet_environments

ADAPTER = "ibsim0"
"""What the simulator calls the management node's adapter."""
DEFAULT = 0x7FFF
"""The default partition, full member or not (IBTA volume 1, section 10.9.1.2)."""
_LINK = re.compile(
    r"^CA\s+(\d+)\s+(\d+) 0x\w+ .* - SW\s+(\d+)\s+(\d+) 0x\w+ \( '(.*)' - '(.*)' \)$"
)
_P_KEY = re.compile(r"0x[0-9a-f]{4}")


def audit_fabric(scene: AuditScene) -> Iterator[Leftover]:
    """P_Keys of hosts and of the switch ports that they hang on, but for the default one.

    Raises:
        InputError: a subnet does not answer.
    """
    subnets = subnet_environments(scene.folder)
    if not subnets:
        raise InputError("the lab's site file names no subnet")
    with ThreadPoolExecutor(len(subnets)) as workers:
        for found in workers.map(lambda one: _of_subnet(scene, *one), subnets.items()):
            yield from found


def _of_subnet(scene: AuditScene, name: str, environment: Mapping[str, str]) -> list[Leftover]:
    found = list[Leftover]()
    said = scene.said(["ibnetdiscover", "-C", ADAPTER, "-p"], environment=environment)
    links = [match for line in said.splitlines() if (match := _LINK.match(line))]
    if not links:
        raise InputError(f"{name}: ibnetdiscover sees no host")
    for link in links:
        host_lid, host_port, switch_lid, switch_port, host, switch = link.groups()
        ends = (
            (host, host_lid, host_port),
            (f"{switch} port {switch_port}", switch_lid, switch_port),
        )
        for where, lid, number in ends:
            words = ["smpquery", "-C", ADAPTER, "pkeys", lid, number]
            table = scene.said(words, environment=environment)
            found += [
                Leftover(Plane.FABRIC, f"P_Key {text}", f"{name} {where}")
                for text in _P_KEY.findall(table)
                if int(text, 16) & 0x7FFF not in {0, DEFAULT}
            ]
    return found
