"""What a plane's driver must offer. One interface for all five planes.

A driver translates entries to its component's own words, and every error of that component to
one of ``DriverRetryableError``, ``DriverPermanentError``, ``StaleGenerationError``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gigawatt.boundary.entries import Entry, FileUsage, PortLocation
from gigawatt.boundary.plane import Plane
from gigawatt.ids import ClusterId, DeviceId, NodeId

OPERATOR = ClusterId("operator")
"""The operator's own hand in a fence: ``remove`` then takes away what any cluster holds.

Only the reconciler uses it, and only for entries that no target and no open operation names.
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """Fencing token of one worker's hold on one cluster.

    A device refuses a call whose generation is older than the newest it has seen for the same
    cluster. Where a component cannot compare, its driver does, under a lease for the device.
    """

    cluster_id: ClusterId
    generation: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host or guest that a probe starts from or aims at; slot as in ``HostSlice.slot``."""

    node_id: NodeId
    slot: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a fresh read-back of some devices said.

    Fields:
        entries: what each device that answered holds, in its managed range.
        unreachable: devices that did not answer; nothing is known about them.
        port_locations: where the fabric sees NICs; empty on other planes.
        file_usage: bytes in the file systems of storage pools that can tell; empty elsewhere.
    """

    entries: dict[DeviceId, frozenset[Entry]] = field(default_factory=dict)
    unreachable: frozenset[DeviceId] = frozenset()
    port_locations: tuple[PortLocation, ...] = ()
    file_usage: tuple[FileUsage, ...] = ()


class Driver(Protocol):
    """One plane's driver."""

    @property
    def plane(self) -> Plane:
        """The plane that this driver serves."""
        ...

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """Make ``device`` hold every entry, all or nothing; what it holds already stays.

        Idempotent. An entry whose key another cluster holds is refused.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        ...

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        """Make ``device`` hold none of the keys of ``entries``; what is absent stays absent.

        Idempotent. Removing a ``HostSlice`` powers the slice off and cleans it; removing a
        ``FileSystem`` deletes its data. A key that another cluster holds is left alone, unless
        the fence is the ``OPERATOR``'s; that one is stale when the device has seen a newer
        generation of the cluster that holds the key.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
            StaleGenerationError: the fence is older than one seen before.
        """
        ...

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        """Read ``devices`` back, now, from the component itself and never from a cache."""
        ...

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """For each pair (a, b): whether a really reaches what belongs to b on this plane.

        Fabric and in-band: traffic from a arrives at b; in-band from a to a: its machine answers
        by its own cable, and its network reaches the gateway. Out-of-band: the owner of a can talk
        to b's BMC. Storage: a can mount what b's cluster has or mounts; all of it if both are of
        one cluster, any of it otherwise. Host: b is powered on and a and b are slices of one
        cluster.

        Raises:
            DriverRetryableError: the probe could not be run.
        """
        ...
