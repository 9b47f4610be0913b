"""The component of an EVPN-VXLAN network: access ports and gateways, by entry."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network

from gigawatt.boundary.entries import (
    ComputePort,
    Entry,
    Gateway,
    NetworkPort,
)
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.evpn.gateways import GatewaysOfSite
from gigawatt.drivers.evpn.ports import NO_ADDRESS, Place, PortsOfSwitch, Seen
from gigawatt.drivers.evpn.probing import Neighbour, Prober, Spot, Spots
from gigawatt.drivers.evpn.settings import EvpnSettings, PortSettings
from gigawatt.drivers.evpn.switch import Switch, SwitchState
from gigawatt.drivers.fenced import Entries, HasNoFiles, SeesNoNics
from gigawatt.drivers.ledger import Ledger
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import ClusterId, DeviceId, FabricId, NodeId
from gigawatt.interfaces.driver import Endpoint

VNI_MAX = 2**24 - 1
"""A VNI has 24 bits (RFC 7348, section 5)."""

Held = NetworkPort | ComputePort
At = tuple[str, Seen]
"""The switch of a port, and what the port is."""


class EvpnNetwork(HasNoFiles, SeesNoNics):
    """One network of switches as a ``Component``."""

    def __init__(self, settings: EvpnSettings, fleet: Fleet, turns: Ledger) -> None:
        """Drive the switches of ``settings``; ``turns`` keeps processes apart."""
        self._plane = Plane(settings.plane)
        self._fleet = fleet
        self._ports = settings.access_ports
        self._switches = {name: Switch(name, settings, turns) for name in settings.switches}
        self._prober = Prober(self._switches, self._plane, turns)
        self._answer_s_max = settings.answer_s_max
        by_switch: defaultdict[str, dict[str, PortSettings]] = defaultdict(dict)
        for ports in settings.access_ports.values():
            for port in ports.values():
                by_switch[port.switch][port.interface] = port
        self._at = {
            name: PortsOfSwitch(settings.plane, self._switches[name], ports)
            for name, ports in by_switch.items()
        }
        self._gateways = {
            DeviceId(f"gateway/{site}"): GatewaysOfSite(site, own, self._switches[own.switch])
            for site, own in settings.gateways.items()
        }

    @property
    def plane(self) -> Plane:
        """The plane that it belongs to."""
        return self._plane

    def knows(self, device: DeviceId) -> bool:
        """Whether the device is one of its own."""
        return device in self._ports or device in self._gateways

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """See ``Component.refuses``."""
        del owners
        for key, entry in wanted.items():
            reason = self._refuses_entry(device, key, entry)
            if reason is None and isinstance(entry, Gateway):
                reason = _refuses_overlap(entry, {**held, **wanted})
            if reason is not None:
                return f"{key}: {reason}"
        return None

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """Nothing stands in the way of a removal."""
        del device, held, leaving
        return None

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """See ``Component.put``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the device is as it was.
        """
        del cluster_id
        done: dict[str, Entry] = {}
        try:
            if device in self._gateways:
                for key, entry in wanted.items():
                    await self._put_gateway(device, held.get(key), entry)
                    done[key] = entry
            else:
                for some in self._by_switch(device, wanted).values():
                    done |= some
                    await self._put_ports(device, held, some)
        except DriverError as error:
            await self._undo(device, held, done, error)
            raise

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """See ``Component.take``.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        if device in self._gateways:
            for entry in leaving.values():
                assert isinstance(entry, Gateway), "a gateway holds gateways"
                await self._gateways[device].take(entry)
            return
        for switch, some in self._by_switch(device, leaving).items():
            settings = {key: self._ports[device][key] for key in some}
            names = frozenset(port.interface for port in settings.values())
            await self._at[switch].take(device, names)
            for key, entry in some.items():
                assert isinstance(entry, NetworkPort | ComputePort), "a port holds ports"
                await self._unreserve(device, settings[key], entry.vni)
            await self._at[switch].forget(device, names)

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """See ``Component.look``.

        Raises:
            DriverError: a switch, or its FRR, does not answer.
        """
        del noted
        if device in self._gateways:
            return await self._gateways[device].look(device)
        states = await self._states(device)
        found = list[Entry]()
        for key, port in self._ports[device].items():
            seen = self._at[port.switch].seen(states[port.switch], port.interface)
            if seen is not None:
                found.append(_entry_of(device, key, seen))
        return found

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """See ``Driver.probe`` and ``Prober``.

        Raises:
            DriverRetryableError: a switch does not answer.
            DriverPermanentError: the fleet has no such node.
        """
        async with self._prober.turn():
            seen = await self._seen_at({endpoint for pair in pairs for endpoint in pair})
            spots = {endpoint: [_spot(one) for one in found] for endpoint, found in seen.items()}
            reached = await self._prober.reach(
                [(spots[a], self._beyond(a, spots[a]) if a == b else spots[b]) for a, b in pairs]
            )
        asked = {a for (a, b), is_so in zip(pairs, reached, strict=True) if a == b and is_so}
        silent = await self._silent(asked) if self._plane is Plane.IN_BAND else set()
        return tuple(
            is_so and not (a == b and a in silent)
            for (a, b), is_so in zip(pairs, reached, strict=True)
        )

    async def _silent(self, endpoints: Collection[Endpoint]) -> set[Endpoint]:
        """Those of them whose machine does not answer by its own cable in time.

        Others may probe between two looks: a machine that never answers keeps nobody waiting.
        """
        left, loop = set(endpoints), asyncio.get_running_loop()
        until_s = loop.time() + self._answer_s_max
        while left and self._answer_s_max:
            async with self._prober.turn():
                seen = await self._seen_at(left)
                asked = {
                    endpoint: Neighbour(spot, str(IPv4Interface(one[1].place.address).ip))
                    for endpoint, (one, *_) in seen.items()
                    if one is not None and (spot := _spot(one)) is not None
                }
                answering = await self._prober.answering(asked.values())
            left -= {endpoint for endpoint, one in asked.items() if one in answering}
            if loop.time() >= until_s:
                return left
        return set()

    def _beyond(self, endpoint: Endpoint, spots: Spots) -> Spots:
        """Where the gateway of an endpoint's network is; where it is itself if it has none."""
        found: list[Spot | None] = []
        for (device, key), spot in zip(self._keys_of(endpoint), spots, strict=True):
            site = self._ports[device][key].gateway if spot is not None else None
            gateways = self._gateways.get(DeviceId(f"gateway/{site}"))
            if spot is not None and gateways is not None:
                spot = Spot(gateways.switch.name, spot.vni)  # noqa: PLW2901 - the one beyond it
            found.append(spot)
        return found

    async def _seen_at(self, endpoints: Collection[Endpoint]) -> dict[Endpoint, list[At | None]]:
        """What each port of some endpoints is now, in rail order; None where it is nothing.

        Raises:
            DriverRetryableError: a switch does not answer.
            DriverPermanentError: the fleet has no such node.
        """
        keys = {endpoint: self._keys_of(endpoint) for endpoint in endpoints}
        names = {device for some in keys.values() for device, _ in some if device in self._ports}
        looks = await asyncio.gather(*(self._states(device) for device in names))
        states = {name: state for look in looks for name, state in look.items()}
        return {
            endpoint: [self._at_port(states, device, key) for device, key in some]
            for endpoint, some in keys.items()
        }

    def _keys_of(self, endpoint: Endpoint) -> list[tuple[DeviceId, str]]:
        """Device and key of what an endpoint may hold on this plane.

        Raises:
            DriverPermanentError: the fleet has no such node.
        """
        row = self._fleet.nodes.index_of.get(endpoint.node_id)
        if row is None:
            raise DriverPermanentError(
                f"fleet {self._fleet.name!r} has no node {endpoint.node_id!r}"
            )
        if self._plane is Plane.IN_BAND:
            return [(DeviceId(f"port/{endpoint.node_id}"), f"slot/{endpoint.slot}")]
        fabric = self._fleet.fabrics.ids[int(self._fleet.fabric_of_node[row])]
        mask = int(self._fleet.full_gpu_mask_of_node[row]) >> endpoint.slot << endpoint.slot
        first = int(self._fleet.first_nic_of_node[row])
        numbers = nics_of_mask(self._fleet.node_type(row), mask)
        guids = [int(self._fleet.nics.guid[first + number]) for number in numbers]
        return [(DeviceId(f"fabric/{fabric}"), f"port/{guid:#018x}") for guid in guids]

    def _at_port(self, states: Mapping[str, SwitchState], device: DeviceId, key: str) -> At | None:
        port = self._ports.get(device, {}).get(key)
        if port is None:
            return None
        seen = self._at[port.switch].seen(states[port.switch], port.interface)
        return None if seen is None else (port.switch, seen)

    def _refuses_entry(self, device: DeviceId, key: str, entry: Entry) -> str | None:
        if not isinstance(entry, NetworkPort | ComputePort | Gateway):
            return f"this driver holds no {entry.kind}"
        if not 1 <= entry.vni <= VNI_MAX:
            return f"VNI is {entry.vni}, wanted 1 to {VNI_MAX}"
        if isinstance(entry, Gateway):
            return _refuses_networks(entry)
        if key not in self._ports[device]:
            return f"{device} has no such port"
        if isinstance(entry, NetworkPort):
            try:
                IPv4Interface(entry.ipv4)
            except ValueError:
                return f"address is {entry.ipv4!r}, wanted a.b.c.d/len"
        return None

    def _by_switch(self, device: DeviceId, entries: Entries) -> dict[str, dict[str, Entry]]:
        found: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
        for key, entry in entries.items():
            found[self._ports[device][key].switch][key] = entry
        return dict(sorted(found.items()))

    async def _states(self, device: DeviceId) -> dict[str, SwitchState]:
        names = sorted({port.switch for port in self._ports[device].values()})
        looks = (self._switches[name].look(device) for name in names)
        return dict(zip(names, await asyncio.gather(*looks), strict=True))

    async def _put_gateway(self, device: DeviceId, held: Entry | None, wanted: Entry) -> None:
        assert isinstance(wanted, Gateway), "a gateway holds gateways"
        assert held is None or isinstance(held, Gateway), "a gateway holds gateways"
        await self._gateways[device].put(wanted, held)

    async def _put_ports(self, device: DeviceId, held: Entries, wanted: Entries) -> None:
        """Ports of one switch: first their addresses, then they, then the former addresses."""
        settings = {key: self._ports[device][key] for key in wanted}
        places = {settings[key].interface: _place_of(entry) for key, entry in wanted.items()}
        for port in settings.values():
            await self._reserve(device, port, places[port.interface])
        await self._at[next(iter(settings.values())).switch].put(device, places)
        for key, port in settings.items():
            old = held.get(key)
            if isinstance(old, NetworkPort) and old.vni != places[port.interface].vni:
                await self._unreserve(device, port, old.vni)

    async def _reserve(self, device: DeviceId, port: PortSettings, place: Place) -> None:
        if port.gateway is not None:
            gateways = self._gateways[DeviceId(f"gateway/{port.gateway}")]
            lease = (port.mac, str(IPv4Interface(place.address).ip))
            await gateways.reserve(device, place.vni, _name_of(port), lease)

    async def _unreserve(self, device: DeviceId, port: PortSettings, vni: int) -> None:
        if port.gateway is not None:
            gateways = self._gateways[DeviceId(f"gateway/{port.gateway}")]
            await gateways.unreserve(device, vni, _name_of(port))

    async def _undo(
        self, device: DeviceId, held: Entries, done: Entries, error: DriverError
    ) -> None:
        """Bring back what a change that failed has changed.

        Raises:
            DriverRetryableError: it cannot be brought back either.
        """
        if not isinstance(error, DriverPermanentError):
            return
        try:
            for key, entry in done.items():
                old = held.get(key)
                if old is None:
                    await self.take(device, {key: entry})
                elif device in self._gateways:
                    await self._put_gateway(device, entry, old)
                else:
                    await self._put_ports(device, {key: entry}, {key: old})
        except DriverError as second:
            raise DriverRetryableError(
                f"{device}: {error}; and it could not be undone: {second}", device=device
            ) from error


