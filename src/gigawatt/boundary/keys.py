"""Keys: the numbers that tell one cluster's boundary from another's, and the pools they come from.

A key pool is named ``<class>/<scope>``. Within its scope a key belongs to one cluster at a time.

| key pool | range | what limits it |
|---|---|---|
| p_key/FABRIC | 0x0001 to 0x7FFE | 15 bits; 0 is invalid, 0x7FFF the default (IBA vol. 1, 10.9) |
| compute_vni/FABRIC | 0x800000 to 0xFFFFFE | upper half of 24 bits (RFC 7348) |
| vni/SITE | 0x001000 to 0x7FFFFF | lower half, above the 4,096 VLAN ids that sites map to VNIs |
| subnet/SITE | 0 to 4,095 | the /20 networks of 10.0.0.0/8 |
| filesystem/POOL | 1 to 2**31 - 1 | a positive 32-bit number |

The two ranges of VNIs are disjoint, so a VNI read off a switch says by itself which plane it is of.

Addresses in a /20: host part 0 is the network, 1 the gateway, 2 to 9 are kept for services of the
network (DHCP, DNS, metadata, floating addresses), hosts start at 10, 4,095 is the broadcast.
"""

from collections.abc import Collection, Mapping

from gigawatt.boundary.target import ClusterTarget, Keys
from gigawatt.errors import InputError, NoCapacityError
from gigawatt.ids import FabricId, KeyPoolId, SiteId, StoragePoolId

P_KEYS_PER_SWITCH_PORT_MAX = 64
"""P_Keys one port holds: OpenSM logs "Pkey table is full" and silently leaves out the rest.

Source: measured with opensm 3.3.23 on ibsim (a node in 70 partitions got 64); the smallest table
that adapters and switches offer.
"""

COOL_DOWN_S = 600.0
"""Seconds a key rests after every device was observed without it.

Long enough that a write which was on its way when the key was freed has landed or died: more than
twenty sweeps of a subnet manager with 10,000 ports (17 to 25 s, measured with opensm 3.3.23 on
ibsim). Short enough that the smallest pool, 4,096 subnets, still turns over 6 clusters a second.
"""

PREFIX_LENGTH = 20
"""Prefix length of an in-band network: 4,096 addresses."""
HOST_OFFSET = 10
"""Host part of the address of host 0."""
HOST_INDEX_MAX = (1 << (32 - PREFIX_LENGTH)) - 2 - HOST_OFFSET
"""Highest host index with an address: 4,084."""

_RANGES = {
    "p_key": range(0x0001, 0x7FFF),
    "compute_vni": range(0x80_0000, 0xFF_FFFF),
    "vni": range(0x1000, 0x80_0000),
    "subnet": range(1 << (PREFIX_LENGTH - 8)),
    "filesystem": range(1, 1 << 31),
}
_NETWORK = 10 << 24


def key_range(pool_id: KeyPoolId) -> range:
    """Keys of one pool, free or not, ascending.

    Raises:
        InputError: the pool's class is not known.

    Example:
        >>> key_range(KeyPoolId("subnet/site-a"))
        range(0, 4096)
    """
    name, _, scope = pool_id.partition("/")
    if name not in _RANGES or not scope:
        raise InputError(
            f"key pool {pool_id!r} is not known, wanted CLASS/SCOPE with a class of "
            + ", ".join(_RANGES)
        )
    return _RANGES[name]


def _lowest_free(taken: Mapping[KeyPoolId, Collection[int]], pool_id: KeyPoolId) -> int:
    """Lowest key of the pool that is not taken."""
    keys = key_range(pool_id)
    used = frozenset(taken.get(pool_id, ()))
    for key in keys:
        if key not in used:
            return key
    raise NoCapacityError(
        f"key pool {pool_id!r} is exhausted: all {len(keys):,} keys are held or cooling",
        reasons=(f"released keys come back {COOL_DOWN_S:.0f} s after they were observed gone",),
    )


