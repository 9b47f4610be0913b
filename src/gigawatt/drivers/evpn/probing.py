"""Whether traffic from one port arrives at another, and whether a machine answers by its cable.

Between two ports no host is asked: it may be switched off, and it is the tenant's. Instead a
namespace is put beside each port, into the very bridge that the port is in at this moment, and ARP
is sent between the two over the real switches and their tunnels. Namespaces and interfaces are gone
afterwards, also after an error on the way.

What lies between a port and its host (a cable, the host's own interface, the rules for its MAC and
address) shows only when the host itself speaks. So a machine that was started just now is asked
from the same place by ARP for its own address, as one that looks whether an address is in use does
(sender 0.0.0.0, RFC 5227): a host answers that whatever its routes are, and no switch answers it in
a host's place or takes it further than to its own ports.

Names and addresses of a probe are the same each time, so that what one left that was killed is
cleared by the next. Hence one probe at a time among all processes: two would answer each other.

A network that has come to a switch just now is known to the others when BGP has told them: before
anything is sent, their flood rows in the kernel are looked at until they name each other. When
they never do, ARP is sent all the same, and its answer counts.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.evpn.reach import fed
from gigawatt.drivers.evpn.segments import bridge_name, opened, vxlan_name
from gigawatt.drivers.evpn.switch import LOOK_S, Switch
from gigawatt.drivers.ledger import Ledger
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId

NEWS_S_MAX = 10.0
"""Longest that switches are given to hear of each other's networks, the looking not counted. FRR
itself gathers news for a second before it tells them (``coalesce-time``). Ours."""
ARPING_S = 3
"""Seconds that an answer is waited for; a network of one building takes a thousandth. Ours."""
ANSWERED = "reply from"
"""What arping of iputils says of an answer."""
UP_LOOKS, UP_LOOK_S = 200, 0.05
"""The kernel puts an interface to work later than it is switched on, on a busy switch seconds."""
PROBE_NETWORK = "169.254"
"""Addresses that no host of a cluster may have (RFC 3927)."""


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A network on a switch."""

    switch: str
    vni: int


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    """A machine at a port: the network that it is in, and its address, ``a.b.c.d``."""

    spot: Spot
    ipv4: str


Spots = Sequence[Spot | None]
"""Where each NIC of an endpoint is, in rail order; None where it is in no network that works."""


class Prober:
    """Sends ARP between networks on switches."""

    def __init__(self, switches: Mapping[str, Switch], plane: Plane, turns: Ledger) -> None:
        """Probe among ``switches``; ``turns`` keeps probes of several processes apart."""
        self._switches = switches
        self._turns = turns
        self._device = DeviceId(f"probe/{plane}")

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Have the network to oneself among all that probe it; where ports are is looked inside."""
        return self._turns.turn(self._device)

    async def reach(self, pairs: Sequence[tuple[Spots, Spots]]) -> tuple[bool, ...]:
        """For each pair whether the first reaches the second; to be asked inside ``turn``.

        With several NICs, see ``_is_reached``: a rail that is down is a fault, and one NIC that
        reaches another cluster's is a leak.

        Raises:
            DriverRetryableError: a switch does not answer, or a network goes meanwhile.
            DriverPermanentError: a switch refuses.
        """
        wanted: set[tuple[Spot, Spot]] = set()
        for sources, sinks in pairs:
            wanted |= {(a, b) for a in sources if a for b in sinks if b}
        reached = {(a, b) for a, b in wanted if a == b}
        distinct = sorted(wanted - reached)
        if distinct:
            await self._settle({pair for pair in distinct if pair[0].vni == pair[1].vni})
            reached |= await self._send(distinct)
        return tuple(_is_reached(a, b, reached) for a, b in pairs)

    async def answering(self, neighbours: Collection[Neighbour]) -> set[Neighbour]:
        """Those of them that answer by their own cables now; to be asked inside ``turn``.

        Raises:
            DriverRetryableError: a switch does not answer, or a network goes meanwhile.
            DriverPermanentError: a switch refuses.
        """
        by_spot: dict[Spot, list[str]] = {}
        for one in sorted(neighbours):
            by_spot.setdefault(one.spot, []).append(one.ipv4)
        # Nobody asks for the addresses of the probe itself here, so all may have the same.
        async with self._standing(dict.fromkeys(by_spot, f"{PROBE_NETWORK}.1.1")):
            found = await asyncio.gather(
                *(
                    self._heard(spot, dict.fromkeys(some, f"-D -c 3 -w {ARPING_S}"))
                    for spot, some in by_spot.items()
                )
            )
        return {
            Neighbour(spot, ipv4)
            for spot, heard in zip(by_spot, found, strict=True)
            for ipv4 in heard
        }

    async def _settle(self, pairs: Collection[tuple[Spot, Spot]]) -> None:
        """Wait until switches flood a network to each other, or for as long as news may take.

        Raises:
            DriverRetryableError: a switch does not answer.
        """
        missing, tries = set(pairs), 0
        while missing:
            names = sorted({source.switch for source, _ in missing})
            looks = await asyncio.gather(
                *(self._switches[name].flood(self._device) for name in names)
            )
            rows = dict(zip(names, looks, strict=True))
            missing = {
                (source, sink)
                for source, sink in missing
                if self._switches[sink.switch].wiring.vtep
                not in rows[source.switch].get(vxlan_name(source.vni), ())
            }
            tries += 1
            if tries * LOOK_S > NEWS_S_MAX:
                return
            if missing:
                await asyncio.sleep(LOOK_S)

    async def _send(self, pairs: Sequence[tuple[Spot, Spot]]) -> set[tuple[Spot, Spot]]:
        spots = sorted({spot for pair in pairs for spot in pair})
        address = {
            spot: f"{PROBE_NETWORK}.{1 + row // 250}.{1 + row % 250}"
            for row, spot in enumerate(spots)
        }
        sinks = {spot: [b for a, b in pairs if a == spot] for spot in spots}
        options = f"-f -c 3 -w {ARPING_S}"
        async with self._standing(address):
            found = await asyncio.gather(
                *(
                    self._heard(spot, {address[sink]: options for sink in sinks[spot]})
                    for spot in spots
                )
            )
        return {
            (spot, sink)
            for spot, heard in zip(spots, found, strict=True)
            for sink in sinks[spot]
            if address[sink] in heard
        }

    @asynccontextmanager
    async def _standing(self, address: Mapping[Spot, str]) -> AsyncIterator[None]:
        """Have a namespace with an address beside the ports of each network; gone at the end."""
        try:
            for spot, ipv4 in address.items():
                await self._stand(spot, ipv4)
            yield
        finally:
            for spot in address:
                with suppress(DriverError):
                    await self._switches[spot.switch].apply(self._device, _gone(spot))

    async def _stand(self, spot: Spot, address: str) -> None:
        """Put a namespace beside the ports of a network.

        Raises:
            DriverRetryableError: no answer, or the network was taken away since it was looked at.
        """
        try:
            await self._switches[spot.switch].apply(self._device, _standing(spot, address))
        except DriverPermanentError as error:
            raise DriverRetryableError(
                f"{self._device}: VNI {spot.vni} of {spot.switch} changed while it was probed:"
                f" {error}",
                device=self._device,
            ) from error

    async def _heard(self, spot: Spot, options: Mapping[str, str]) -> set[str]:
        """Addresses that answer to somebody at ``spot``, each asked with arping's ``options``."""
        # Not its exit status: arping fails as well when an answer came, but not to the first call.
        lines = [
            f"{{ nsenter --net=/run/netns/{_space(spot)} arping {words} -I near {ipv4}"
            f" | grep -q '{ANSWERED}' && echo {ipv4} ; }} &"
            for ipv4, words in options.items()
        ]
        if not lines:
            return set()
        return set((await self._switches[spot.switch].apply(self._device, *lines, "wait")).split())


