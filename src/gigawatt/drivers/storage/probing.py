"""Who can mount whose files: tried with real mounts, for the network that a host is in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gigawatt.drivers.storage.engine import PoolEngine, PoolState
from gigawatt.drivers.storage.networks import Networks
from gigawatt.drivers.storage.rules import is_shareable
from gigawatt.errors import DriverPermanentError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId
from gigawatt.interfaces.driver import Endpoint


@dataclass
class Prober:
    """One run of probes; pools and ports are read once in it."""

    fleet: Fleet
    engines: Mapping[DeviceId, PoolEngine]
    networks: Networks
    _states: dict[DeviceId, PoolState] = field(default_factory=dict)
    _vnis: dict[Endpoint, int | None] = field(default_factory=dict)

    async def reaches(self, a: Endpoint, b: Endpoint) -> bool:
        """Whether ``a`` can mount what the cluster of ``b`` has or mounts.

        Hosts of one network are of one cluster: then all of it, otherwise any of it.

        Raises:
            DriverRetryableError: a port or a pool does not answer.
            DriverPermanentError: a node does not exist.
        """
        site_a, site_b = self._site(a), self._site(b)
        vni_a, vni_b = await self._vni(a), await self._vni(b)
        if vni_a is None or vni_b is None:
            return False
        is_one = site_a == site_b and vni_a == vni_b
        is_all, is_any = True, False
        for device in self._pools_of(site_b):
            theirs = _of_network(await self._state(device), vni_b)
            within = frozenset[int]()
            if theirs and site_a == site_b:
                within = await self.engines[device].mountable(vni_a, theirs)
            is_all &= theirs <= within
            is_any |= bool(theirs & within)
        return is_any and (is_all or not is_one)

    def _site(self, endpoint: Endpoint) -> int:
        row = self.fleet.nodes.index_of.get(endpoint.node_id)
        if row is None:
            raise DriverPermanentError(
                f"fleet {self.fleet.name!r} has no node {endpoint.node_id!r}"
            )
        return int(self.fleet.site_of_node[row])

    def _pools_of(self, site: int) -> tuple[DeviceId, ...]:
        pools = self.fleet.storage_pools
        return tuple(
            d for d in self.engines if pools.site[pools.index_of[d.partition("/")[2]]] == site
        )

    async def _vni(self, endpoint: Endpoint) -> int | None:
        if endpoint not in self._vnis:
            self._vnis[endpoint] = await self.networks.vni_of(endpoint)
        return self._vnis[endpoint]

    async def _state(self, device: DeviceId) -> PoolState:
        if device not in self._states:
            self._states[device] = await self.engines[device].read()
        return self._states[device]


def _of_network(state: PoolState, vni: int) -> frozenset[int]:
    """File systems that a network is let into, and all else that their owners have."""
    let_in = {number for number, network in state.exports if network == vni}
    owners = {state.files[n].owner for n in let_in if n in state.files}
    own = {n for n, f in state.files.items() if f.owner in owners and not is_shareable(f.owner)}
    return frozenset(let_in | own)
