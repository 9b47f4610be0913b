"""How the switches find each other: FRR with BGP EVPN, or routes by hand."""

import json
import pwd
from collections.abc import Sequence
from functools import partial
from os import chown
from pathlib import Path

from gigawatt.errors import InputError
from gigawatt.lab.layout import Layout
from gigawatt.lab.network.cables import tenant_switches
from gigawatt.lab.running import Running, in_namespace

DAEMONS = ("zebra", "bgpd")
FRR_PROGRAMS = "/usr/lib/frr"
FRR_START_S_MAX = 60.0
COALESCE_MS = 20
"""How long bgpd gathers news before it tells them; by default a second."""
SPINE_AS, FIRST_LEAF_AS = 65_000, 65_001
"""Private numbers; all spines have one, so that no path goes by way of a leaf (RFC 7938, 5.2.1)."""


def frr_config(layout: Layout, switch: str) -> str:
    """FRR's configuration: eBGP over every fabric link without addresses, and EVPN."""
    is_spine = switch in layout.spines
    below = tenant_switches(layout)
    number = SPINE_AS if is_spine else FIRST_LEAF_AS + below.index(switch)
    ends = [f"down{n}" for n in range(len(below))]
    if not is_spine:
        ends = [f"fab{n}" for n in range(len(layout.spines))]
    loopback = layout.loopback_of(switch)
    lines = [
        "frr defaults datacenter",
        f"hostname {switch}",
        f"router bgp {number}",
        f" bgp router-id {loopback}",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        " bgp bestpath as-path multipath-relax",
        f" coalesce-time {COALESCE_MS}",
        " neighbor fabric peer-group",
        " neighbor fabric remote-as external",
        " neighbor fabric timers 3 12",
        " neighbor fabric timers connect 1",
        *(f" neighbor {end} interface peer-group fabric" for end in ends),
        " address-family ipv4 unicast",
        "  neighbor fabric activate",
        f"  network {loopback}/32",
        " exit-address-family",
        " address-family l2vpn evpn",
        "  neighbor fabric activate",
        *([] if is_spine else ["  advertise-all-vni"]),
        " exit-address-family",
    ]
    return "\n".join(lines) + "\n"


def vtysh_words(switch: str) -> tuple[str, ...]:
    """Words that speak to one switch's FRR, from anywhere in the room."""
    return ("vtysh", "-N", switch)


def start_frr(lab: Running) -> None:
    """Start FRR on every switch and wait until all neighbours speak EVPN with each other.

    Raises:
        InputError: they do not.
    """
    frr = pwd.getpwnam("frr")
    switches = (*lab.layout.spines, *tenant_switches(lab.layout))
    for switch in switches:
        for parent in ("/etc/frr", "/run/frr"):
            folder = Path(parent) / switch
            folder.mkdir(parents=True, exist_ok=True)
            chown(folder, frr.pw_uid, frr.pw_gid)
        config = Path("/etc/frr") / switch / "bgpd.conf"
        config.write_text(frr_config(lab.layout, switch))
        (config.parent / "zebra.conf").write_text(f"hostname {switch}\n")
        (config.parent / "vtysh.conf").write_text("no service integrated-vtysh-config\n")
        start_daemon(lab, switch, "zebra")
    for switch in switches:
        lab.until(
            (Path("/run/frr") / switch / "zserv.api").exists,
            f"zebra of {switch}",
        )
        start_daemon(lab, switch, "bgpd")
    for switch in switches:
        lab.until(
            partial(_is_complete, lab, switch),
            f"the neighbours of {switch}",
            FRR_START_S_MAX,
        )


def start_daemon(lab: Running, switch: str, daemon: str) -> None:
    """Start one daemon of one switch."""
    program = f"{FRR_PROGRAMS}/{daemon}"
    lab.spawn(f"{switch}-{daemon}", [program, "-N", switch, "--log", "stdout"], namespace=switch)


def silent_neighbours(lab: Running, switch: str) -> str:
    """Neighbours of a switch that do not speak EVPN with it; a reason where it says nothing."""
    try:
        said = lab.run([*vtysh_words(switch), "-c", "show bgp l2vpn evpn summary json"])
        peers = json.loads(said).get("peers", {})
    except (InputError, ValueError):
        return f"bgpd of {switch} does not answer"
    ends = len(tenant_switches(lab.layout) if switch in lab.layout.spines else lab.layout.spines)
    up = [name for name, peer in peers.items() if peer.get("state") == "Established"]
    if len(up) == ends:
        return ""
    return f"{switch} speaks EVPN with {len(up)} of {ends} neighbours"


def _is_complete(lab: Running, switch: str) -> bool:
    return not silent_neighbours(lab, switch)


def start_static(lab: Running) -> None:
    """Routes by hand between all tenant switches, by way of every spine.

    Raises:
        InputError: the kernel refuses one.
    """
    layout = lab.layout
    below = tenant_switches(layout)
    for column, switch in enumerate(below):
        address = layout.loopback_of(switch)
        for spine in layout.spines:
            _routes(lab, spine, [f"{address}/32 dev down{column} src {layout.loopback_of(spine)}"])
        hops = [
            f"nexthop via {layout.loopback_of(spine)} dev fab{row} onlink"
            for row, spine in enumerate(layout.spines)
        ]
        others = [layout.loopback_of(other) for other in below if other != switch]
        _routes(lab, switch, [f"{other}/32 src {address} {' '.join(hops)}" for other in others])


def _routes(lab: Running, switch: str, routes: Sequence[str]) -> None:
    lines = "\n".join(f"route replace {route}" for route in routes)
    lab.run(["ip", "-batch", "-"], namespace=switch, stdin=lines + "\n")


def reach_words(switch: str) -> tuple[str, ...]:
    """Words before a command that is to run on a switch of the lab."""
    return tuple(in_namespace((), switch))
