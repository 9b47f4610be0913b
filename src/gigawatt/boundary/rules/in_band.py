"""Rules of the in-band network: VNIs, addresses, gateways."""

from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

from gigawatt.boundary.entries import Gateway
from gigawatt.boundary.keys import HOST_INDEX_MAX, address_of, subnet_of
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.boundary.target import ClusterTarget
from gigawatt.ids import DeviceId, SiteId
from gigawatt.intent.firewall import InboundRule, rule_complaint
from gigawatt.intent.networks import INSIDE_NETWORKS


def network_of(text: str) -> IPv4Network | None:
    """A network as a value, None where the text is not one."""
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def subnet_text(target: ClusterTarget) -> str:
    """In-band network of a target as ``a.b.c.0/20``, empty for a file system."""
    return "" if target.keys.subnet is None else subnet_of(target.keys.subnet)


def find_shared_network(case: Case) -> Iterator[Finding]:
    """In-band ports in a VNI that another cluster holds: one layer 2 for two clusters."""
    holdings = case.holdings
    for site_id, vni, holders, ports in case.held_networks():
        for port in ports if holders else ():
            holder = holdings.slot_holders.get((port.node_id, port.slot))
            if holder is not None and holder[0] not in holders:
                yield Finding(
                    (*holders, holder[0]),
                    port.device,
                    port.node_id,
                    f"slot {port.slot} of node {port.node_id} ({case.name(holder[0])}) is in VNI "
                    f"{vni} of site {site_id}, which {case.names(holders)} holds",
                )


def find_stray_address(case: Case) -> Iterator[Finding]:
    """Ports in their own network with another address than their target gives them."""
    holdings = case.holdings
    for _, _, holders, ports in case.held_networks():
        for port in ports:
            holder = holdings.slot_holders.get((port.node_id, port.slot))
            if holder is None or holder[0] not in holders:
                continue
            cluster, member = holder
            subnet = subnet_text(holdings.targets[cluster])
            wanted = (
                address_of(subnet, member.host_index)
                if 0 <= member.host_index <= HOST_INDEX_MAX
                else f"none, {subnet} has no host {member.host_index}"
            )
            if port.ipv4 != wanted:
                yield Finding(
                    (cluster,),
                    port.device,
                    port.node_id,
                    f"slot {port.slot} of node {port.node_id} ({case.name(cluster)}) has address "
                    f"{port.ipv4}, wanted {wanted}",
                )


def find_same_address(case: Case) -> Iterator[Finding]:
    """Two members of one cluster with one host index, so with one address."""
    for cluster, target in enumerate(case.holdings.targets):
        first: dict[int, str] = {}
        for member in target.members:
            other = first.setdefault(member.host_index, member.node_id)
            if other != member.node_id:
                yield Finding(
                    (cluster,),
                    DeviceId(f"port/{member.node_id}"),
                    member.node_id,
                    f"nodes {other} and {member.node_id} of {case.name(cluster)} both have host "
                    f"index {member.host_index}, so one address",
                )


def overlapping_gateways(gateways: Iterable[Gateway]) -> Iterator[tuple[Gateway, Gateway]]:
    """Pairs of gateways of one site whose subnets overlap; at least one pair per overlap.

    Sorted by first address, a subnet overlaps an earlier one exactly if it overlaps the one
    that reaches farthest, so one pass decides all pairs.
    """
    spans = [
        (gateway.site_id, int(network[0]), int(network[-1]), gateway)
        for gateway in gateways
        if (network := network_of(gateway.subnet)) is not None
    ]
    spans.sort(key=lambda span: (span[0], span[1], span[2], span[3].vni))
    farthest: tuple[SiteId, int, Gateway] | None = None
    for site_id, first, last, gateway in spans:
        if farthest is not None and farthest[0] == site_id and first <= farthest[1]:
            other = farthest[2]
            if (other.vni, other.subnet) != (gateway.vni, gateway.subnet):
                yield other, gateway
        if farthest is None or farthest[0] != site_id or last > farthest[1]:
            farthest = (site_id, last, gateway)


def find_overlapping_subnet(case: Case) -> Iterator[Finding]:
    """Gateways of one site whose subnets overlap."""
    for one, other in overlapping_gateways(case.gateways):
        clusters = [
            cluster
            for vni in (one.vni, other.vni)
            for cluster in case.holdings.of_vni(one.site_id, vni)
        ]
        yield Finding(
            tuple(dict.fromkeys(clusters)),
            other.device,
            None,
            f"subnet {other.subnet} of VNI {other.vni} at site {other.site_id} overlaps "
            f"{one.subnet} of VNI {one.vni} ({case.names(clusters)})",
        )


