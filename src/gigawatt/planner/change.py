"""The stages that lead from one set of entries to another: the closing order, in one place.

On the way in a host is held, off and clean, before any plane names it; the planes close at the
same time and are read back; only then does the tenant's image boot. On the way out the tenant's
code stops first, then every plane forgets the node, and only what was observed isolated is
cleaned. Nothing of a tenant ever runs on a half-closed node. The same function serves launch,
change, release and unwind (ADR-0005).
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from gigawatt.boundary.entries import Entry, HostSlice
from gigawatt.ids import DeviceId, NodeId
from gigawatt.planner.plan import Action, Stage, Step, make_step

HOLD = "hold the hosts"
CLOSE = "close the planes"
BOOT = "boot the hosts"
STOP = "stop the hosts"
ISOLATE = "isolate on the planes"
CLEAN = "clean the hosts"


def node_of(entry: Entry) -> NodeId | None:
    """The node that is lost with the entry's device; None when the device is shared."""
    owner, _, name = entry.device.partition("/")
    return NodeId(name) if owner in {"port", "bmc", "host"} else None


def _steps(action: Action, entries: Iterable[Entry]) -> tuple[Step, ...]:
    by_device: dict[DeviceId, list[Entry]] = {}
    for entry in entries:
        by_device.setdefault(entry.device, []).append(entry)
    return tuple(
        make_step(action, group[0].plane, device, group, node_of(group[0]))
        for device, group in sorted(by_device.items())
    )


def _off(hosts: Iterable[HostSlice]) -> list[Entry]:
    return [replace(host, power="off") for host in hosts]


def stages_between(before: Collection[Entry], after: Collection[Entry]) -> tuple[Stage, ...]:
    """Stages that turn ``before`` into ``after``; empty stages are left out.

    Args:
        before: entries that devices hold, or may hold.
        after: entries that devices shall hold; what is in neither is not touched.
    """
    old = {(entry.device, entry.key): entry for entry in before}
    new = {(entry.device, entry.key): entry for entry in after}
    coming = [entry for place, entry in new.items() if old.get(place) != entry]
    leaving = [entry for place, entry in old.items() if place not in new]
    hosts_in = [entry for entry in coming if isinstance(entry, HostSlice)]
    hosts_out = [entry for entry in leaving if isinstance(entry, HostSlice)]
    fresh = [host for host in hosts_in if (host.device, host.key) not in old]
    stages = (
        Stage(HOLD, _steps("ensure", _off(fresh)), verify=True),
        Stage(
            CLOSE,
            _steps("ensure", (e for e in coming if not isinstance(e, HostSlice))),
            verify=True,
        ),
        Stage(
            BOOT,
            _steps("ensure", (h for h in hosts_in if h.power == "on" or h not in fresh)),
            verify=True,
        ),
        Stage(STOP, _steps("ensure", _off(h for h in hosts_out if h.power == "on")), verify=False),
        Stage(
            ISOLATE,
            _steps("remove", (e for e in leaving if not isinstance(e, HostSlice))),
            verify=True,
        ),
        Stage(CLEAN, _steps("remove", hosts_out), verify=True),
    )
    return tuple(stage for stage in stages if stage.steps)
