"""What the driver of an EVPN-VXLAN network is told by the site file."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
"""Name of an interface as Linux takes it."""
Mac = Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
Address = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]


class Settings(BaseModel):
    """Base of all: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SwitchSettings(Settings):
    """One switch (or gateway) with Linux's own interfaces.

    Fields:
        reach: words that are put before ``sh -s`` to run commands on it: ``nsenter
            --net=/run/netns/leaf0``, ``ssh leaf0``; none for this machine.
        vtep: its address in the underlay.
        vtysh: words that speak to its FRR, none where no routing daemon runs.
    """

    reach: tuple[str, ...]
    vtep: Address
    vtysh: tuple[str, ...] = ()


class PortSettings(Settings):
    """One access port.

    Fields: switch and interface say where; mac is that of the host's side; gateway is the site
    whose gateway gives it its address, None where nothing does.
    """

    switch: str
    interface: Name
    mac: Mac
    gateway: str | None = None


class GatewaySettings(Settings):
    """One gateway of a site.

    Fields:
        switch: which of the switches it is.
        uplink: its interface to the world outside.
        folder: where it keeps the files of its DHCP and DNS servers.
        dns_domain: what the names of hosts end with.
    """

    switch: str
    uplink: Name
    folder: str = Field(default="/run/gigawatt/evpn", pattern=r"^/[A-Za-z0-9_./-]+$")
    dns_domain: str = Field(default="cluster.internal", pattern=r"^[a-z0-9.-]+$")


class EvpnSettings(Settings):
    """One EVPN-VXLAN network.

    Fields:
        plane: which plane's entries it holds: ``in_band`` or ``fabric``.
        mode: who tells switches of each other: ``frr`` (BGP EVPN) or ``static`` (nobody; every
            network floods to all switches).
        switches: by name.
        access_ports: by device (``port/NODE``, ``fabric/FABRIC``) and key (``slot/0``,
            ``port/GUID``).
        gateways: by site.
        wait_s_max: seconds that one command on a switch, or FRR's taking notice, may take.
        answer_s_max: seconds that a machine which was started is given to answer by its cable; 0:
            it is not asked, for images that take no address by DHCP.
    """

    driver: Literal["evpn"] = "evpn"
    plane: Literal["in_band", "fabric"]
    mode: Literal["frr", "static"] = "frr"
    switches: Mapping[str, SwitchSettings]
    access_ports: Mapping[str, Mapping[str, PortSettings]]
    gateways: Mapping[str, GatewaySettings] = Field(default_factory=dict)
    wait_s_max: float = Field(default=20.0, gt=0)
    answer_s_max: float = Field(default=60.0, ge=0)
