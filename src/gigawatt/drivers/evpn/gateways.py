"""Gateways: for each network a namespace with its rules, its DHCP and its names.

A gateway's namespace ``gw-VNI`` has two interfaces: ``in``, the other end of which is the leg in
the network's bridge, and ``up``, which leads to the gateway's own namespace and from there to the
uplink. Rules are loaded before either exists, in one transaction.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from gigawatt.boundary.entries import Gateway
from gigawatt.boundary.keys import gateway_of
from gigawatt.drivers.evpn.dnsmasq import Dnsmasq
from gigawatt.drivers.evpn.nft_json import loading, read_tables
from gigawatt.drivers.evpn.policy import (
    FAR,
    NEAR,
    POLICY_TABLE,
    gateway_of_table,
    policy_table,
    uplink_table,
)
from gigawatt.drivers.evpn.reach import fed, nft
from gigawatt.drivers.evpn.segments import Links, bridge_name, leg_name, opened, vni_of
from gigawatt.drivers.evpn.settings import GatewaySettings
from gigawatt.drivers.evpn.switch import Switch, SwitchState
from gigawatt.errors import DriverError
from gigawatt.ids import DeviceId, SiteId

OUTER, INNER = "169.254.0.1", "169.254.0.2"
"""Ends of every way between a gateway's namespace and the uplink (RFC 3927); never on a wire."""
SPACE = "gw-"
LINES_A_SPACE = 6


def space_name(vni: int) -> str:
    """The namespace of a network's gateway."""
    return f"{SPACE}{vni}"


def up_name(vni: int) -> str:
    """The interface beside the uplink that leads to a network's gateway."""
    return f"{FAR}{vni}"


def gateway_mac(vni: int) -> str:
    """MAC of a gateway in its network: the same when it is made again, as hosts remember it."""
    octets = (vni >> 16 & 255, vni >> 8 & 255, vni & 255)
    return "02:67:79:" + ":".join(f"{octet:02x}" for octet in octets)


@dataclass(frozen=True)
class Space:
    """What a gateway's namespace said. Fields: addresses by interface, with prefix length."""

    addresses: Mapping[str, str]
    has_way_out: bool
    is_forwarding: bool
    nft: str
    is_serving: bool


