"""Settings of the out-of-band driver, as a site file has them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress

from gigawatt.ids import NodeId, SiteId

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a certificate in DER form, hexadecimal."""


class BmcAddress(BaseModel):
    """Where one BMC is, and by which certificate it is known.

    Fields: fingerprint is the SHA-256 of its certificate, which need not be signed by anybody:
    nothing is said to a BMC that shows another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ipv4: IPvAnyAddress
    tcp_port: int = Field(default=443, ge=1, le=65_535)
    fingerprint: Fingerprint


class BmcReach(BaseModel):
    """How the operator reaches BMCs: what every driver needs that talks to them.

    Fields:
        bmcs: by node.
        username: the operator's account; it must be an Administrator.
        passwords_path: JSON file of the operator's password by node, readable to us alone.
        connect_s_max: time to connect.
        request_s_max: longest silence within one request.
        call_s_max: time of one call of ours, all its requests together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    bmcs: dict[NodeId, BmcAddress]
    username: str = Field(min_length=1, max_length=64)
    passwords_path: Path
    connect_s_max: float = Field(default=3.0, gt=0)
    request_s_max: float = Field(default=10.0, gt=0)
    call_s_max: float = Field(default=30.0, gt=0)


class OobSwitch(BaseModel):
    """The out-of-band switch of one site.

    Fields:
        switch_port_of_node: bridge port of each node's BMC.
        management_switch_port: bridge port of the management node.
        management_ipv4: the management node's own address among the BMCs.
        media_tcp_port: where BMCs fetch virtual media from the management node.
        proxy_network: of it each cluster's proxy gets an address, e.g. ``100.127.0.0/20``.
        proxy_interface: interface of the management node that carries those addresses.
        nft: words that run ``nft`` at the switch, e.g. ``["ssh", "oob1", "nft"]``.
        ip: words that run ``ip`` where the proxies are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    switch_port_of_node: dict[NodeId, str]
    management_switch_port: str
    management_ipv4: str
    media_tcp_port: int = Field(ge=1, le=65_535)
    proxy_network: str
    proxy_interface: str
    nft: tuple[str, ...] = ("nft",)
    ip: tuple[str, ...] = ("ip",)


class RedfishSettings(BaseModel):
    """Settings of the driver.

    Fields:
        reach: how BMCs are reached.
        switches: by site.
        golden_accounts: role of each account that belongs on every BMC (the operator's own, the
            maker's); any other account is a finding.
        tenant_role: role of tenants' accounts; made on the BMC if it takes roles of ours,
            otherwise ``Operator`` stands in.
        command_s_max: time of one command at the switch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    driver: Literal["redfish"] = "redfish"
    reach: BmcReach
    switches: dict[SiteId, OobSwitch]
    golden_accounts: dict[str, str]
    tenant_role: str = Field(default="GigawattTenant", pattern=r"^[A-Za-z][A-Za-z0-9]{0,31}$")
    command_s_max: float = Field(default=20.0, gt=0)
