"""The in-band network of a lab, and the compute fabric where that is Ethernet."""

from collections.abc import Mapping
from typing import Any, Literal

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.evpn.settings import (
    EvpnSettings,
    GatewaySettings,
    PortSettings,
    SwitchSettings,
)
from gigawatt.lab.layout import Layout
from gigawatt.lab.network.cables import (
    GATEWAY,
    UPLINK,
    compute_mac,
    compute_nics,
    compute_port,
    lay_cables,
    tenant_switches,
)
from gigawatt.lab.network.underlay import (
    DAEMONS,
    reach_words,
    silent_neighbours,
    start_frr,
    start_static,
    vtysh_words,
)
from gigawatt.lab.running import Running

Mode = Literal["frr", "static"]


class NetworkPart:
    """Leaves and spines that carry clusters' networks, and the gateway."""

    def __init__(self, mode: Mode = "frr") -> None:
        """A network that is not started; ``static`` runs no routing daemon."""
        self._mode = mode

    @property
    def name(self) -> str:
        """What people call it."""
        return "network"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        frr = {"vtysh": "frr", **dict.fromkeys(DAEMONS, "frr")}
        return {
            "ip": "iproute2",
            "bridge": "iproute2",
            "nsenter": "util-linux",
            "nft": "nftables",
            "dnsmasq": "dnsmasq-base",
            "arping": "iputils-arping",
            **(frr if self._mode == "frr" else {}),
        }

    def start(self, lab: Running) -> None:
        """Cable it, let its switches find each other, and declare the driver.

        Raises:
            InputError: it does not come up.
        """
        lay_cables(lab)
        if self._mode == "frr":
            start_frr(lab)
        else:
            start_static(lab)
        self._declare(lab, in_band_settings(lab, self._mode))
        if next(compute_nics(lab.layout), None) is not None:
            self._declare(lab, compute_settings(lab, self._mode))

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        switches = (*lab.layout.spines, *tenant_switches(lab.layout)) if self._mode == "frr" else ()
        for switch in switches:
            for daemon in DAEMONS:
                program = lab.programs.get(f"{switch}-{daemon}")
                if program is None or program.poll() is not None:
                    return f"{daemon} of {switch} has ended"
        for switch in switches:
            silent = silent_neighbours(lab, switch)
            if silent:
                return silent
        return ""

    def _declare(self, lab: Running, settings: EvpnSettings) -> None:
        words: dict[str, Any] = settings.model_dump(mode="json", exclude={"driver"})
        lab.declare(Plane(settings.plane), settings.driver, words)


def in_band_settings(lab: Running, mode: Mode) -> EvpnSettings:
    """Settings of the driver of the in-band network."""
    layout, fleet = lab.layout, lab.fleet
    ports: dict[str, dict[str, PortSettings]] = {}
    for node, node_id in enumerate(fleet.nodes.ids):
        site = fleet.sites.ids[int(fleet.site_of_node[node])]
        ports[f"port/{node_id}"] = {
            f"slot/{slot}": PortSettings(
                switch=layout.leaf_of(node),
                interface=layout.leaf_port(node, slot),
                mac=layout.mac_of(node, slot),
                gateway=site,
            )
            for slot in layout.slots_of(node)
        }
    # Their folder is the default one, which a room has for itself: dnsmasq must be let read it.
    own = GatewaySettings(switch=GATEWAY, uplink=UPLINK)
    return EvpnSettings(
        plane="in_band",
        mode=mode,
        switches=_switches(layout, mode),
        access_ports=ports,
        gateways=dict.fromkeys(fleet.sites.ids, own),
    )


def compute_settings(lab: Running, mode: Mode) -> EvpnSettings:
    """Settings of the driver of the Ethernet compute fabrics; it has no gateways."""
    layout, fleet = lab.layout, lab.fleet
    ports: dict[str, dict[str, PortSettings]] = {}
    for node, rail, guid in compute_nics(layout):
        fabric = fleet.fabrics.ids[int(fleet.fabric_of_node[node])]
        ports.setdefault(f"fabric/{fabric}", {})[f"port/{guid:#018x}"] = PortSettings(
            switch=layout.leaf_of(node),
            interface=compute_port(node, rail),
            mac=compute_mac(node, rail),
        )
    return EvpnSettings(
        plane="fabric", mode=mode, switches=_switches(layout, mode), access_ports=ports
    )


def _switches(layout: Layout, mode: Mode) -> dict[str, SwitchSettings]:
    return {
        name: SwitchSettings(
            reach=reach_words(name),
            vtep=layout.loopback_of(name),
            vtysh=vtysh_words(name) if mode == "frr" else (),
        )
        for name in tenant_switches(layout)
    }