class GatewaysOfSite:
    """All gateways of one site, on one switch of the network."""

    def __init__(self, site: str, settings: GatewaySettings, switch: Switch) -> None:
        """Look after the gateways of ``site``."""
        self._site = SiteId(site)
        self._uplink = settings.uplink
        self.switch = switch
        self._dnsmasq = Dnsmasq(settings.folder, settings.dns_domain)

    async def put(self, gateway: Gateway, held: Gateway | None) -> None:
        """Make a gateway as it shall be, whatever is there of it; all or nothing.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: it refuses; what was held is as it was.
        """
        device = gateway.device
        async with self.switch.turn():
            state = await self._state(device)
            if held is not None and held.subnet == gateway.subnet:
                await self.switch.apply(device, _in_space(gateway.vni, _rules(gateway)))
                return
            try:
                await self._build(state, gateway)
            except DriverError:
                state = await self._state(device)
                if held is not None and not held.subnet.startswith("("):
                    await self._build(state, held)
                else:
                    forgetting = self._dnsmasq.forget(gateway.vni)
                    await self.switch.apply(device, *self._unmaking(state, gateway.vni), forgetting)
                raise
            await self.switch.announces(device, {gateway.vni})

    async def take(self, gateway: Gateway) -> None:
        """Make nothing be left of a gateway.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: it refuses.
        """
        async with self.switch.turn():
            state = await self._state(gateway.device)
            lines = self._unmaking(state, gateway.vni)
            await self.switch.apply(gateway.device, *lines, self._dnsmasq.forget(gateway.vni))

    async def look(self, device: DeviceId) -> tuple[Gateway, ...]:
        """Every gateway, or what is there of it.

        Raises:
            DriverRetryableError: the switch does not answer.
        """
        state = await self._state(device)
        spaces = _spaces(state.extra["spaces"])
        routes = {row.get("dst"): row for row in json.loads(state.extra["routes"] or "[]")}
        named = {vni for prefix in ("leg", FAR) for vni in _vnis(state.links.by_name, prefix)}
        return tuple(
            self._seen(state, vni, spaces.get(vni), routes) for vni in sorted(named | set(spaces))
        )

    async def reserve(
        self, device: DeviceId, vni: int, access_port: str, lease: tuple[str, str]
    ) -> None:
        """Give a MAC its address (``lease``) by DHCP from now on.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: it refuses.
        """
        async with self.switch.turn():
            await self.switch.apply(device, self._dnsmasq.reserve(vni, access_port, lease))

    async def unreserve(self, device: DeviceId, vni: int, access_port: str) -> None:
        """Give no address to what is at a port any more, and forget its name.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: it refuses.
        """
        async with self.switch.turn():
            text = self._dnsmasq.unreserve(vni, access_port, _space_words(vni))
            await self.switch.apply(device, text)

    async def _state(self, device: DeviceId) -> SwitchState:
        each = (
            'for s in $(ls /run/netns); do case $s in gw-*) echo "$s";'
            ' n="nsenter --net=/run/netns/$s";'
            " $n ip -j addr show; $n ip -j route show default;"
            " $n cat /proc/sys/net/ipv4/ip_forward; $n nft -j list ruleset;"
            f" {self._dnsmasq.is_running('${s#gw-}')} && echo 1 || echo 0;; esac; done"
        )
        reads = {"spaces": each, "routes": "ip -j route show"}
        return await self.switch.look(device, reads)

    def _seen(
        self, state: SwitchState, vni: int, space: Space | None, routes: Mapping[str, Any]
    ) -> Gateway:
        if space is None:
            return Gateway(self._site, vni, f"({space_name(vni)} is not there)", ())
        address = space.addresses.get(NEAR, "")
        if not address:
            return Gateway(self._site, vni, f"({space_name(vni)} is not connected)", ())
        subnet = str(IPv4Interface(address).network)
        table = read_tables(space.nft).get(POLICY_TABLE) if space.nft else None
        gateway = gateway_of_table(self._site, vni, subnet, table)
        fault = self._fault(state, vni, space, address)
        if not fault and routes.get(subnet, {}).get("dev") != up_name(vni):
            fault = f"there is no route to {subnet}"
        return replace(gateway, subnet=f"({fault})") if fault else gateway

    def _fault(self, state: SwitchState, vni: int, space: Space, address: str) -> str:
        links, leg, up = state.links, leg_name(vni), up_name(vni)
        network = str(IPv4Interface(address).network)
        uplink = state.tables.get(POLICY_TABLE)
        faults = {
            f"{NEAR} has {address}": not address.startswith(f"{gateway_of(network)}/"),
            f"{leg} is not in {bridge_name(vni)}": links.master(leg) != bridge_name(vni),
            f"{leg} is switched off": not links.is_up(leg),
            f"{up} is switched off": not links.is_up(up),
            "it has no way out": not space.has_way_out,
            "it does not forward": not space.is_forwarding,
            "its DHCP server does not run": not space.is_serving,
            "rules of the uplink are not as they were loaded": (
                uplink is None or uplink.skeleton() != uplink_table(self._uplink).skeleton()
            ),
            f"FRR does not announce VNI {vni}": (
                state.announced is not None and vni not in state.announced
            ),
        }
        complaint = self.switch.wiring.complaint(vni, links)
        return complaint or next((fault for fault, is_so in faults.items() if is_so), "")

    async def _build(self, state: SwitchState, gateway: Gateway) -> None:
        vni = gateway.vni
        address = f"{gateway_of(gateway.subnet)}/{IPv4Network(gateway.subnet).prefixlen}"
        is_bare = bool(self.switch.wiring.down(vni, state.links, frozenset({leg_name(vni)})))
        wire, rows = self.switch.wiring.up(vni, Links({}) if is_bare else state.links)
        outer = [
            _pair(leg_name(vni), f"{NEAR} address {gateway_mac(vni)}", vni),
            _pair(up_name(vni), FAR, vni),
            *wire,
            *opened(leg_name(vni), bridge_name(vni)),
            *opened(up_name(vni)),
            f"route replace {gateway.subnet} via {INNER} dev {up_name(vni)} onlink",
            f"address replace {OUTER}/32 dev lo",
        ]
        inner = [
            "link set dev lo up",
            f"address add {address} dev {NEAR}",
            f"address add {INNER}/32 dev {FAR}",
            *opened(NEAR),
            *opened(FAR),
            f"route add default via {OUTER} dev {FAR} onlink",
        ]
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        # Else frames of every network would have to pass the rules of the uplink, and none do.
        bridging = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        apart = f"if [ -e {bridging} ]; then echo 0 > {bridging}; fi"
        table = state.tables.get(POLICY_TABLE)
        uplink = uplink_table(self._uplink)
        is_closed = table is not None and table.skeleton() == uplink.skeleton()
        await self.switch.apply(
            gateway.device,
            *self._unmaking(state, vni),
            f"ip netns add {space_name(vni)}",
            _in_space(vni, _rules(gateway)),
            _in_space(vni, f"sh -c '{forward}'"),
            "" if is_closed else f"{nft(loading(uplink))}\n{forward}\n{apart}",
            fed("ip", outer),
            fed("bridge", rows),
            _in_space(vni, fed("ip", inner)),
            self._dnsmasq.start(vni, gateway.subnet, _space_words(vni)),
        )

    def _unmaking(self, state: SwitchState, vni: int) -> list[str]:
        """Shell words after which nothing of a gateway is there but its reservations."""
        links, leg, up = state.links, leg_name(vni), up_name(vni)
        lines = [f"link del {name}" for name in (leg, up) if name in links.by_name]
        lines += self.switch.wiring.down(vni, links, frozenset({leg}))
        space = f"/run/netns/{space_name(vni)}"
        return [
            self._dnsmasq.stop(vni),
            fed("ip", lines),
            f"if [ -e {space} ]; then ip netns del {space_name(vni)}; fi",
        ]


