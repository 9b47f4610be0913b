"""Who may reach which BMC: elements of sets at the out-of-band switch, and proxies' addresses.

A cluster's traffic to its BMCs comes from an address of the cluster's own, on the management
node's interface: that is how a switch can tell tenants apart whose proxies are one process. The
switch is the truth about which address is whose; no file of ours repeats it.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Network

from gigawatt.boundary.entries import BmcRoute
from gigawatt.boundary.names import BMC_SOURCE, CLUSTER_SOURCE, cluster_source_of
from gigawatt.drivers.redfish.command import run_command
from gigawatt.drivers.redfish.ruleset import (
    ALLOW,
    FAMILY,
    TABLE,
    ForeignRulesetError,
    SwitchPlan,
    Way,
)
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId, NodeId, SiteId

ADDRESS_SOURCE = "address:"
"""Prefix of the source of a way that is nobody's proxy's: opened by somebody else, or half."""

Routes = Mapping[str, BmcRoute]
"""Routes by key."""


@dataclass(frozen=True)
class Opened:
    """What a switch has now.

    Fields: ways of each route, by its key; proxies is the address of each cluster source.
    """

    routes: Routes
    ways: Mapping[str, Collection[Way]]
    proxies: Mapping[str, str]


class BmcRoutes:
    """Routes at the switches of all sites; calls on one switch come one at a time."""

    def __init__(self, settings: RedfishSettings) -> None:
        """Drive the switches of the settings."""
        self._settings = settings
        addresses = {node: str(bmc.ipv4) for node, bmc in settings.reach.bmcs.items()}
        self._plans = {
            site: SwitchPlan(
                switch, {n: addresses[n] for n in switch.switch_port_of_node if n in addresses}
            )
            for site, switch in settings.switches.items()
        }

    async def lay_down(self, site_id: SiteId) -> None:
        """Write the rules, with no way open: whoever was let in is out.

        Raises:
            DriverError: the switch does not take them.
        """
        await self._nft(site_id, "-f", "-", stdin=self._plans[site_id].document())

    async def look(self, site_id: SiteId) -> Opened:
        """What is open, now.

        Raises:
            DriverRetryableError: the switch does not answer, or its rules are not ours: then
                nothing is known about who reaches whom.
        """
        plan, device = self._plans[site_id], DeviceId(f"oob/{site_id}")
        listed = await self._nft(site_id, "list", "table", FAMILY, TABLE)
        try:
            ways = plan.read(json.loads(listed))
            return _opened(site_id, plan, ways, await self._addresses(site_id))
        except (ForeignRulesetError, ValueError) as error:
            raise DriverRetryableError(
                f"{device}: table {TABLE} is not ours: {error}",
                device=device,
                next_step="See who changed it ('nft list table bridge gigawatt_oob'); put the"
                " rules back as docs/lab/out_of_band.md says, then run 'gw reconcile'.",
            ) from error

    async def put(self, site_id: SiteId, wanted: Routes) -> None:
        """Open routes, all in one transaction of the switch.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the routes are as they were.
        """
        plan, opened = self._plans[site_id], await self.look(site_id)
        proxies = dict(opened.proxies)
        taken = set(await self._addresses(site_id))
        for source in sorted({route.source for route in wanted.values()}):
            if source not in proxies:
                network = IPv4Network(plan.switch.proxy_network)
                proxies[source] = _free_address(source, network, taken)
                taken.add(proxies[source])
        added = [
            way
            for route in wanted.values()
            for way in plan.ways(route.source, proxies[route.source], route.node_id)
        ]
        words = plan.switch.ip, plan.switch.proxy_interface
        for source in {route.source for route in wanted.values()}:
            await self._ip(site_id, "replace", f"{proxies[source]}/32", words)
        await self._change(site_id, "add", added)
        lacking = wanted.keys() - (await self.look(site_id)).routes.keys()
        if lacking:
            raise DriverRetryableError(
                f"oob/{site_id}: took {', '.join(sorted(lacking))} and does not have it"
            )

    async def take(self, site_id: SiteId, leaving: Routes) -> None:
        """Shut routes in one transaction; a proxy without routes loses its address.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        plan, opened = self._plans[site_id], await self.look(site_id)
        ways = [way for key in leaving for way in opened.ways.get(key, ())]
        await self._change(site_id, "delete", ways)
        after = await self.look(site_id)
        left = leaving.keys() & after.routes.keys()
        if left:
            raise DriverRetryableError(
                f"oob/{site_id}: shut {', '.join(sorted(left))} and still has it"
            )
        network = IPv4Network(plan.switch.proxy_network)
        used = {way.source for ways in after.ways.values() for way in ways}
        for address in await self._addresses(site_id):
            is_shut = any(way.source == address for way in ways if way.set_name == ALLOW)
            if is_shut and address not in used and address in map(str, network.hosts()):
                words = plan.switch.ip, plan.switch.proxy_interface
                await self._ip(site_id, "del", f"{address}/32", words)

    async def proxy_address_of(self, site_id: SiteId, cluster_id: ClusterId) -> str | None:
        """Address from which a cluster's proxy must connect; None while it has no route."""
        return (await self.look(site_id)).proxies.get(cluster_source_of(cluster_id))

    async def _change(self, site_id: SiteId, action: str, ways: Iterable[Way]) -> None:
        words = [way.command(action) for way in ways]
        if words:
            await self._nft(site_id, "-f", "-", stdin={"nftables": words})

    async def _nft(self, site_id: SiteId, *words: str, stdin: object = None) -> str:
        switch = self._plans[site_id].switch
        text = "" if stdin is None else json.dumps(stdin)
        return await run_command(
            DeviceId(f"oob/{site_id}"), [*switch.nft, "-j", *words], text, self._wait_s_max
        )

    async def _ip(
        self, site_id: SiteId, action: str, address: str, words: tuple[tuple[str, ...], str]
    ) -> None:
        ip, interface = words
        line = [*ip, "address", action, address, "dev", interface]
        await run_command(DeviceId(f"oob/{site_id}"), line, "", self._wait_s_max)

    async def _addresses(self, site_id: SiteId) -> tuple[str, ...]:
        """Addresses that the proxies' interface has."""
        switch, device = self._plans[site_id].switch, DeviceId(f"oob/{site_id}")
        line = [*switch.ip, "-j", "address", "show", "dev", switch.proxy_interface]
        said = json.loads(await run_command(device, line, "", self._wait_s_max))
        return tuple(
            str(info["local"])
            for interface in said
            for info in interface.get("addr_info", ())
            if info.get("family") == "inet"
        )

    @property
    def _wait_s_max(self) -> float:
        return self._settings.command_s_max


