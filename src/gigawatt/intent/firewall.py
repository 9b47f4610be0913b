"""Inbound firewall rules: what may come into a cluster through its gateway. Nothing by default."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gigawatt.errors import InputError
from gigawatt.intent.networks import outside_complaint

Protocol = Literal["tcp", "udp", "icmp", "all"]

RULES_PER_RULESET_MAX = 100
"""Rules of one ruleset. Ours: a person cannot judge more."""
RULESETS_PER_CLUSTER_MAX = 8
"""Rulesets of one cluster, so that a gateway holds at most 800 rules for one network. Ours."""
TRANSPORT_PORT_MAX = 65_535
"""Highest TCP or UDP port: 16 bits (RFC 9293, section 3.1; RFC 768)."""


@dataclass(frozen=True, slots=True)
class InboundRule:
    """Leave for one kind of traffic from one network outside to come in.

    Fields:
        protocol: "tcp", "udp", "icmp", or "all" for every protocol.
        port_range: first and last TCP or UDP port, 1 to 65,535; None for all of them, and for
            protocols that have none.
        source_cidr: the IPv4 network that it comes from.
    """

    protocol: Protocol
    port_range: tuple[int, int] | None
    source_cidr: str


def rule_complaint(rule: InboundRule) -> str | None:
    """What is wrong with a rule whatever cluster it is for, None if nothing is."""
    if rule.protocol not in get_args(Protocol):
        return f"protocol {rule.protocol!r} is not one of {', '.join(get_args(Protocol))}"
    if rule.port_range is not None:
        first, last = rule.port_range
        if rule.protocol not in {"tcp", "udp"}:
            return f"{rule.protocol} has no ports, but the rule names {first} to {last}"
        if not 1 <= first <= last <= TRANSPORT_PORT_MAX:
            return f"ports {first} to {last}, wanted 1 to {TRANSPORT_PORT_MAX:,}, first to last"
    return outside_complaint("source", rule.source_cidr)


def check_rules(what: str, rules: Sequence[InboundRule]) -> None:
    """Refuse rules that are wrong whatever cluster they are for.

    Raises:
        InputError: names every rule that is wrong, by its place from 1, and why.
    """
    bad = [
        f"rule {number}: {complaint}"
        for number, rule in enumerate(rules, 1)
        if (complaint := rule_complaint(rule)) is not None
    ]
    if bad:
        raise InputError(f"{what}: " + "; ".join(bad))
    if len(rules) > RULES_PER_RULESET_MAX:
        raise InputError(f"{what} has {len(rules)} rules, at most {RULES_PER_RULESET_MAX}")


def union_of(rulesets: Sequence[Sequence[InboundRule]]) -> tuple[InboundRule, ...]:
    """What several rulesets let in together: each rule once, in one order for equal sets."""
    return tuple(
        sorted(
            {rule for rules in rulesets for rule in rules},
            key=lambda rule: (rule.protocol, rule.port_range or (0, 0), rule.source_cidr),
        )
    )
