"""Goal: a gateway's rules say the entry and nothing but it, and any rule that is not ours is named.

Method: random gateways become tables and come back; every rule, comment and policy is changed.
"""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.boundary.entries import Gateway
from gigawatt.drivers.evpn.nft_json import ACCEPT, Chain, Table
from gigawatt.drivers.evpn.policy import (
    FIXED_RULES,
    gateway_of_table,
    policy_number,
    policy_table,
)
from gigawatt.intent.firewall import InboundRule

SUBNET = "10.3.0.0/20"
cidrs = st.builds(
    lambda number, length: str(IPv4Network((number, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
ranges = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)).map(
    lambda ends: (min(ends), max(ends))
)
rules = st.one_of(
    st.builds(InboundRule, st.sampled_from(["tcp", "udp"]), st.none() | ranges, cidrs),
    st.builds(InboundRule, st.sampled_from(["icmp", "all"]), st.none(), cidrs),
)
gateways = st.builds(
    lambda egress, inbound: Gateway("s", 900, SUBNET, tuple(egress), tuple(inbound)),
    st.lists(cidrs, max_size=5),
    st.lists(rules, max_size=5),
)
SAMPLE = Gateway("s", 900, SUBNET, ("192.0.2.0/24",), (InboundRule("tcp", (22, 22), "0.0.0.0/0"),))


def back(gateway: Gateway, table: Table | None) -> Gateway:
    return gateway_of_table(gateway.site_id, gateway.vni, gateway.subnet, table)


@given(gateways)
def test_a_gateway_comes_back_from_its_rules(gateway):
    assert back(gateway, policy_table(gateway)) == gateway


def test_an_address_without_a_length_comes_back_as_it_was_written():
    gateway = replace(SAMPLE, egress_cidrs=("192.0.2.5", "192.0.2.5/32"))
    assert back(gateway, policy_table(gateway)) == gateway


def changed(chain: str, **fields) -> Table:
    table = policy_table(SAMPLE)
    return replace(table, chains={**table.chains, chain: replace(table.chains[chain], **fields)})


def every_change():
    table = policy_table(SAMPLE)
    for name, chain in table.chains.items():
        yield changed(name, policy="accept")
        yield changed(name, rules=[("", [ACCEPT]), *chain.rules])
        yield changed(name, rules=[*chain.rules, ("", [ACCEPT])])
        for row, (comment, words) in enumerate(chain.rules):
            rest = list(chain.rules)
            yield changed(name, rules=[*rest[:row], (comment, words[1:]), *rest[row + 1 :]])
            if row < FIXED_RULES and name == "forward":
                yield changed(name, rules=rest[:row] + rest[row + 1 :])
        yield replace(table, chains={k: v for k, v in table.chains.items() if k != name})
    yield replace(table, chains={**table.chains, "more": Chain("forward", -1)})


def test_no_other_rule_passes_for_ours():
    for table in every_change():
        found = back(SAMPLE, table)
        assert found.egress_cidrs[-1] == "(rules that are not ours)"


def test_without_rules_it_is_open_and_says_so():
    assert "everything" in back(SAMPLE, None).egress_cidrs[0]


def test_a_comment_that_lies_is_not_believed():
    table = policy_table(SAMPLE)
    forward = list(table.chains["forward"].rules)
    comment, words = forward[FIXED_RULES]
    assert comment == "egress 192.0.2.0/24"
    lie = ("egress 198.51.100.0/24", words)
    found = back(SAMPLE, changed("forward", rules=[*forward[:FIXED_RULES], lie]))
    assert "(rules that are not ours)" in found.egress_cidrs


@pytest.mark.parametrize("change", [{"egress_cidrs": ()}, {"inbound_rules": ()}])
def test_another_policy_has_another_number_so_that_old_connections_end(change):
    assert policy_number(replace(SAMPLE, **change)) != policy_number(SAMPLE)
    assert policy_number(replace(SAMPLE)) == policy_number(SAMPLE)
