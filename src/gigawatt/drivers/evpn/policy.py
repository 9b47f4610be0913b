"""What a gateway of one network lets out and in, as one table; and back from it.

Out: to the networks that are named, never to those of clusters and BMCs. In: by rules. Answers
pass while the rule that let the question through is there: each rule marks its connections with a
number of the whole policy, and an answer must bear the present one. So connections end with the
leave for them, and others go on with their next packet.
"""

from ipaddress import IPv4Network
from zlib import crc32

from gigawatt.boundary.entries import Gateway
from gigawatt.drivers.evpn.nft_json import (
    ACCEPT,
    DROP,
    Chain,
    Expression,
    Table,
    Words,
    ct,
    match,
    meta,
    payload,
)
from gigawatt.ids import SiteId
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.networks import INSIDE_NETWORKS

NEAR, FAR = "in", "up"
"""Interfaces of a gateway's namespace: to the network, and to the world."""
POLICY_TABLE = ("inet", "gigawatt")
DNS = 53
DHCP_SERVER = 67
FIXED_RULES = 5
"""Rules of the chain ``forward`` before those of the entry."""


def _prefix(network: IPv4Network) -> object:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _from_to(source: str, sink: str) -> Expression:
    return [match(meta("iifname"), source), match(meta("oifname"), sink)]


def _mark(number: int) -> Words:
    return {"mangle": {"key": ct("mark"), "value": number}}


def _inside() -> dict[str, object]:
    return {"set": [_prefix(network) for network in INSIDE_NETWORKS]}


def egress_expression(cidr: str, number: int) -> Expression:
    """Leave to go out to one network."""
    return [
        *_from_to(NEAR, FAR),
        match(ct("direction"), "original"),
        match(payload("ip", "daddr"), _prefix(IPv4Network(cidr))),
        _mark(number),
        ACCEPT,
    ]


def inbound_expression(rule: InboundRule, subnet: IPv4Network, number: int) -> Expression:
    """Leave for one kind of traffic to come in."""
    words = [
        *_from_to(FAR, NEAR),
        match(ct("direction"), "original"),
        match(payload("ip", "saddr"), _prefix(IPv4Network(rule.source_cidr))),
        match(payload("ip", "daddr"), _prefix(subnet)),
    ]
    if rule.port_range is not None:
        words.append(match(payload(rule.protocol, "dport"), {"range": list(rule.port_range)}))
    elif rule.protocol != "all":
        words.append(match(meta("l4proto"), rule.protocol))
    return [*words, _mark(number), ACCEPT]


def inbound_comment(rule: InboundRule) -> str:
    """A rule in one line, such as ``in tcp 22-22 192.0.2.0/24``."""
    ports = "*" if rule.port_range is None else f"{rule.port_range[0]}-{rule.port_range[1]}"
    return f"in {rule.protocol} {ports} {rule.source_cidr}"


def policy_number(gateway: Gateway) -> int:
    """A number of what a gateway lets through, 1 to 2**31 - 1; the same for the same policy."""
    said = [gateway.subnet, *gateway.egress_cidrs, *map(inbound_comment, gateway.inbound_rules)]
    return crc32("\n".join(said).encode()) % (2**31 - 1) + 1


def policy_table(gateway: Gateway) -> Table:
    """The whole table of a gateway's namespace."""
    subnet, number = IPv4Network(gateway.subnet), policy_number(gateway)
    near, far = match(meta("iifname"), NEAR), match(meta("iifname"), FAR)
    ours = match(payload("ip", "saddr"), _prefix(subnet))
    fixed: list[Expression] = [
        [near, match(payload("ip", "saddr"), _prefix(subnet), "!="), DROP],
        [near, match(payload("ip", "daddr"), _inside()), DROP],
        [far, match(payload("ip", "saddr"), _inside()), DROP],
        [far, match(payload("ip", "daddr"), _prefix(subnet), "!="), DROP],
        [match(ct("direction"), "reply"), match(ct("mark"), number), ACCEPT],
    ]
    rules = [("", words) for words in fixed]
    rules += [(f"egress {cidr}", egress_expression(cidr, number)) for cidr in gateway.egress_cidrs]
    rules += [
        (inbound_comment(rule), inbound_expression(rule, subnet, number))
        for rule in gateway.inbound_rules
    ]
    to_self: list[Expression] = [
        [near, match(payload("udp", "dport"), DHCP_SERVER), ACCEPT],
        [near, ours, match(payload("udp", "dport"), DNS), ACCEPT],
        [near, ours, match(payload("tcp", "dport"), DNS), ACCEPT],
        [near, ours, match(payload("icmp", "type"), "echo-request"), ACCEPT],
    ]
    return Table(
        *POLICY_TABLE,
        {
            "forward": Chain("forward", 0, rules),
            "input": Chain("input", 0, [("", words) for words in to_self]),
            "output": Chain("output", 0, [("", [match(meta("oifname"), NEAR), ACCEPT])]),
        },
    )


def _rule_of(comment: str) -> str | InboundRule | None:
    """What a rule's comment says that it is."""
    match comment.split(" "):
        case ["egress", cidr]:
            return cidr
        case ["in", ("tcp" | "udp" | "icmp" | "all") as protocol, ports, source]:
            first, _, last = ports.partition("-")
            if ports == "*":
                return InboundRule(protocol, None, source)
            if first.isdigit() and last.isdigit():
                return InboundRule(protocol, (int(first), int(last)), source)
        case _:
            pass
    return None


def gateway_of_table(site_id: SiteId, vni: int, subnet: str, table: Table | None) -> Gateway:
    """The entry that a namespace's table comes to.

    The comments say how each rule was written; the table must then be, rule by rule, what that
    entry would be loaded as. Where it is not, the entry says so as a way out that is no network,
    which no target has and the proof names.
    """
    if table is None:
        return Gateway(site_id, vni, subnet, ("(everything: there is no table)",))
    said = [
        _rule_of(comment)
        for comment, _ in table.chains.get("forward", Chain("", 0)).rules[FIXED_RULES:]
    ]
    gateway = Gateway(
        site_id,
        vni,
        subnet,
        tuple(one for one in said if isinstance(one, str)),
        tuple(one for one in said if isinstance(one, InboundRule)),
    )
    try:
        is_so = policy_table(gateway).skeleton() == table.skeleton()
    except ValueError:
        is_so = False
    if is_so:
        return gateway
    return Gateway(site_id, vni, subnet, (*gateway.egress_cidrs, "(rules that are not ours)"))


def uplink_table(uplink: str) -> Table:
    """The table of the gateway's own namespace: from legs to the uplink and back, nowhere else."""
    legs, world = match(meta("iifname"), f"{FAR}*"), match(meta("iifname"), uplink)
    return Table(
        *POLICY_TABLE,
        {
            "forward": Chain(
                "forward",
                0,
                [
                    ("", [legs, match(meta("oifname"), uplink), ACCEPT]),
                    ("", [world, match(meta("oifname"), f"{FAR}*"), ACCEPT]),
                ],
            ),
            "input": Chain("input", 0, [("", [legs, DROP]), ("", [world, DROP])], policy="accept"),
            "nat": Chain(
                "postrouting",
                100,
                [("", [match(meta("oifname"), uplink), {"masquerade": None}])],
                kind="nat",
                policy="accept",
            ),
        },
    )
