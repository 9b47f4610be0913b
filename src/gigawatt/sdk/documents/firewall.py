"""Documents of firewall rulesets, of a cluster's network, and of host images."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Request
from gigawatt.sdk.documents.storage import Mount

RulesetName = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")
]
TransportPort = Annotated[int, Field(ge=1, le=65_535)]


class FirewallRule(Request):
    """Leave for traffic from one network outside to come in.

    ``port_range`` is first and last port of tcp or udp; without it all of them.
    """

    protocol: Literal["tcp", "udp", "icmp", "all"]
    port_range: tuple[TransportPort, TransportPort] | None = None
    source_network: Annotated[str, StringConstraints(max_length=18, pattern=r"^[0-9./]+$")]
    description: Annotated[
        str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")
    ] = ""


class CreateFirewallRuleset(Request):
    """A new ruleset."""

    project_id: Id
    name: RulesetName
    site_id: Id
    rules: Annotated[list[FirewallRule], Field(max_length=100)] = []


class ChangeFirewallRuleset(Request):
    """Another name, or other rules in the place of all that were there."""

    name: RulesetName | None = None
    rules: Annotated[list[FirewallRule], Field(max_length=100)] | None = None


class FirewallRuleset(Answer):
    """A ruleset. ``is_applied`` is false while a cluster that names it does not follow yet.

    ``operation_ids`` are those that the request itself began.
    """

    id: str
    project_id: str
    name: str
    site_id: str
    rules: list[FirewallRule]
    version: int
    created_at: datetime
    cluster_ids: list[str]
    is_applied: bool
    operation_ids: list[str] = []


class ConfigureCluster(Request):
    """What the gateway of a running cluster shall let out and in; what is null stays."""

    egress_cidrs: Annotated[list[Id], Field(max_length=100)] | None = None
    firewall_ruleset_ids: Annotated[list[Id], Field(max_length=8)] | None = None


class NetworkHost(Answer):
    """One host in a cluster's network; a spare answers when it has replaced a member."""

    hostname: str
    ipv4: str
    role: Literal["member", "spare"]


class ClusterNetwork(Answer):
    """A cluster's network as its tenant sees it; nothing of the network that carries it."""

    cluster_id: str
    subnet: str
    gateway_ipv4: str
    hosts: list[NetworkHost]
    egress_cidrs: list[str]
    firewall_ruleset_ids: list[str]
    inbound_rules: list[FirewallRule]
    mounts: list[Mount]


class HostImage(Answer):
    """A host image that a request may name by its id."""

    id: str
    name: str
    family: str
    version: str
    architecture: str
    description: str
    confidence: str
    source: str
