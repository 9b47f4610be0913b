"""Calls of firewall rulesets, of a cluster's network, and of host images."""

from collections.abc import Sequence

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_firewall_rulesets(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.FirewallRuleset]]:
    """Firewall rulesets that the caller sees."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("firewall-rulesets"), doc.Page[doc.FirewallRuleset], query)


def create_firewall_ruleset(request: doc.CreateFirewallRuleset) -> Call[doc.FirewallRuleset]:
    """Make a firewall ruleset."""
    return Call("POST", path_of("firewall-rulesets"), doc.FirewallRuleset, body=request)


def get_firewall_ruleset(ruleset_id: str) -> Call[doc.FirewallRuleset]:
    """One firewall ruleset."""
    return Call("GET", path_of("firewall-rulesets", ruleset_id), doc.FirewallRuleset)


def change_firewall_ruleset(
    ruleset_id: str, change: doc.ChangeFirewallRuleset, *, version: int | None = None
) -> Call[doc.FirewallRuleset]:
    """Change a firewall ruleset; every cluster that names it follows."""
    path = path_of("firewall-rulesets", ruleset_id)
    return Call("PATCH", path, doc.FirewallRuleset, body=change, if_match=version)


def delete_firewall_ruleset(ruleset_id: str) -> Call[None]:
    """Forget a firewall ruleset that no cluster names."""
    return Call("DELETE", path_of("firewall-rulesets", ruleset_id), type(None))


def configure_cluster(
    cluster_id: str,
    *,
    egress_cidrs: Sequence[str] | None = None,
    firewall_ruleset_ids: Sequence[str] | None = None,
    version: int | None = None,
) -> Call[doc.Cluster]:
    """Change what a running cluster's gateway lets out and in; what is None stays."""
    body = doc.ConfigureCluster(
        egress_cidrs=None if egress_cidrs is None else list(egress_cidrs),
        firewall_ruleset_ids=None if firewall_ruleset_ids is None else list(firewall_ruleset_ids),
    )
    path = path_of("clusters", cluster_id, verb="configure")
    return Call("POST", path, doc.Cluster, body=body, if_match=version)


def get_cluster_network(cluster_id: str) -> Call[doc.ClusterNetwork]:
    """Addresses, names, and what may go out and come in."""
    return Call("GET", path_of("clusters", cluster_id, "network"), doc.ClusterNetwork)


def list_images() -> Call[doc.Page[doc.HostImage]]:
    """Host images that a request may name."""
    return Call("GET", path_of("images"), doc.Page[doc.HostImage])
