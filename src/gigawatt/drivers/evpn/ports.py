"""Access ports: which network each is in, with which address, and nothing else through it.

The alias of an interface says what was asked of it (``gigawatt VNI ADDRESS``); the bridge that it
is in, the rules of the switch and FRR say what is so. A port without an entry is in no bridge,
switched off and without an alias.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface

from gigawatt.drivers.evpn.access import Leave, access_table, leaves_in, table_name
from gigawatt.drivers.evpn.nft_json import Table, loading
from gigawatt.drivers.evpn.reach import fed, nft
from gigawatt.drivers.evpn.segments import ALIAS, bridge_name, opened, vni_of
from gigawatt.drivers.evpn.settings import PortSettings
from gigawatt.drivers.evpn.switch import Switch, SwitchState
from gigawatt.errors import DriverError
from gigawatt.ids import DeviceId

NO_ADDRESS = "-"
"""What stands in the alias of a port that has no address."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a port is. Fields: address is ``a.b.c.d/len``, or ``-`` on a plane without any."""

    vni: int
    address: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a port. Fields: fault says why it does not work; empty when it does."""

    place: Place
    fault: str = ""


class PortsOfSwitch:
    """The access ports of one plane on one switch."""

    def __init__(self, plane: str, switch: Switch, ports: Mapping[str, PortSettings]) -> None:
        """Look after ``ports``, by interface, of ``switch``."""
        self._plane = plane
        self.switch = switch
        self._ports = ports

    async def put(self, device: DeviceId, places: Mapping[str, Place]) -> None:
        """Give ports, by interface, what they shall have, all or nothing.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: the switch refuses; it is as it was.
        """
        async with self.switch.turn():
            state = await self.switch.look(device)
            before = self._asked(state)
            try:
                await self._change(device, state, {**before, **places}, frozenset(places))
            except DriverError:
                state = await self.switch.look(device)
                await self._change(device, state, before, frozenset(places))
                raise
            await self.switch.announces(device, {place.vni for place in places.values()})

    async def take(self, device: DeviceId, interfaces: frozenset[str]) -> None:
        """Take ports out of their networks; networks without ports go too. Aliases stay.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: the switch refuses.
        """
        async with self.switch.turn():
            state = await self.switch.look(device)
            kept = {k: place for k, place in self._asked(state).items() if k not in interfaces}
            await self._change(device, state, kept, interfaces)

    async def forget(self, device: DeviceId, interfaces: frozenset[str]) -> None:
        """Say at ports that are out that nothing of them is left anywhere.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: the switch refuses.
        """
        lines = [f'link set dev {name} alias ""' for name in sorted(interfaces)]
        async with self.switch.turn():
            await self.switch.apply(device, fed("ip", lines))

    def seen(self, state: SwitchState, interface: str) -> Seen | None:
        """What a port is, None when it holds nothing."""
        links = state.links
        alias, master = links.alias(interface), links.master(interface)
        address = alias[1] if len(alias) == 2 else ""
        if master is None:
            asked = int(alias[0]) if len(alias) == 2 and alias[0].isdigit() else 0
            return Seen(Place(asked, address), "is on its way out") if alias else None
        vni = vni_of(master)
        if vni is None:
            return Seen(Place(0, address), f"is in {master}, which is none of ours")
        spoken = self._spoken(state, interface, address)
        return Seen(Place(vni, spoken or address), self._fault(state, interface, vni, spoken))

    def _spoken(self, state: SwitchState, interface: str, address: str) -> str:
        """The address that the rules let the port speak with; empty when they are not in order."""
        table = state.tables.get(("bridge", table_name(self._plane)))
        if table is None or not self._is_ours(table):
            return ""
        mac, found = self._ports[interface].mac, leaves_in(table).get(interface, set())
        if address == NO_ADDRESS:
            return address if found == {Leave(mac, None)} else ""
        spoken = [leave.ipv4 for leave in found if leave.ipv4 is not None]
        if len(spoken) != 1 or found != {Leave(mac, None), Leave(mac, spoken[0])}:
            return ""
        return f"{spoken[0]}/{address.partition('/')[2]}"

    def _is_ours(self, table: Table) -> bool:
        wanted = access_table(self._plane, frozenset(self._ports), {})
        managed = set(map(str, table.sets.get("managed", ("", ()))[1]))
        return table.skeleton() == wanted.skeleton() and managed == set(self._ports)

    def _is_same(self, known: Table, table: Table) -> bool:
        return self._is_ours(known) and leaves_in(known) == leaves_in(table)

    def _fault(self, state: SwitchState, interface: str, vni: int, spoken: str) -> str:
        if not spoken:
            return f"rules of {self.switch.name} for {interface} are not as they were loaded"
        if not state.links.is_up(interface):
            return f"{interface} of {self.switch.name} is switched off"
        complaint = self.switch.wiring.complaint(vni, state.links)
        if complaint:
            return f"{complaint} on {self.switch.name}"
        if state.announced is not None and vni not in state.announced:
            return f"FRR of {self.switch.name} does not announce VNI {vni}"
        return ""

    def _asked(self, state: SwitchState) -> dict[str, Place]:
        """What was last asked of the ports that are in a network."""
        found: dict[str, Place] = {}
        for name in self._ports:
            alias, vni = state.links.alias(name), vni_of(state.links.master(name))
            if vni is not None and len(alias) == 2 and _is_address(alias[1]):
                found[name] = Place(vni, alias[1])
        return found

    async def _change(
        self,
        device: DeviceId,
        state: SwitchState,
        after: Mapping[str, Place],
        touched: frozenset[str],
    ) -> None:
        """Close what leaves or moves, load the rules of all, then open; in this order."""
        links, wiring = state.links, self.switch.wiring
        wanted = {name: after[name] for name in sorted(touched) if name in after}
        fresh = {place.vni for place in wanted.values()}
        moved = frozenset(
            name
            for name in touched
            if name not in wanted or links.master(name) != bridge_name(wanted[name].vni)
        )
        close = [f"link set dev {name} nomaster down" for name in sorted(moved)]
        for name, place in wanted.items():
            close.append(f'link set dev {name} alias "{ALIAS} {place.vni} {place.address}"')
        old = {vni for name in moved if (vni := vni_of(links.master(name))) is not None}
        for vni in sorted(old - fresh):
            close += wiring.down(vni, links, moved)
        open_lines, rows = list[str](), list[str]()
        for vni in sorted(fresh):
            lines, flood = wiring.up(vni, links)
            open_lines += lines
            rows += flood
        for name, place in wanted.items():
            open_lines += opened(name, bridge_name(place.vni))
        table = self._table(after)
        known = state.tables.get((table.family, table.name))
        rules = "" if known is not None and self._is_same(known, table) else nft(loading(table))
        opening = (fed("ip", open_lines), fed("bridge", rows))
        await self.switch.apply(device, fed("ip", close), rules, *opening)

    def _table(self, after: Mapping[str, Place]) -> Table:
        leaves = {
            name: Leave(
                self._ports[name].mac,
                None if place.address == NO_ADDRESS else str(IPv4Interface(place.address).ip),
            )
            for name, place in after.items()
        }
        return access_table(self._plane, frozenset(self._ports), leaves)


def _is_address(text: str) -> bool:
    try:
        return text == NO_ADDRESS or bool(IPv4Interface(text))
    except ValueError:
        return False
