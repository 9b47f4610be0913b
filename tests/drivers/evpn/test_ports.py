"""Goal: what is read off a switch is what the switch does, and each fault has its own words.

Method: listings as Linux prints them are put together and broken in one place each.
"""

import json

import pytest

from gigawatt.drivers.evpn.access import Leave, access_table, leaves_in
from gigawatt.drivers.evpn.nft_json import Table, loading, read_tables
from gigawatt.drivers.evpn.ports import Place, PortsOfSwitch
from gigawatt.drivers.evpn.segments import Links, Wiring, read_links
from gigawatt.drivers.evpn.settings import EvpnSettings, PortSettings
from gigawatt.drivers.evpn.switch import Switch, SwitchState
from gigawatt.drivers.ledger import Ledger

MAC = "02:67:77:00:01:00"
UP = ["BROADCAST", "UP"]
WIRING = Wiring("192.0.2.3", ("192.0.2.4", "192.0.2.5"), is_learning=True)


def listing(**changes) -> list[dict]:
    """``ip -j -d link show`` of a leaf with one port in one network; None takes a link away."""
    data = {"id": 900, "local": "192.0.2.3"}
    links = {
        "br900": {"flags": UP},
        "vxlan900": {"flags": UP, "master": "br900", "linkinfo": {"info_data": data}},
        "p1s0": {"flags": UP, "master": "br900", "ifalias": "gigawatt 900 10.0.0.2/20"},
    }
    links |= changes
    return [{"ifname": name, **link} for name, link in links.items() if link is not None]


FDB = [{"ifname": "vxlan900", "mac": "00:00:00:00:00:00", "dst": dst} for dst in WIRING.others]


def links(**changes) -> Links:
    return read_links(json.dumps(listing(**changes)), json.dumps(FDB))


@pytest.fixture
def ports(tmp_path) -> PortsOfSwitch:
    own = {"reach": (), "vtep": "192.0.2.3"}
    others = {f"leaf{n}": {"reach": (), "vtep": vtep} for n, vtep in enumerate(WIRING.others, 1)}
    settings = EvpnSettings.model_validate(
        {
            "plane": "in_band",
            "mode": "static",
            "switches": {"leaf0": own, **others},
            "access_ports": {},
        }
    )
    switch = Switch("leaf0", settings, Ledger(tmp_path, None))
    known = {
        name: PortSettings(switch="leaf0", interface=name, mac=MAC) for name in ("p1s0", "p2s0")
    }
    return PortsOfSwitch("in_band", switch, known)


OWN = Leave(MAC, "10.0.0.2")


def table(leave: Leave | None = OWN, managed=("p1s0", "p2s0")) -> Table:
    leaves = {} if leave is None else {"p1s0": leave}
    return access_table("in_band", frozenset(managed), leaves)


def state(rules: Table | None, announced=None, **changes) -> SwitchState:
    tables = {} if rules is None else {(rules.family, rules.name): rules}
    return SwitchState(links(**changes), tables, announced, {})


def test_a_port_is_what_bridge_and_rules_say(ports):
    assert ports.seen(state(table()), "p1s0").place == Place(900, "10.0.0.2/20")
    assert ports.seen(state(table()), "p1s0").fault == ""
    assert ports.seen(state(table()), "p2s0") is None
    # The alias is what was asked, the rules are what is so.
    other = Leave(MAC, "10.0.0.9")
    assert ports.seen(state(table(other)), "p1s0").place == Place(900, "10.0.0.9/20")


FAULTS = {
    "rules of": {"rules": None},
    "rules of leaf0 for p1s0": {"rules": table(None)},
    "rules of leaf0": {"rules": table(Leave("02:00:00:00:00:01", "10.0.0.2"))},
    "are not as they were loaded": {"rules": table(managed=("p1s0",))},
    "is switched off": {"p1s0": listing()[2] | {"flags": []}},
    "there is no vxlan900": {"vxlan900": None},
    "vxlan900 is down": {"vxlan900": listing()[1] | {"flags": []}},
    "not in br900": {"vxlan900": listing()[1] | {"master": "br1"}},
    "is for VNI 901": {
        "vxlan900": listing()[1] | {"linkinfo": {"info_data": {"id": 901, "local": "192.0.2.3"}}}
    },
    "br900 is down": {"br900": {"flags": []}},
    "none of ours": {"p1s0": listing()[2] | {"master": "virbr0"}},
    "way out": {"p1s0": listing()[2] | {"master": None}},
    "does not announce": {"announced": frozenset({901})},
}


@pytest.mark.parametrize("words", FAULTS)
def test_each_fault_has_its_words(ports, words):
    change = {"rules": table(), **FAULTS[words]}
    seen = ports.seen(state(**change), "p1s0")
    assert words in seen.fault


def test_a_network_that_does_not_flood_to_all_is_not_whole():
    assert WIRING.complaint(900, links()) == ""
    some = read_links(json.dumps(listing()), json.dumps(FDB[:1]))
    assert "flood" in WIRING.complaint(900, some)


def test_a_network_goes_with_its_last_port_and_not_before():
    both = links(p2s0={"flags": UP, "master": "br900"})
    assert WIRING.down(900, both, frozenset({"p1s0"})) == ()
    assert WIRING.down(900, both, frozenset({"p1s0", "p2s0"})) == [
        "link del vxlan900",
        "link del br900",
    ]


def test_rules_come_back_from_a_listing():
    words = json.loads(loading(table()))["nftables"]
    adds = [item["add"] for item in words[2:]]
    found = read_tables(json.dumps({"nftables": [{"metainfo": {}}, *adds]}))
    (read,) = found.values()
    assert read.skeleton() == table().skeleton()
    assert leaves_in(read) == {"p1s0": {Leave(MAC, None), Leave(MAC, "10.0.0.2")}}


def test_two_switches_of_a_port_cannot_be_named_the_same_way_twice():
    with pytest.raises(ValueError, match="interface"):
        PortSettings(switch="leaf0", interface="a b; reboot", mac=MAC)
