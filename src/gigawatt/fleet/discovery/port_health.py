"""Health of fabric ports: counters and link states judged against thresholds.

A port that drops to half its width, or whose cable flips bits, slows every collective that runs
over it long before it is down.

Counters only ever grow until they are reset, so two readings are compared; one alone is judged as
if everything had happened since the reset. Source of the thresholds of ``ibqueryerrors``:
infiniband-diags 44, ``/etc/infiniband-diags/error_thresholds``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from gigawatt.errors import InputError

Grade = Literal["degraded", "failed"]

COUNTERS = (
    "SymbolErrorCounter",
    "LinkErrorRecoveryCounter",
    "LinkDownedCounter",
    "PortRcvErrors",
    "PortRcvRemotePhysicalErrors",
    "PortRcvSwitchRelayErrors",
    "PortXmitDiscards",
    "PortXmitConstraintErrors",
    "PortRcvConstraintErrors",
    "LocalLinkIntegrityErrors",
    "ExcessiveBufferOverrunErrors",
    "VL15Dropped",
)
"""Names of PortCounters as perfquery prints them; IBA vol. 1, section 16.1.3.5."""

ERRORS_MAX: Mapping[str, int] = MappingProxyType(
    {
        "SymbolErrorCounter": 10,
        "LinkErrorRecoveryCounter": 10,
        "LinkDownedCounter": 10,
        "PortRcvErrors": 10,
        "PortRcvRemotePhysicalErrors": 100,
        "PortRcvSwitchRelayErrors": 100,
        "PortXmitDiscards": 100,
        "PortXmitConstraintErrors": 100,
        "PortRcvConstraintErrors": 100,
        "LocalLinkIntegrityErrors": 10,
        "ExcessiveBufferOverrunErrors": 10,
        "VL15Dropped": 100,
    }
)
"""Errors up to which a port is sound, for each counter; those that ibqueryerrors ships."""

LINK_RULES = frozenset(
    {
        "SymbolErrorCounter",
        "LinkErrorRecoveryCounter",
        "LinkDownedCounter",
        "PortRcvErrors",
        "LocalLinkIntegrityErrors",
        "ExcessiveBufferOverrunErrors",
        "flapping",
    }
)
"""Rules that speak of the cable at the port itself (IBA vol. 1, section 16.1.3.5). The others can
be the work of congestion, of a fault elsewhere, or of what a tenant chooses to send."""

FLAPS_MAX = 2
"""Times that a link may go down between two readings; a reboot of the host is one. Ours."""

WIDTH_LANES: Mapping[int, int] = MappingProxyType({1: 1, 2: 4, 4: 8, 8: 12, 16: 2})
"""Lanes by the bit of LinkWidthActive; IBA vol. 1, section 14.2.5.6."""
SPEED_GBPS: Mapping[int, float] = MappingProxyType({1: 2.5, 2: 5.0, 4: 10.0})
"""Gb/s of one lane by the bit of LinkSpeedActive."""
SPEED_EXTENDED_GBPS: Mapping[int, float] = MappingProxyType(
    {1: 14.0625, 2: 25.78125, 4: 53.125, 8: 106.25}
)
"""Gb/s of one lane by LinkSpeedExtActive, which counts where it is not 0: FDR to NDR."""


@dataclass(frozen=True, slots=True)
class PortReading:
    """One port as its fabric tells it.

    Fields:
        guid: of the node, or of a host's port; switch_port: its number there, from 1.
        is_active: whether its link carries data.
        lanes, gbps_per_lane: what the link runs at.
        lanes_max, gbps_per_lane_max: what both its ends could.
        counters: by name; see ``COUNTERS``.
    """

    guid: int
    switch_port: int
    is_active: bool
    lanes: int
    lanes_max: int
    gbps_per_lane: float
    gbps_per_lane_max: float
    counters: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse counters that there are not.

        Raises:
            InputError: a counter is unknown or negative.
        """
        for name, value in self.counters.items():
            if name not in ERRORS_MAX or value < 0:
                raise InputError(f"port {self.guid:#018x}: counter {name} is {value}")


@dataclass(frozen=True, slots=True)
class PortFinding:
    """One thing that is wrong with a port: the rule's name, how bad, one sentence."""

    guid: int
    switch_port: int
    rule: str
    grade: Grade
    sentence: str


def judge_ports(
    now: Sequence[PortReading],
    before: Sequence[PortReading] = (),
    errors_max: Mapping[str, int] = ERRORS_MAX,
) -> tuple[PortFinding, ...]:
    """What is wrong with the ports of a fabric, in the order of ``now``.

    Args:
        now: a reading of every port.
        before: an earlier one; a counter that fell since was reset, and counts as it stands.
        errors_max: errors up to which a port is sound, by counter.
    """
    earlier = {(port.guid, port.switch_port): port for port in before}
    found: list[PortFinding] = []
    for port in now:
        former = earlier.get((port.guid, port.switch_port))
        found += _judge_link(port, former)
        found += _judge_counters(port, former, errors_max)
    return tuple(found)


def _judge_link(port: PortReading, former: PortReading | None) -> Iterator[PortFinding]:
    where = f"port {port.switch_port} of {port.guid:#018x}"
    if not port.is_active:
        if former is not None and former.is_active:
            sentence = f"{where} was up and is down"
            yield PortFinding(port.guid, port.switch_port, "down", "failed", sentence)
        return
    if port.lanes < port.lanes_max:
        sentence = f"{where} runs on {port.lanes} lanes, could on {port.lanes_max}"
        yield PortFinding(port.guid, port.switch_port, "width", "degraded", sentence)
    if port.gbps_per_lane < port.gbps_per_lane_max:
        sentence = (
            f"{where} runs at {port.gbps_per_lane:g} Gb/s a lane, could at"
            f" {port.gbps_per_lane_max:g}"
        )
        yield PortFinding(port.guid, port.switch_port, "speed", "degraded", sentence)


def _judge_counters(
    port: PortReading, former: PortReading | None, errors_max: Mapping[str, int]
) -> Iterator[PortFinding]:
    where = f"port {port.switch_port} of {port.guid:#018x}"
    since = " since the last reading" if former is not None else ""
    for name, total in port.counters.items():
        past = former.counters.get(name, 0) if former is not None else 0
        count = total - past if total >= past else total
        if count > errors_max.get(name, 0):
            sentence = f"{where}: {name} {count}{since}, sound up to {errors_max.get(name, 0)}"
            yield PortFinding(port.guid, port.switch_port, name, "degraded", sentence)
        elif name == "LinkDownedCounter" and former is not None and count > FLAPS_MAX:
            sentence = f"{where}: the link went down {count} times{since}"
            yield PortFinding(port.guid, port.switch_port, "flapping", "failed", sentence)