def _space(spot: Spot) -> str:
    return f"probe-{spot.switch}-{spot.vni}"


def _far(spot: Spot) -> str:
    return f"pb{spot.vni}"


def _standing(spot: Spot, address: str) -> str:
    """Shell words that put a namespace beside the ports of a network."""
    outer = [
        f"link add {_far(spot)} type veth peer name near netns {_space(spot)}",
        *opened(_far(spot), bridge_name(spot.vni)),
    ]
    inner = [f"address add {address}/16 dev near", *opened("near")]
    enter = f"nsenter --net=/run/netns/{_space(spot)} "
    made = f"ip netns add {_space(spot)}"
    opening = [_gone(spot), made, fed("ip", outer), enter + fed("ip", inner)]
    return "\n".join(
        [*opening, _up(f"ip -o link show {_far(spot)}"), _up(f"{enter}ip -o link show near")]
    )


def _up(shown: str) -> str:
    """Shell words that wait until the interface works that ``shown`` prints."""
    is_up = f"{shown} | grep -q 'state UP'"
    wait = f"for look in $(seq {UP_LOOKS}); do {is_up} && break; sleep {UP_LOOK_S}; done"
    return f"{wait}\n{is_up} || {{ {shown} >&2; exit 1; }}"


def _gone(spot: Spot) -> str:
    """Shell words after which nothing of it is there."""
    return (
        f"ip link del {_far(spot)} 2>/dev/null || true\n"
        f"ip netns del {_space(spot)} 2>/dev/null || true"
    )


def _is_reached(sources: Spots, sinks: Spots, reached: set[tuple[Spot, Spot]]) -> bool:
    """Two of one network, every NIC its fellow; two of different ones, any NIC any."""
    (a_vni, a_count), (b_vni, b_count) = _slice(sources), _slice(sinks)
    if a_vni is not None and a_vni == b_vni:
        count = max(a_count, b_count)
        fellows = zip(sources[:count], sinks[:count], strict=False)
        return all(a is not None and b is not None and (a, b) in reached for a, b in fellows)
    return any((a, b) in reached for a in sources[:a_count] for b in sinks[:b_count])


def _slice(spots: Spots) -> tuple[int | None, int]:
    """The network of a slice, and how many NICs it has.

    A switch does not know where a slice ends. Slices are 1, 2, 4 ... GPUs, so it is taken to be
    the smallest that has all NICs of the first network; one that is missing does not shorten it.
    """
    vni = next((spot.vni for spot in spots if spot is not None), None)
    if vni is None:
        return None, len(spots)
    last = max(n for n, spot in enumerate(spots, start=1) if spot is not None and spot.vni == vni)
    return vni, min(len(spots), 1 << (last - 1).bit_length())