def find_foreign_gateway(case: Case) -> Iterator[Finding]:
    """Gateways of a VNI with another subnet than its cluster's."""
    holdings = case.holdings
    for gateway in case.gateways:
        holders = holdings.of_vni(gateway.site_id, gateway.vni)
        subnets = {subnet_text(holdings.targets[c]) for c in holders}
        if not holders or gateway.subnet in subnets:
            continue
        owners = [
            cluster
            for cluster, target in enumerate(holdings.targets)
            if target.site_id == gateway.site_id and subnet_text(target) == gateway.subnet
        ]
        yield Finding(
            tuple(dict.fromkeys(holders + owners)),
            gateway.device,
            None,
            f"the gateway of VNI {gateway.vni} ({case.names(holders)}) serves {gateway.subnet} "
            f"of {case.names(owners)}, wanted {', '.join(sorted(subnets))}",
        )


def is_inside(network: IPv4Network) -> bool:
    """Whether a network lies inside those of clusters and BMCs."""
    return any(network.subnet_of(inside) for inside in INSIDE_NETWORKS)


def _clusters_inside(case: Case, site_id: SiteId, network: IPv4Network) -> list[int]:
    """Clusters with hosts of the site, or with BMCs, in a network."""
    fleet = case.holdings.fleet
    bmc_ipv4 = fleet.nodes.bmc_ipv4
    first, last = int(network[0]), int(network[-1])
    nodes = ((bmc_ipv4 >= first) & (bmc_ipv4 <= last)).nonzero()[0].tolist()
    at_bmc = [c for node in nodes for c in case.holdings.clusters_on(fleet.node_id(node))]
    at_host = [
        cluster
        for cluster, target in enumerate(case.holdings.targets)
        if target.site_id == site_id
        and not target.is_file_system
        and IPv4Network(subnet_text(target)).overlaps(network)
    ]
    return at_host + at_bmc


def find_wide_egress(case: Case) -> Iterator[Finding]:
    """Gateways that let out to more than their target names, or into inside networks."""
    for gateway in case.gateways:
        holders = case.holdings.of_vni(gateway.site_id, gateway.vni)
        named = {cidr for c in holders for cidr in case.holdings.targets[c].egress_cidrs}
        for cidr in gateway.egress_cidrs if holders else ():
            network, reached = network_of(cidr), list[int]()
            if network is None:
                why = "is not an IPv4 network"
            elif is_inside(network):
                reached = _clusters_inside(case, gateway.site_id, network)
                why = f"lies inside the networks of clusters and BMCs ({case.names(reached)})"
            elif cidr not in named:
                why = "is not in the target"
            else:
                continue
            yield Finding(
                tuple(dict.fromkeys(holders + reached)),
                gateway.device,
                None,
                f"the gateway of VNI {gateway.vni} ({case.names(holders)}) lets out to {cidr}, "
                f"which {why}",
            )


def find_wide_ingress(case: Case) -> Iterator[Finding]:
    """Gateways that let in more than their target names, or from inside networks."""
    for gateway in case.gateways:
        holders = case.holdings.of_vni(gateway.site_id, gateway.vni)
        named = {rule for c in holders for rule in case.holdings.targets[c].inbound_rules}
        for rule in gateway.inbound_rules if holders else ():
            network, reached = network_of(rule.source_cidr), list[int]()
            complaint = rule_complaint(rule)
            if network is not None and is_inside(network):
                reached = _clusters_inside(case, gateway.site_id, network)
                why = f"lies inside the networks of clusters and BMCs ({case.names(reached)})"
            elif complaint is not None:
                why = f"is wrong: {complaint}"
            elif rule not in named:
                why = "is not in the target"
            else:
                continue
            yield Finding(
                tuple(dict.fromkeys(holders + reached)),
                gateway.device,
                None,
                f"the gateway of VNI {gateway.vni} ({case.names(holders)}) lets in "
                f"{rule.protocol} from {rule.source_cidr}, which {why}",
            )


