"""What the out-of-band switch is told, and what is read back.

Goal: what is laid down reads back as ours, and anything else does not; every element stands for a
route or for a stranger, whatever somebody wrote.
Method: the document that nft takes is turned to what nft lists (both forms were seen at nft 1.0.6;
the lab's tests hold them to a real one); hypothesis makes elements.
"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.boundary.entries import BmcRoute
from gigawatt.drivers.redfish.routes import ADDRESS_SOURCE, _opened, refuses_route
from gigawatt.drivers.redfish.ruleset import ALLOW, BACK, ForeignRulesetError, SwitchPlan, Way
from gigawatt.drivers.redfish.settings import OobSwitch
from gigawatt.ids import NodeId, SiteId

N0, N1 = NodeId("n0"), NodeId("n1")
SITE = SiteId("lab")
SWITCH = OobSwitch(
    switch_port_of_node={N0: "bmc0", N1: "bmc1"},
    management_switch_port="mgmt",
    management_ipv4="100.64.0.2",
    media_tcp_port=8070,
    proxy_network="100.127.0.0/20",
    proxy_interface="oob0",
)
PLAN = SwitchPlan(SWITCH, {N0: "100.64.0.10", N1: "100.64.0.11"})
P0, P1 = "100.127.0.1", "100.127.0.2"


def listed(plan: SwitchPlan, ways: list[Way]) -> Any:
    """What nft would list after the plan and the ways were laid down."""
    items: list[Any] = [{"metainfo": {"version": "1.0.6"}}]
    sets: dict[str, Any] = {}
    for word in plan.document()["nftables"]:
        added = word.get("add", {})
        if "set" in added:
            sets[added["set"]["name"]] = {**added["set"], "handle": 2}
        if "element" in added:
            sets[added["element"]["name"]]["elem"] = added["element"]["elem"]
        items += [
            {kind: {**added[kind], "handle": 1}} for kind in ("chain", "rule") if kind in added
        ]
    for way in ways:
        element = way.command("add")["add"]["element"]
        sets[element["name"]].setdefault("elem", []).extend(element["elem"])
    items += [{"set": one} for one in sets.values()]
    for item in items:
        if "rule" in item and "counter" in item["rule"]["expr"][0]:
            item["rule"]["expr"] = [{"counter": {"packets": 7, "bytes": 420}}, {"drop": None}]
    return copy.deepcopy({"nftables": items})


def test_what_was_laid_down_is_read_back():
    ways = [*PLAN.ways("cluster:clu_a", P0, N0), *PLAN.ways("cluster:clu_b", P1, N1)]
    assert set(PLAN.read(listed(PLAN, ways))) == set(ways)
    opened = _opened(SITE, PLAN, ways, [P0, P1])
    assert set(opened.routes.values()) == {
        BmcRoute(SITE, "cluster:clu_a", N0),
        BmcRoute(SITE, "cluster:clu_b", N1),
    }
    assert opened.proxies == {"cluster:clu_a": P0, "cluster:clu_b": P1}


def test_any_rule_port_or_policy_that_is_not_ours_is_refused():
    def policy(items):
        next(i for i in items if "chain" in i)["chain"]["policy"] = "accept"

    def less(items):
        items.remove(next(i for i in items if "rule" in i))

    def more(items):
        items.append({"rule": {"expr": [{"accept": None}]}})

    def bound(items):
        sets = [i["set"] for i in items if "set" in i]
        sets[0]["elem"].append({"concat": ["bmc0", "100.64.0.11"]})

    def nothing(items):
        items.clear()

    for change in (policy, less, more, bound, nothing):
        found = listed(PLAN, [])
        change(found["nftables"])
        with pytest.raises(ForeignRulesetError):
            PLAN.read(found)


def test_a_route_that_is_half_or_whose_address_is_not_there_is_a_stranger():
    there, back = PLAN.ways("cluster:clu_a", P0, N0)
    for ways, addresses in (([there], [P0]), ([back], [P0]), ([there, back], [])):
        opened = _opened(SITE, PLAN, ways, addresses)
        assert {r.source for r in opened.routes.values()} == {f"{ADDRESS_SOURCE}{P0}"}
        assert opened.proxies == {}


def test_no_two_clusters_have_one_address_and_no_cluster_two():
    two = [*PLAN.ways("cluster:clu_a", P0, N0), *PLAN.ways("cluster:clu_b", P0, N1)]
    opened = _opened(SITE, PLAN, two, [P0, P1])
    assert len(opened.proxies) == 1
    assert any(r.source.startswith(ADDRESS_SOURCE) for r in opened.routes.values())
    two = [*PLAN.ways("cluster:clu_a", P0, N0), *PLAN.ways("cluster:clu_a", P1, N1)]
    opened = _opened(SITE, PLAN, two, [P0, P1])
    assert len(opened.proxies) == 1
    assert any(r.source.startswith(ADDRESS_SOURCE) for r in opened.routes.values())


AT = st.sampled_from([P0, P1, "100.64.0.10", "100.64.0.11", "100.64.0.2"])
WAYS = st.builds(
    Way,
    st.sampled_from([ALLOW, BACK]),
    st.sampled_from(["mgmt", "bmc0", "bmc1", "eth9"]),
    AT,
    AT,
    st.sampled_from(["", "cluster:clu_a", "cluster:clu_b", "bmc:n0", "x"]),
)


@given(st.lists(WAYS, max_size=8, unique=True))
def test_no_element_is_ever_overlooked(ways):
    try:
        opened = _opened(SITE, PLAN, ways, [P0, P1])
    except ForeignRulesetError:
        return
    shown = {way for some in opened.ways.values() for way in some}
    assert shown == set(ways)
    assert opened.ways.keys() == opened.routes.keys()


def test_only_a_proxy_of_a_cluster_gets_a_route():
    assert refuses_route([N0], BmcRoute(SITE, "cluster:clu_a", N0)) is None
    for wrong in (
        BmcRoute(SITE, "bmc:n1", N0),
        BmcRoute(SITE, "cluster:" + "x" * 128, N0),
        BmcRoute(SITE, "cluster:clu_a", N1),
    ):
        assert refuses_route([N0], wrong) is not None
