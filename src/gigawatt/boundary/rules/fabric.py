"""Rules of the compute fabric: partitions, memberships, VNIs and switch ports."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gigawatt.boundary.entries import DEFAULT_P_KEY, ComputePort, PartitionMember
from gigawatt.boundary.holdings import FREE
from gigawatt.boundary.keys import P_KEYS_PER_SWITCH_PORT_MAX
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule, is_full
from gigawatt.ids import DeviceId, FabricId


def _port(case: Case, guid: int) -> str:
    node_id = case.holdings.node_of_guid(guid)
    return f"port {guid:#018x} of " + (f"node {node_id}" if node_id else "no node of the fleet")


def find_default_full(case: Case) -> Iterator[Finding]:
    """Full members of the default partition: each talks to every port of its fabric."""
    for (_, p_key), members in case.ib_partitions.items():
        if p_key != DEFAULT_P_KEY:
            continue
        for member in members:
            if is_full(member):
                cluster = case.holdings.cluster_of_guid(member.guid)
                yield Finding(
                    () if cluster == FREE else (cluster,),
                    member.device,
                    case.holdings.node_of_guid(member.guid),
                    f"{_port(case, member.guid)} ({case.name(cluster)}) is a full member of the "
                    f"default partition of fabric {member.fabric_id} and reaches every port on it",
                )


def find_shared_partition(case: Case) -> Iterator[Finding]:
    """Ports in a partition that another cluster holds."""
    cluster_of_guid = case.holdings.cluster_of_guid
    for fabric_id, p_key, holders, members in case.held_partitions():
        for member in members if holders else ():
            cluster = cluster_of_guid(member.guid)
            if cluster != FREE and cluster not in holders:
                yield Finding(
                    (*holders, cluster),
                    member.device,
                    case.holdings.node_of_guid(member.guid),
                    f"{_port(case, member.guid)} ({case.name(cluster)}) is a {member.membership} "
                    f"member of partition {p_key:#06x} of fabric {fabric_id}, which "
                    f"{case.names(holders)} holds",
                )


def find_shared_compute_vni(case: Case) -> Iterator[Finding]:
    """Compute ports in a VNI that another cluster holds."""
    cluster_of_guid = case.holdings.cluster_of_guid
    for fabric_id, vni, holders, ports in case.held_compute_networks():
        for port in ports if holders else ():
            cluster = cluster_of_guid(port.guid)
            if cluster != FREE and cluster not in holders:
                yield Finding(
                    (*holders, cluster),
                    port.device,
                    case.holdings.node_of_guid(port.guid),
                    f"{_port(case, port.guid)} ({case.name(cluster)}) is in VNI {vni} of fabric "
                    f"{fabric_id}, which {case.names(holders)} holds",
                )


def _keys_by_guid(case: Case) -> dict[int, set[tuple[FabricId, int]]]:
    """Partitions and VNIs of every port that is in two or more; the default partition apart."""
    first: dict[int, tuple[FabricId, int]] = {}
    several: defaultdict[int, set[tuple[FabricId, int]]] = defaultdict(set)
    for groups in (case.ib_partitions, case.compute_networks):
        for key, ports in groups.items():
            if groups is case.ib_partitions and key[1] == DEFAULT_P_KEY:
                continue
            for port in ports:
                known = first.setdefault(port.guid, key)
                if known != key:
                    several[port.guid].update((known, key))
    return dict(several)


def find_two_partitions(case: Case) -> Iterator[Finding]:
    """Ports in two partitions or VNIs: a bridge between them."""
    for guid, keys in _keys_by_guid(case).items():
        fabric_id, is_p_key = min(keys)[0], max(key for _, key in keys) < 0x8000
        holders = [
            cluster
            for fabric, key in sorted(keys)
            for pool_class in ("p_key", "compute_vni")
            for cluster in case.holdings.of_key(pool_class, fabric, key)
        ]
        own = case.holdings.cluster_of_guid(guid)
        involved = [own] if own != FREE else []
        listed = ", ".join(f"{key:#06x}" if is_p_key else str(key) for _, key in sorted(keys)[:4])
        yield Finding(
            tuple(dict.fromkeys(involved + holders)),
            DeviceId(f"fabric/{fabric_id}"),
            case.holdings.node_of_guid(guid),
            f"{_port(case, guid)} ({case.name(own)}) is in {len(keys)} "
            f"{'partitions' if is_p_key else 'VNIs'} ({listed}) of {case.names(holders)}, "
            "and joins them",
        )


def find_full_p_key_table(case: Case) -> Iterator[Finding]:
    """Ports whose P_Key table overflows; the subnet manager then leaves keys out silently."""
    for guid, keys in _keys_by_guid(case).items():
        count = len(keys) + 1  # the default partition takes one place on every port
        if count > P_KEYS_PER_SWITCH_PORT_MAX:
            cluster = case.holdings.cluster_of_guid(guid)
            yield Finding(
                () if cluster == FREE else (cluster,),
                DeviceId(f"fabric/{min(keys)[0]}"),
                case.holdings.node_of_guid(guid),
                f"{_port(case, guid)} ({case.name(cluster)}) needs {count} P_Keys, "
                f"its table holds {P_KEYS_PER_SWITCH_PORT_MAX}",
            )


def find_p_key_out_of_range(case: Case) -> Iterator[Finding]:
    """Entries whose P_Key is not a 15-bit number above 0."""
    for members in case.ib_partitions.values():
        for member in members:
            if not 0 < member.p_key <= DEFAULT_P_KEY:
                cluster = case.holdings.cluster_of_guid(member.guid)
                yield Finding(
                    () if cluster == FREE else (cluster,),
                    member.device,
                    case.holdings.node_of_guid(member.guid),
                    f"{_port(case, member.guid)} ({case.name(cluster)}) is in partition "
                    f"{member.p_key:#06x}, wanted 0x0001 to 0x7fff",
                )


def find_limited_member(case: Case) -> Iterator[Finding]:
    """Limited members of their own partition: two of them cannot talk."""
    for fabric_id, p_key, holders, members in case.held_partitions():
        for member in members:
            if not is_full(member):
                cluster = case.holdings.cluster_of_guid(member.guid)
                if cluster in holders:
                    yield Finding(
                        (cluster,),
                        member.device,
                        case.holdings.node_of_guid(member.guid),
                        f"{_port(case, member.guid)} ({case.name(cluster)}) is a limited member "
                        f"of its own partition {p_key:#06x} of fabric {fabric_id}; two limited "
                        "members cannot talk",
                    )


def _strangers(
    case: Case, key: str, holders: list[int], ports: Sequence[PartitionMember | ComputePort]
) -> Iterator[Finding]:
    """Ports of one partition or VNI of which no target knows either the port or the key."""
    for port in ports:
        cluster = case.holdings.cluster_of_guid(port.guid)
        if holders and cluster != FREE:
            continue
        # What is on its way out may still name a free port; on a held port it is a leak.
        if cluster == FREE and case.is_buried(port):
            continue
        yield Finding(
            tuple(holders) if cluster == FREE else (cluster,),
            port.device,
            case.holdings.node_of_guid(port.guid),
            f"{_port(case, port.guid)} ({case.name(cluster)}) is in {key} of fabric "
            f"{port.fabric_id} ({case.names(holders)}); no target says so",
        )


def find_fabric_stranger(case: Case) -> Iterator[Finding]:
    """Ports that no target holds, and partitions and VNIs that no target holds."""
    for _, p_key, holders, members in case.held_partitions():
        yield from _strangers(case, f"partition {p_key:#06x}", holders, members)
    for _, vni, holders, ports in case.held_compute_networks():
        yield from _strangers(case, f"VNI {vni}", holders, ports)


def find_wrong_switch_port(case: Case) -> Iterator[Finding]:
    """NICs that the fabric sees on another switch port than the fleet says."""
    holdings, fleet = case.holdings, case.holdings.fleet
    for location in case.port_locations:
        leaf = fleet.switches.index_of.get(location.switch_id, -1)
        here = fleet.nic_at_switch_port.get((leaf, location.switch_port))
        nic = holdings.nic_of_guid.get(location.guid)
        if nic == here:
            continue
        clusters = {holdings.cluster_of_nic[row] for row in (nic, here) if row is not None}
        place = f"{location.switch_id} switch port {location.switch_port}"
        expected = (
            "no NIC of the fleet"
            if here is None
            else (
                f"{int(fleet.nics.guid[here]):#018x} of node "
                f"{fleet.node_id(int(fleet.nics.node[here]))} "
                f"({case.name(holdings.cluster_of_nic[here])})"
            )
        )
        yield Finding(
            tuple(sorted(clusters - {FREE})),
            DeviceId(f"fabric/{location.fabric_id}"),
            holdings.node_of_guid(location.guid),
            f"{_port(case, location.guid)} "
            f"({case.name(FREE if nic is None else holdings.cluster_of_nic[nic])}) is seen on "
            f"{place}, where {expected} belongs",
        )


def find_unseen_nic(case: Case) -> Iterator[Finding]:
    """Held NICs that their fabric does not see, where the fabric said what it sees."""
    if case.scope != "read_back" or not case.port_locations:
        return
    holdings, fleet = case.holdings, case.holdings.fleet
    seen = {location.guid for location in case.port_locations}
    looked = {str(location.fabric_id) for location in case.port_locations}
    nodes = fleet.nics.node.tolist()
    for nic, guid in enumerate(fleet.nics.guid.tolist()):
        cluster = holdings.cluster_of_nic[nic]
        if cluster == FREE or guid in seen:
            continue
        fabric_id = holdings.targets[cluster].fabric_id
        if fabric_id in looked:
            yield Finding(
                (cluster,),
                DeviceId(f"fabric/{fabric_id}"),
                fleet.node_id(nodes[nic]),
                f"{_port(case, guid)} ({case.name(cluster)}) is not seen on fabric {fabric_id}",
            )


def find_off_fabric(case: Case) -> Iterator[Finding]:
    """Members of a cluster that hang on another fabric than the cluster's."""
    fleet = case.holdings.fleet
    fabric_of_node = fleet.fabric_of_node.tolist()
    for cluster, target in enumerate(case.holdings.targets):
        wanted = fleet.fabrics.index_of.get(target.fabric_id, -1)
        for member in target.members:
            if fabric_of_node[fleet.node_index(member.node_id)] != wanted:
                yield Finding(
                    (cluster,),
                    DeviceId(f"fabric/{target.fabric_id}"),
                    member.node_id,
                    f"node {member.node_id} of {case.name(cluster)} does not hang on fabric "
                    f"{target.fabric_id}",
                )


