"""The out-of-band switch's rules: a bridge that drops all but what its sets name.

The kernel's bridge filter keeps no connections, so each way has a rule of its own, and what comes
back from a BMC must not be the beginning of a connection. A port speaks with its own address
only, ARP too, and BMCs are not even asked for each other's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gigawatt.drivers.redfish.settings import OobSwitch
from gigawatt.ids import NodeId

FAMILY, TABLE, CHAIN = "bridge", "gigawatt_oob", "acl"
ALLOW, BACK, BOUND = "allow", "back", "bound"
BMC_TCP_PORTS = (22, 443, 623)
"""Console, Redfish, and IPMI's TCP port; sorted, as nft prints them."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One element of ``allow`` or of ``back``: what may come in at a port, from where to where.

    Fields: comment is the route source that it is for, empty for none.
    """

    set_name: str
    switch_port: str
    source: str
    destination: str
    comment: str = ""

    def command(self, action: str) -> Json:
        """The nft command that adds or deletes it."""
        value: Json = {"concat": [self.switch_port, self.source, self.destination]}
        elem = {"elem": {"val": value, "comment": self.comment}} if self.comment else value
        named = {"family": FAMILY, "table": TABLE, "name": self.set_name}
        return {action: {"element": {**named, "elem": [elem if action == "add" else value]}}}


class ForeignRulesetError(Exception):
    """What a switch has is not what was written."""


@dataclass(frozen=True)
class SwitchPlan:
    """One switch with the addresses of its BMCs."""

    switch: OobSwitch
    address_of_node: Mapping[NodeId, str]

    @property
    def bound(self) -> frozenset[tuple[str, str]]:
        """The one address of each port of a BMC."""
        ports = self.switch.switch_port_of_node
        return frozenset((ports[node], at) for node, at in self.address_of_node.items())

    def node_at(self, address: str) -> NodeId | None:
        """Whose BMC has an address."""
        return next((node for node, at in self.address_of_node.items() if at == address), None)

    def node_on(self, switch_port: str) -> NodeId | None:
        """Whose BMC is plugged into a port."""
        ports = self.switch.switch_port_of_node
        return next((node for node, port in ports.items() if port == switch_port), None)

    def ways(self, source: str, proxy: str, node_id: NodeId) -> tuple[Way, Way]:
        """There and back between a proxy's address and a BMC."""
        management, bmc = self.switch.management_switch_port, self.address_of_node[node_id]
        switch_port = self.switch.switch_port_of_node[node_id]
        return (
            Way(ALLOW, management, proxy, bmc, source),
            Way(BACK, switch_port, bmc, proxy, source),
        )

    def rules(self) -> list[list[Json]]:
        """Expressions of each rule, in the form in which nft lists them."""
        management, media = self.switch.management_switch_port, self.switch.media_tcp_port
        from_management = _match(_meta("iifname"), management)
        to_management = _match(_meta("oifname"), management)
        own, bmcs = self.switch.management_ipv4, list(BMC_TCP_PORTS)
        bound_ip = _match({"concat": [_meta("iifname"), _field("ip", "saddr")]}, f"@{BOUND}")
        way = {"concat": [_meta("iifname"), _field("ip", "saddr"), _field("ip", "daddr")]}
        bound_arp = {"concat": [_meta("iifname"), _field("arp", "saddr ip")]}
        goes_to, comes_from = _field("tcp", "dport"), _field("tcp", "sport")
        from_own = _match(_field("ip", "saddr"), own)
        to_own = _match(_field("ip", "daddr"), own)
        accept: Json = {"accept": None}
        return [
            [_match(bound_arp, f"@{BOUND}"), to_management, accept],
            [_match(_field("ether", "type"), "arp"), from_management, accept],
            [from_management, from_own, _match(goes_to, {"set": bmcs}), accept],
            [bound_ip, to_management, to_own, _match(comes_from, {"set": bmcs}), _ANSWER, accept],
            [bound_ip, to_management, to_own, _match(goes_to, media), accept],
            [from_management, from_own, _match(comes_from, media), _ANSWER, accept],
            [_match(way, f"@{ALLOW}"), _match(goes_to, {"set": bmcs}), accept],
            [_match(way, f"@{BACK}"), _match(comes_from, {"set": bmcs}), _ANSWER, accept],
            [{"counter": None}, {"drop": None}],
        ]

    def document(self) -> Json:
        """What ``nft -j -f -`` takes to lay all this down, with no way open."""
        table = {"family": FAMILY, "name": TABLE}
        inside = {"family": FAMILY, "table": TABLE}
        words: list[Json] = [{"add": {"table": table}}, {"delete": {"table": table}}]
        words.append({"add": {"table": table}})
        for name, parts in ((BOUND, 1), (ALLOW, 2), (BACK, 2)):
            kind = ["ifname", *["ipv4_addr"] * parts]
            words.append({"add": {"set": {**inside, "name": name, "type": kind}}})
        bound: list[Json] = [{"concat": list(one)} for one in sorted(self.bound)]
        words.append({"add": {"element": {**inside, "name": BOUND, "elem": bound}}})
        words.append({"add": {"chain": {**inside, "name": CHAIN, **_HOOK}}})
        for rule in self.rules():
            words.append({"add": {"rule": {**inside, "chain": CHAIN, "expr": rule}}})
        return {"nftables": words}

    def read(self, listed: Json) -> tuple[Way, ...]:
        """The ways that are open, from ``nft -j list table``.

        Raises:
            ForeignRulesetError: the rules or the ports are not those of ``document``.
        """
        try:
            return self._read(listed["nftables"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ForeignRulesetError(f"it has something unknown: {error!r}") from error

    def _read(self, items: Collection[Json]) -> tuple[Way, ...]:
        chains = [item["chain"] for item in items if "chain" in item]
        if [{key: chain.get(key) for key in _HOOK} for chain in chains] != [_HOOK]:
            raise ForeignRulesetError("its chain is not at the hook, or does not drop")
        rules = [_plain(item["rule"]["expr"]) for item in items if "rule" in item]
        if rules != [_plain(rule) for rule in self.rules()]:
            raise ForeignRulesetError("its rules are not as they were written")
        sets = {item["set"]["name"]: item["set"].get("elem", []) for item in items if "set" in item}
        bound = {tuple(element[0]) for element in map(_parts, sets[BOUND])}
        if bound != self.bound:
            raise ForeignRulesetError("its ports are bound to other addresses")
        return tuple(
            Way(name, switch_port, source, destination, comment)
            for name in (ALLOW, BACK)
            for (switch_port, source, destination), comment in map(_parts, sets[name])
        )


_HOOK: Json = {"type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}
_SYN_ACK: Json = {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}
_ANSWER: Json = {"match": {"op": "!=", "left": _SYN_ACK, "right": "syn"}}
"""Not the beginning of a connection."""


def _meta(key: str) -> Json:
    return {"meta": {"key": key}}


def _field(protocol: str, name: str) -> Json:
    return {"payload": {"protocol": protocol, "field": name}}


def _match(left: Json, right: object) -> Json:
    return {"match": {"op": "==", "left": left, "right": right}}


def _plain(expressions: Collection[Json]) -> list[Json]:
    """Without what counts, and without what nft says of itself."""
    return [{"counter": None} if "counter" in one else one for one in expressions]


def _parts(element: Json) -> tuple[list[str], str]:
    inner = element.get("elem", element)
    concat = inner["val"]["concat"] if "val" in inner else inner["concat"]
    return [str(part) for part in concat], str(inner.get("comment", ""))