def find_in_band_stranger(case: Case) -> Iterator[Finding]:
    """In-band ports and gateways of slots and VNIs that no target holds."""
    holdings = case.holdings
    for site_id, vni, holders, ports in case.held_networks():
        for port in ports:
            holder = holdings.slot_holders.get((port.node_id, port.slot))
            if holders and holder is not None:
                continue
            if port.node_id not in holdings.node_holders and case.is_buried(port):
                continue
            on_node = holdings.clusters_on(port.node_id)
            yield Finding(
                tuple(holders) + on_node if holder is None else (holder[0],),
                port.device,
                port.node_id,
                f"slot {port.slot} of node {port.node_id} ({case.names(on_node)}) is in VNI {vni} "
                f"of site {site_id} ({case.names(holders)}); no target says so",
            )
    for port in case.lost_ports:
        entered = [c for c, t in enumerate(holdings.targets) if t.keys.vni == port.vni]
        yield Finding(
            tuple(entered),
            port.device,
            port.node_id,
            f"{port.device}, which is of no node of the fleet, is in VNI {port.vni} "
            f"({case.names(entered)})",
        )
    for gateway in case.gateways:
        if not holdings.of_vni(gateway.site_id, gateway.vni) and not case.is_buried(gateway):
            yield Finding(
                (),
                gateway.device,
                None,
                f"site {gateway.site_id} has a gateway for VNI {gateway.vni}, subnet "
                f"{gateway.subnet}, which no target holds",
            )


def find_missing_network_entry(case: Case) -> Iterator[Finding]:
    """Members without a port in their own network, and networks without their gateway."""
    holdings = case.holdings
    for (node_id, slot), (cluster, _) in holdings.slot_holders.items():
        if (node_id, slot) not in case.closed_slots:
            yield Finding(
                (cluster,),
                DeviceId(f"port/{node_id}"),
                node_id,
                f"slot {slot} of node {node_id} is not in the in-band network of "
                f"{case.name(cluster)}",
            )
    yield from _missing_gateways(case)


def _missing_gateways(case: Case) -> Iterator[Finding]:
    """Networks without their gateway, or whose gateway lets out or in less than it should."""
    found: dict[tuple[SiteId, int | None], set[str | InboundRule]] = {}
    for gateway in case.gateways:
        open_ways = found.setdefault((gateway.site_id, gateway.vni), set())
        open_ways.update(gateway.egress_cidrs, gateway.inbound_rules)
    for cluster, target in enumerate(case.holdings.targets):
        if target.is_file_system:
            continue
        ways = found.get((target.site_id, target.keys.vni))
        lacking = [cidr for cidr in target.egress_cidrs if cidr not in (ways or ())]
        shut = [rule for rule in target.inbound_rules if rule not in (ways or ())]
        if ways is None or lacking or shut:
            yield Finding(
                (cluster,),
                DeviceId(f"gateway/{target.site_id}"),
                None,
                f"the network of {case.name(cluster)} has no gateway"
                + (f" to {', '.join(sorted(lacking))}" if lacking else "")
                + (f" for {len(shut)} inbound rules" if shut else ""),
            )


_IN_BAND = Plane.IN_BAND
IN_BAND_RULES = (
    Rule(
        "shared_network",
        _IN_BAND,
        "isolation",
        "One layer 2 for two clusters: ARP spoofing, rogue DHCP, traffic capture.",
        find_shared_network,
    ),
    Rule(
        "stray_address",
        _IN_BAND,
        "isolation",
        "A host that takes its neighbour's or the gateway's address takes its packets.",
        find_stray_address,
    ),
    Rule(
        "same_address",
        _IN_BAND,
        "connection",
        "Two hosts of one cluster answer for one address.",
        find_same_address,
    ),
    Rule(
        "overlapping_subnet",
        _IN_BAND,
        "isolation",
        "Overlapping subnets at one gateway: answers to one tenant are routed to another.",
        find_overlapping_subnet,
    ),
    Rule(
        "foreign_gateway",
        _IN_BAND,
        "isolation",
        "A gateway leg of one cluster's subnet in another cluster's VNI routes between them.",
        find_foreign_gateway,
    ),
    Rule(
        "wide_egress",
        _IN_BAND,
        "isolation",
        "Egress that was not granted leaks data; egress to the inside reaches tenants and BMCs.",
        find_wide_egress,
    ),
    Rule(
        "wide_ingress",
        _IN_BAND,
        "isolation",
        "A way in that was not granted: scans, guessed passwords, or another tenant's hosts.",
        find_wide_ingress,
    ),
    Rule(
        "in_band_stranger",
        _IN_BAND,
        "isolation",
        "A port or gateway outside every target: planted, or left over by a removal.",
        find_in_band_stranger,
    ),
    Rule(
        "missing_network_entry",
        _IN_BAND,
        "connection",
        "A host that cannot be reached by its cluster, or a cluster without its way out.",
        find_missing_network_entry,
    ),
)
