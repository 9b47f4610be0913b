"""The out-of-band plane as a component: accounts on BMCs, and routes to them."""

import asyncio
import re
import socket
import ssl
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from gigawatt.boundary.entries import BmcAccount, BmcRoute, Entry
from gigawatt.boundary.names import CLUSTER_SOURCE
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fenced import Entries, HasNoFiles, SeesNoNics
from gigawatt.drivers.redfish.accounts import BmcAccounts
from gigawatt.drivers.redfish.routes import BmcRoutes, Opened, refuses_route
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId, SiteId
from gigawatt.interfaces.driver import Endpoint

USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,15}")
"""What every BMC takes: 16 bytes by IPMI 2.0, section 22.28."""
PROBES_AT_ONCE_MAX = 32
PROBE_S_MAX = 2.5
"""Time of one probe: the kernel sends its first packet again after one second (RFC 6298)."""

Accounts = Mapping[str, BmcAccount]


class OutOfBand(HasNoFiles, SeesNoNics):
    """See ``gigawatt.drivers.fenced.Component``."""

    def __init__(
        self, settings: RedfishSettings, fleet: Fleet, accounts: BmcAccounts, routes: BmcRoutes
    ) -> None:
        """Serve the BMCs and switches of ``settings`` that ``fleet`` has."""
        self._settings = settings
        self._fleet = fleet
        self._accounts = accounts
        self._routes = routes
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Nothing is said in a probe, so it does not matter to whom.
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    @property
    def plane(self) -> Plane:
        """See ``Component.plane``."""
        return Plane.OUT_OF_BAND

    def knows(self, device: DeviceId) -> bool:
        """See ``Component.knows``."""
        kind, _, name = device.partition("/")
        if kind == "bmc":
            known = self._settings.reach.bmcs
            return name in self._fleet.nodes.index_of and NodeId(name) in known
        return kind == "oob" and SiteId(name) in self._settings.switches

    def refuses(
        self, device: DeviceId, held: Entries, wanted: Entries, owners: Mapping[str, ClusterId]
    ) -> str | None:
        """See ``Component.refuses``."""
        del held, owners
        for entry in wanted.values():
            reason = self._refuses_entry(device, entry)
            if reason is not None:
                return reason
        return None

    def refuses_removal(self, device: DeviceId, held: Entries, leaving: Entries) -> str | None:
        """See ``Component.refuses_removal``."""
        del device, held, leaving
        return None

    async def put(
        self, device: DeviceId, held: Entries, wanted: Entries, cluster_id: ClusterId
    ) -> None:
        """See ``Component.put``."""
        del cluster_id
        kind, _, name = device.partition("/")
        if kind == "bmc":
            await self._accounts.put(NodeId(name), _by_username(held), _by_username(wanted))
        else:
            await self._routes.put(SiteId(name), cast("Mapping[str, BmcRoute]", wanted))

    async def take(self, device: DeviceId, leaving: Entries) -> None:
        """See ``Component.take``."""
        kind, _, name = device.partition("/")
        if kind == "bmc":
            await self._accounts.take(NodeId(name), _by_username(leaving))
        else:
            await self._routes.take(SiteId(name), cast("Mapping[str, BmcRoute]", leaving))

    async def look(self, device: DeviceId, noted: Entries) -> Collection[Entry]:
        """See ``Component.look``."""
        kind, _, name = device.partition("/")
        if kind == "bmc":
            return await self._accounts.look(NodeId(name), _by_username(noted))
        return tuple((await self._routes.look(SiteId(name))).routes.values())

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        """From the address of each owner's proxy, by TCP and TLS.

        The owner of a node is the cluster that has a route to its BMC. A "no" counts only from a
        BMC that says yes to the operator.

        Raises:
            DriverRetryableError: a switch or a BMC that nobody reaches.
            DriverPermanentError: a node does not exist.
        """
        sites = {self._site(endpoint.node_id) for pair in pairs for endpoint in pair}
        opened = dict(zip(sites, await asyncio.gather(*map(self._routes.look, sites)), strict=True))
        asked = {
            (proxy, b.node_id)
            for a, b in pairs
            for proxy in self._proxies(opened, a.node_id)
            if self._site(a.node_id) == self._site(b.node_id)
        }
        aimed = {(None, node_id) for _, node_id in asked}
        room = asyncio.Semaphore(PROBES_AT_ONCE_MAX)
        both = [*asked, *aimed]
        said = await asyncio.gather(*(self._reaches(room, *one) for one in both))
        answer = dict(zip(both, said, strict=True))
        deaf = sorted(node_id for _, node_id in aimed if not answer[None, node_id])
        if deaf:
            raise DriverRetryableError(
                f"the operator does not reach the BMC of {', '.join(deaf)}",
                device=DeviceId(f"bmc/{deaf[0]}"),
            )
        return tuple(
            any(answer.get((proxy, b.node_id), False) for proxy in self._proxies(opened, a.node_id))
            for a, b in pairs
        )

    def _refuses_entry(self, device: DeviceId, entry: Entry) -> str | None:
        if isinstance(entry, BmcAccount):
            if entry.username in self._settings.golden_accounts:
                return f"{entry.username} is the operator's own"
            is_name = USERNAME.fullmatch(entry.username) is not None
            return None if is_name else f"{entry.username!r} is no name for an account"
        if not isinstance(entry, BmcRoute):
            return f"{entry.key}: {device} holds no such thing"
        ports = self._settings.switches[entry.site_id].switch_port_of_node
        nodes = [n for n in ports if n in self._fleet.nodes.index_of]
        return refuses_route([n for n in nodes if self._site(n) == entry.site_id], entry)

    def _site(self, node_id: NodeId) -> SiteId:
        row = self._fleet.nodes.index_of.get(node_id)
        if row is None:
            raise DriverPermanentError(f"fleet {self._fleet.name!r} has no node {node_id!r}")
        return SiteId(self._fleet.sites.ids[int(self._fleet.site_of_node[row])])

    def _proxies(self, opened: Mapping[SiteId, Opened], node_id: NodeId) -> frozenset[str]:
        """Addresses of those who own a node."""
        here = opened[self._site(node_id)]
        return frozenset(
            here.proxies[route.source]
            for route in here.routes.values()
            if route.node_id == node_id and route.source.startswith(CLUSTER_SOURCE)
        )

    async def _reaches(self, room: asyncio.Semaphore, proxy: str | None, node_id: NodeId) -> bool:
        bmc = self._settings.reach.bmcs[node_id]
        own = None if proxy is None else (proxy, 0)
        async with room:
            try:
                async with asyncio.timeout(PROBE_S_MAX):
                    _, writer = await asyncio.open_connection(
                        str(bmc.ipv4),
                        bmc.tcp_port,
                        ssl=self._tls,
                        local_addr=own,
                        family=socket.AF_INET,
                    )
            except (OSError, TimeoutError):
                return False
            writer.transport.abort()
            return True


def _by_username(entries: Entries) -> Accounts:
    return {e.username: e for e in entries.values() if isinstance(e, BmcAccount)}
