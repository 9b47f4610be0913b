"""Rules of the out-of-band network: BMC routes and BMC accounts."""

from collections.abc import Iterator

from gigawatt.boundary.names import (
    BMC_SOURCE,
    bmc_secret_ref_of,
    bmc_username_of,
    cluster_source_of,
)
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.ids import DeviceId, NodeId


def cluster_by_source(case: Case) -> dict[str, int]:
    """Cluster of every route source that a target gives a meaning."""
    return {
        cluster_source_of(target.cluster_id): cluster
        for cluster, target in enumerate(case.holdings.targets)
    }


def find_bmc_to_bmc(case: Case) -> Iterator[Finding]:
    """Routes from one BMC to another."""
    for route in case.routes:
        if route.source.startswith(BMC_SOURCE):
            source = NodeId(route.source.removeprefix(BMC_SOURCE))
            ends = case.holdings.clusters_on(source), case.holdings.clusters_on(route.node_id)
            yield Finding(
                tuple(dict.fromkeys(ends[0] + ends[1])),
                route.device,
                route.node_id,
                f"the BMC of node {source} ({case.names(ends[0])}) may reach the BMC of node "
                f"{route.node_id} ({case.names(ends[1])})",
            )


def find_foreign_bmc_route(case: Case) -> Iterator[Finding]:
    """Routes of a cluster's proxy to the BMC of a node that the cluster does not hold wholly."""
    clusters = cluster_by_source(case)
    for route in case.routes:
        cluster = clusters.get(route.source)
        if cluster is None or case.holdings.whole_holder.get(route.node_id) == cluster:
            continue
        holders = case.holdings.clusters_on(route.node_id)
        if not holders and case.is_buried(route):
            continue
        yield Finding(
            tuple(dict.fromkeys((cluster, *holders))),
            route.device,
            route.node_id,
            f"{case.name(cluster)} may reach the BMC of node {route.node_id} "
            f"({case.names(holders)}), which it does not hold wholly",
        )


def find_planted_account(case: Case) -> Iterator[Finding]:
    """BMC accounts that are not the account of the cluster that holds the whole node."""
    holdings = case.holdings
    expected: dict[NodeId, tuple[str, str]] = {
        node_id: (
            bmc_username_of(holdings.targets[cluster].cluster_id),
            bmc_secret_ref_of(holdings.targets[cluster].cluster_id, node_id),
        )
        for node_id, cluster in holdings.whole_holder.items()
    }
    for account in case.accounts:
        holders = holdings.clusters_on(account.node_id)
        wanted = expected.get(account.node_id)
        if not holders or wanted == (account.username, account.secret_ref):
            continue
        yield Finding(
            holders,
            account.device,
            account.node_id,
            f"the BMC of node {account.node_id} ({case.names(holders)}) has account "
            f"{account.username!r} with secret {account.secret_ref!r}, wanted "
            + (f"{wanted[0]!r} with {wanted[1]!r} alone" if wanted else "none, it is shared"),
        )


def find_out_of_band_stranger(case: Case) -> Iterator[Finding]:
    """Accounts on BMCs of nodes that no target holds, and routes from unknown sources."""
    holdings, clusters = case.holdings, cluster_by_source(case)
    for account in case.accounts:
        if account.node_id not in holdings.node_holders and not case.is_buried(account):
            yield Finding(
                (),
                account.device,
                account.node_id,
                f"the BMC of node {account.node_id}, which no target holds, has account "
                f"{account.username!r}",
            )
    for route in case.routes:
        if route.source in clusters or route.source.startswith(BMC_SOURCE):
            continue
        holders = holdings.clusters_on(route.node_id)
        if holders or not case.is_buried(route):
            yield Finding(
                holders,
                route.device,
                route.node_id,
                f"{route.source!r}, which is no target's, may reach the BMC of node "
                f"{route.node_id} ({case.names(holders)})",
            )


def find_missing_bmc_entry(case: Case) -> Iterator[Finding]:
    """Whole nodes whose cluster has no account on the BMC, or no way to it."""
    holdings = case.holdings
    accounts = {(account.node_id, account.username) for account in case.accounts}
    routes = {(route.site_id, route.source, route.node_id) for route in case.routes}
    for node_id, cluster in holdings.whole_holder.items():
        target = holdings.targets[cluster]
        has_account = (node_id, bmc_username_of(target.cluster_id)) in accounts
        source = cluster_source_of(target.cluster_id)
        has_route = (target.site_id, source, node_id) in routes
        if not (has_account and has_route):
            device = f"oob/{target.site_id}" if has_account else f"bmc/{node_id}"
            yield Finding(
                (cluster,),
                DeviceId(device),
                node_id,
                f"{case.name(cluster)} has no {'route to' if has_account else 'account on'} the "
                f"BMC of its node {node_id}",
            )


_OUT_OF_BAND = Plane.OUT_OF_BAND
OUT_OF_BAND_RULES = (
    Rule(
        "bmc_to_bmc",
        _OUT_OF_BAND,
        "isolation",
        "One BMC taken over (CVE-2024-54085) becomes all of them if BMCs reach each other.",
        find_bmc_to_bmc,
    ),
    Rule(
        "foreign_bmc_route",
        _OUT_OF_BAND,
        "isolation",
        "A tenant's way to a BMC that commands GPUs of others: power, console, virtual media.",
        find_foreign_bmc_route,
    ),
    Rule(
        "planted_account",
        _OUT_OF_BAND,
        "isolation",
        "Cloudborne (2019): an account added by the last tenant survives the change of tenant.",
        find_planted_account,
    ),
    Rule(
        "out_of_band_stranger",
        _OUT_OF_BAND,
        "isolation",
        "An account or a route outside every target: planted, or left over by a removal.",
        find_out_of_band_stranger,
    ),
    Rule(
        "missing_bmc_entry",
        _OUT_OF_BAND,
        "connection",
        "A tenant that cannot reach the console and power of a node it pays for.",
        find_missing_bmc_entry,
    ),
)