def _space_words(vni: int) -> str:
    return f"nsenter --net=/run/netns/{space_name(vni)} "


def _in_space(vni: int, script: str) -> str:
    return _space_words(vni) + script


def _pair(outer: str, inner: str, vni: int) -> str:
    return f"link add {outer} type veth peer name {inner} netns {space_name(vni)}"


def _rules(gateway: Gateway) -> str:
    return nft(loading(policy_table(gateway)))


def _vnis(names: Iterable[str], prefix: str) -> set[int]:
    return {vni for name in names if (vni := vni_of(name, prefix)) is not None}


def _spaces(text: str) -> dict[int, Space]:
    """Namespaces of gateways by network; one that does not say all of it is as if it were empty."""
    found: dict[int, Space] = {}
    lines = text.splitlines()
    starts = [row for row, line in enumerate(lines) if vni_of(line, SPACE) is not None]
    for row in starts:
        vni = vni_of(lines[row], SPACE)
        assert vni is not None, "it was found by it"
        try:
            addresses, routes, forwards, rules, runs = lines[row + 1 : row + LINES_A_SPACE]
            found[vni] = Space(
                {
                    link["ifname"]: f"{one['local']}/{one['prefixlen']}"
                    for link in json.loads(addresses)
                    for one in link.get("addr_info", ())
                    if one.get("family") == "inet"
                },
                bool(json.loads(routes)),
                forwards == "1",
                rules,
                runs == "1",
            )
        except ValueError:
            found[vni] = Space({}, has_way_out=False, is_forwarding=False, nft="", is_serving=False)
    return found
