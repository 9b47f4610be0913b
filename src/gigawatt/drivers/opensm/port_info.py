"""PortInfo and PortCounters as bytes, and the reading of a port that they make.

Source: InfiniBand Architecture vol. 1, sections 14.2.5.6 and 16.1.3.5; field offsets as in
``libibmad`` of rdma-core 44, ``fields.c``.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from gigawatt.fleet.discovery.port_health import (
    SPEED_EXTENDED_GBPS,
    SPEED_GBPS,
    WIDTH_LANES,
    PortReading,
)

_Value = TypeVar("_Value", int, float)

ACTIVE = 4
"""PortState of a link that carries data."""

_COUNTER_AT: Mapping[str, tuple[int, int]] = {
    "SymbolErrorCounter": (4, 2),
    "LinkErrorRecoveryCounter": (6, 1),
    "LinkDownedCounter": (7, 1),
    "PortRcvErrors": (8, 2),
    "PortRcvRemotePhysicalErrors": (10, 2),
    "PortRcvSwitchRelayErrors": (12, 2),
    "PortXmitDiscards": (14, 2),
    "PortXmitConstraintErrors": (16, 1),
    "PortRcvConstraintErrors": (17, 1),
    "VL15Dropped": (22, 2),
}
"""Offset and length in bytes; two more counters share byte 19, four bits each."""


def port_reading(
    guid: int,
    switch_port: int,
    here: Sequence[int],
    there: Sequence[int],
    counters: Sequence[int] | None,
) -> PortReading:
    """The reading of a port of which PortInfo is ``here`` and that of the other end ``there``.

    What the link could do is what both ends support and are allowed.
    """
    return PortReading(
        guid=guid,
        switch_port=switch_port,
        is_active=here[32] & 0xF == ACTIVE,
        lanes=WIDTH_LANES.get(here[31], 0),
        lanes_max=_most(here[30] & here[29] & there[30] & there[29], WIDTH_LANES),
        gbps_per_lane=_speed(here[35] >> 4, here[62] >> 4),
        gbps_per_lane_max=max(
            _most((here[32] & there[32]) >> 4 & here[35] & there[35], SPEED_GBPS),
            _most(here[62] & there[62] & here[63] & there[63] & 0xF, SPEED_EXTENDED_GBPS),
        ),
        counters={} if counters is None else _counters(counters),
    )


def _most(bits: int, by_bit: Mapping[int, _Value]) -> _Value:
    """The most that a mask of bits allows; 0 for none that is known."""
    return max((value for bit, value in by_bit.items() if bits & bit), default=0)


def _speed(plain: int, extended: int) -> float:
    """Gb/s of one lane: the extended speed counts where there is one."""
    if extended:
        return SPEED_EXTENDED_GBPS.get(extended, 0.0)
    return SPEED_GBPS.get(plain, 0.0)


def _counters(data: Sequence[int]) -> dict[str, int]:
    found = {
        name: int.from_bytes(bytes(data[at : at + length]), "big")
        for name, (at, length) in _COUNTER_AT.items()
    }
    found["LocalLinkIntegrityErrors"] = data[19] >> 4
    found["ExcessiveBufferOverrunErrors"] = data[19] & 0xF
    return found