def _spot(at: At | None) -> Spot | None:
    """The network that a port is in; None if it is in none, or does not work."""
    return None if at is None or at[1].fault else Spot(at[0], at[1].place.vni)


def _name_of(port: PortSettings) -> str:
    return f"{port.switch}-{port.interface}"


def _place_of(entry: Entry) -> Place:
    if isinstance(entry, NetworkPort):
        return Place(entry.vni, entry.ipv4)
    assert isinstance(entry, ComputePort), "refused otherwise"
    return Place(entry.vni, NO_ADDRESS)


def _entry_of(device: DeviceId, key: str, seen: Seen) -> Held:
    """The entry that a port comes to; one that does not work says so where its content stands.

    So it differs from every entry that anybody can want, is put right by the next ``ensure``, and
    is taken away by the next ``remove``.
    """
    kind, _, name = device.partition("/")
    number = key.partition("/")[2]
    if kind == "fabric":
        vni = 0 if seen.fault else seen.place.vni
        return ComputePort(FabricId(name), vni, int(number, 16))
    address = f"({seen.fault})" if seen.fault else seen.place.address
    return NetworkPort(NodeId(name), int(number), seen.place.vni, address)


def _refuses_networks(gateway: Gateway) -> str | None:
    sources = [rule.source_cidr for rule in gateway.inbound_rules]
    for text in (gateway.subnet, *gateway.egress_cidrs, *sources):
        try:
            IPv4Network(text)
        except ValueError as error:
            return f"{text!r} is no IPv4 network: {error}"
    return None


def _refuses_overlap(gateway: Gateway, others: Entries) -> str | None:
    own = IPv4Network(gateway.subnet)
    for other in others.values():
        if not isinstance(other, Gateway) or other.vni == gateway.vni or other.subnet[0] == "(":
            continue
        if own.overlaps(IPv4Network(other.subnet)):
            return f"{gateway.subnet} overlaps {other.subnet} of VNI {other.vni}"
    return None