def find_missing_fabric_entry(case: Case) -> Iterator[Finding]:
    """Held NICs without an entry in their own cluster's partition or VNI."""
    holdings = case.holdings
    closed = case.closed_nics
    for (node_id, _), nics in holdings.nics_of_slot.items():
        for nic in nics:
            if not closed[nic]:
                cluster = holdings.cluster_of_nic[nic]
                fabric_id = holdings.targets[cluster].fabric_id
                rail = int(holdings.fleet.nics.rail[nic])
                yield Finding(
                    (cluster,),
                    DeviceId(f"fabric/{fabric_id}"),
                    node_id,
                    f"rail {rail} of node {node_id} is not in the partition or VNI of "
                    f"{case.name(cluster)}, so its peers cannot reach it there",
                )


_FABRIC = Plane.FABRIC
FABRIC_RULES = (
    Rule(
        "default_full",
        _FABRIC,
        "isolation",
        "Fail-open: one malformed line makes OpenSM give every port full membership of 0x7fff.",
        find_default_full,
    ),
    Rule(
        "shared_partition",
        _FABRIC,
        "isolation",
        "A tenant's port in another tenant's partition reads its memory by RDMA (ReDMArk).",
        find_shared_partition,
    ),
    Rule(
        "shared_compute_vni",
        _FABRIC,
        "isolation",
        "The same on RoCE: packets are injected into another tenant's queue pairs.",
        find_shared_compute_vni,
    ),
    Rule(
        "two_partitions",
        _FABRIC,
        "isolation",
        "A GUID left in its last tenant's partition, or bound again by a stale worker.",
        find_two_partitions,
    ),
    Rule(
        "full_p_key_table",
        _FABRIC,
        "connection",
        "The subnet manager drops keys past the 64th of a port with no more than a log line.",
        find_full_p_key_table,
    ),
    Rule(
        "p_key_out_of_range",
        _FABRIC,
        "isolation",
        "A P_Key of 0, or one with the membership bit in it, is read as another partition.",
        find_p_key_out_of_range,
    ),
    Rule(
        "limited_member",
        _FABRIC,
        "connection",
        "Members that are limited by default cannot talk to each other: the job hangs at start.",
        find_limited_member,
    ),
    Rule(
        "fabric_stranger",
        _FABRIC,
        "isolation",
        "A port or partition outside every target: planted, or left over by a removal.",
        find_fabric_stranger,
    ),
    Rule(
        "wrong_switch_port",
        _FABRIC,
        "isolation",
        "A spoofed GUID: a host claims another tenant's GUID to enter its partition.",
        find_wrong_switch_port,
    ),
    Rule(
        "unseen_nic",
        _FABRIC,
        "connection",
        "A NIC whose link is down, or moved to a fabric that nobody looks at.",
        find_unseen_nic,
    ),
    Rule(
        "off_fabric",
        _FABRIC,
        "connection",
        "A cluster over two fabrics: partitions do not reach from one to the other.",
        find_off_fabric,
    ),
    Rule(
        "missing_fabric_entry",
        _FABRIC,
        "connection",
        "A port cut off by a truncated line, a full table or a lost step.",
        find_missing_fabric_entry,
    ),
)