def _opened(
    site_id: SiteId, plan: SwitchPlan, ways: Iterable[Way], addresses: Collection[str]
) -> Opened:
    """What ways mean.

    A route is whole: both ways, one address for one cluster, which the interface has. Whatever
    is left is shown as what it is, under a source that no cluster has.

    Raises:
        ForeignRulesetError: a way leads to no BMC that we know.
    """
    left = set(ways)
    routes: dict[str, BmcRoute] = {}
    of_key: dict[str, list[Way]] = {}
    proxies: dict[str, str] = {}
    for way in sorted(left):
        node_id = plan.node_at(way.destination)
        is_ours = way.set_name == ALLOW and way.comment.startswith(CLUSTER_SOURCE)
        if not is_ours or node_id is None or way.source not in addresses:
            continue
        is_one = proxies.get(way.comment, way.source) == way.source
        is_taken = any(p == way.source and s != way.comment for s, p in proxies.items())
        pair = plan.ways(way.comment, way.source, node_id)
        if is_one and not is_taken and left.issuperset(pair):
            proxies[way.comment] = way.source
            route = BmcRoute(site_id, way.comment, node_id)
            routes[route.key] = route
            of_key[route.key] = list(pair)
    left -= {way for pair in of_key.values() for way in pair}
    for way in left:
        route = _stranger(site_id, plan, way)
        routes[route.key] = route
        of_key.setdefault(route.key, []).append(way)
    return Opened(routes, of_key, proxies)


def _stranger(site_id: SiteId, plan: SwitchPlan, way: Way) -> BmcRoute:
    is_there = way.set_name == ALLOW
    far, near = (way.source, way.destination) if is_there else (way.destination, way.source)
    node_id = plan.node_at(near) or plan.node_at(far)
    if node_id is None:
        raise ForeignRulesetError(f"a way leads from {way.source} to {way.destination}")
    from_node = plan.node_on(way.switch_port) if is_there else None
    source = f"{ADDRESS_SOURCE}{far}" if from_node is None else f"{BMC_SOURCE}{from_node}"
    return BmcRoute(site_id, source, node_id)


def _free_address(source: str, network: IPv4Network, taken: Collection[str]) -> str:
    """An address for a cluster's proxy: from its name, so that one is seldom used again soon.

    Raises:
        DriverPermanentError: all are taken.
    """
    count = network.num_addresses - 2
    start = int.from_bytes(blake2b(source.encode(), digest_size=8).digest())
    for step in range(count):
        address = str(network[1 + (start + step) % count])
        if address not in taken:
            return address
    raise DriverPermanentError(f"{network} has no address for another proxy")


async def proxy_address_of(
    settings: RedfishSettings, site_id: SiteId, cluster_id: ClusterId
) -> str | None:
    """Address from which a cluster's Redfish proxy must connect to the BMCs of a site.

    None while the cluster has no route there: then nothing would be let through.

    Raises:
        DriverRetryableError: the switch does not answer, or its rules are not ours.
    """
    return await BmcRoutes(settings).proxy_address_of(site_id, cluster_id)


def refuses_route(plan_nodes: Collection[NodeId], route: BmcRoute) -> str | None:
    """Why a route cannot be; None if it can."""
    if route.node_id not in plan_nodes:
        return f"{route.site_id} has no BMC of {route.node_id}"
    if not route.source.startswith(CLUSTER_SOURCE) or len(route.source) > SOURCE_LENGTH_MAX:
        return f"{route.source!r} is no cluster's proxy"
    return None


SOURCE_LENGTH_MAX = 128
"""A set element's comment: NFTNL_UDATA_COMMENT_MAXLEN of libnftnl."""