def take_keys(
    taken: Mapping[KeyPoolId, Collection[int]],
    *,
    fabric_id: FabricId,
    is_infiniband: bool,
    site_id: SiteId,
    pool_id: StoragePoolId | None,
) -> Keys:
    """Lowest free key of every pool that one new cluster draws from; the same for the same input.

    Args:
        taken: keys that are held, under a tombstone or cooling, by key pool.
        fabric_id: compute fabric of the cluster.
        is_infiniband: whether that fabric is fenced by P_Keys (else by VNIs).
        site_id: site of the cluster.
        pool_id: storage pool of its file system, None for no file system.

    Raises:
        NoCapacityError: a pool has no free key; the message names the pool.
    """
    fabric_pool = KeyPoolId(f"{'p_key' if is_infiniband else 'compute_vni'}/{fabric_id}")
    fabric_key = _lowest_free(taken, fabric_pool)
    return Keys(
        p_key=fabric_key if is_infiniband else None,
        compute_vni=None if is_infiniband else fabric_key,
        vni=_lowest_free(taken, KeyPoolId(f"vni/{site_id}")),
        subnet=_lowest_free(taken, KeyPoolId(f"subnet/{site_id}")),
        filesystem=(
            None if pool_id is None else _lowest_free(taken, KeyPoolId(f"filesystem/{pool_id}"))
        ),
    )


def take_filesystem(taken: Mapping[KeyPoolId, Collection[int]], pool_id: StoragePoolId) -> Keys:
    """The lowest free key for one file system that outlives clusters, and no other key.

    Raises:
        NoCapacityError: the pool has no free key.
    """
    number = _lowest_free(taken, KeyPoolId(f"filesystem/{pool_id}"))
    return Keys(p_key=None, compute_vni=None, vni=None, subnet=None, filesystem=number)


def keys_of(target: ClusterTarget) -> tuple[tuple[KeyPoolId, int], ...]:
    """Every key that a target holds, with its pool; fabric first, storage last."""
    keys = target.keys
    held = (
        (f"p_key/{target.fabric_id}", keys.p_key),
        (f"compute_vni/{target.fabric_id}", keys.compute_vni),
        (f"vni/{target.site_id}", keys.vni),
        (f"subnet/{target.site_id}", keys.subnet),
        (f"filesystem/{target.pool_id}", keys.filesystem),
    )
    return tuple((KeyPoolId(name), key) for name, key in held if key is not None)


def _dotted(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def subnet_of(index: int) -> str:
    """In-band network number ``index`` (0 to 4,095) as ``a.b.c.0/20``.

    Raises:
        InputError: no such network.

    Example:
        >>> subnet_of(17)
        '10.1.16.0/20'
    """
    if index not in _RANGES["subnet"]:
        raise InputError(f"in-band network {index} does not exist, wanted 0 to 4,095")
    return f"{_dotted(_NETWORK + (index << (32 - PREFIX_LENGTH)))}/{PREFIX_LENGTH}"


def gateway_of(subnet: str) -> str:
    """Address of the gateway in ``subnet`` (see ``subnet_of``), without prefix.

    Example:
        >>> gateway_of("10.1.16.0/20")
        '10.1.16.1'
    """
    a, b, c, d = (int(octet) for octet in subnet.partition("/")[0].split("."))
    return _dotted((a << 24 | b << 16 | c << 8 | d) + 1)


def address_of(subnet: str, host_index: int) -> str:
    """Address of host ``host_index`` (0 to 4,084) in ``subnet`` (see ``subnet_of``), with prefix.

    Raises:
        NoCapacityError: the network has no such host address.

    Example:
        >>> address_of("10.1.16.0/20", 4_000)
        '10.1.31.170/20'
    """
    if not 0 <= host_index <= HOST_INDEX_MAX:
        raise NoCapacityError(
            f"network {subnet} has no address for host {host_index}, "
            f"wanted 0 to {HOST_INDEX_MAX:,}",
            reasons=("a cluster lives in one /20 network and a host keeps its index for life",),
        )
    network, _, length = subnet.partition("/")
    a, b, c, d = (int(octet) for octet in network.split("."))
    base = a << 24 | b << 16 | c << 8 | d
    return f"{_dotted(base + HOST_OFFSET + host_index)}/{length}"
