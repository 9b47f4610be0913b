"""Firewall rulesets, what a cluster's gateway lets through, a cluster's network, host images."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.changes import (
    IfMatch,
    commit,
    expected_version,
    live_cluster,
    own_rulesets,
    started,
)
from gigawatt.api.paging import Cursor, Limit, page_of, text_place
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import host_image_document, network_document, ruleset_document
from gigawatt.errors import ConflictError, InputError
from gigawatt.fleet.catalogue import host_images
from gigawatt.ids import FirewallRulesetId, SiteId
from gigawatt.intent.firewall import InboundRule, check_rules, union_of
from gigawatt.interfaces.firewall import FirewallRule, FirewallRuleset
from gigawatt.planner.configure import Configuration
from gigawatt.planner.plan import Plan
from gigawatt.sdk import documents as doc

router = new_router("network")

ACCEPTED = 202


def _rules(name: str, rules: Sequence[doc.FirewallRule]) -> tuple[FirewallRule, ...]:
    kept = tuple(
        FirewallRule(
            InboundRule(rule.protocol, rule.port_range, rule.source_network), rule.description
        )
        for rule in rules
    )
    check_rules(f"firewall ruleset {name!r}", [one.rule for one in kept])
    return kept


def _shown(access: Access, found: FirewallRuleset, response: Response) -> doc.FirewallRuleset:
    response.headers["ETag"] = f'"{found.version}"'
    return ruleset_document(found, access.service.rulesets.users(found.ruleset_id))


@operation(router, "GET", "/firewall-rulesets")
def list_firewall_rulesets(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.FirewallRuleset]:
    """Firewall rulesets that the caller sees."""
    rulesets = access.service.rulesets
    found = rulesets.page(access.reach(), text_place(cursor), limit + 1)
    return page_of(
        found,
        limit,
        lambda row: row.ruleset_id,
        lambda row: ruleset_document(row, rulesets.users(row.ruleset_id)),
    )


@operation(router, "POST", "/firewall-rulesets", 201)
def create_firewall_ruleset(
    body: doc.CreateFirewallRuleset, access: Allowed, response: Response
) -> doc.FirewallRuleset:
    """Make a firewall ruleset; clusters name it when they are created or configured."""
    project, service = access.project(body.project_id), access.service
    if body.site_id not in service.control.around.fleet.sites.index_of:
        raise InputError(f"there is no site {body.site_id!r}")
    made = FirewallRuleset(
        ruleset_id=FirewallRulesetId(service.control.new_id("fwr")),
        project_id=project.project_id,
        name=body.name,
        site_id=SiteId(body.site_id),
        rules=_rules(body.name, body.rules),
        version=1,
        created_s=service.now_s(),
        follow_at_s=None,
    )
    service.rulesets.add(made)
    return _shown(access, made, response)


@operation(router, "GET", "/firewall-rulesets/{ruleset_id}")
def get_firewall_ruleset(
    ruleset_id: str, access: Allowed, response: Response
) -> doc.FirewallRuleset:
    """One firewall ruleset."""
    return _shown(access, access.ruleset(ruleset_id), response)


@operation(router, "PATCH", "/firewall-rulesets/{ruleset_id}")
def change_firewall_ruleset(
    ruleset_id: str,
    body: doc.ChangeFirewallRuleset,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.FirewallRuleset:
    """Change a firewall ruleset; every cluster that names it follows, each by an operation."""
    found, service = access.ruleset(ruleset_id), access.service
    changed = service.rulesets.change(
        found.ruleset_id,
        body.name,
        None if body.rules is None else _rules(found.name, body.rules),
        version=expected_version(if_match),
        now_s=service.now_s(),
    )
    begun = () if body.rules is None else service.follower.follow(changed)
    service.worker.wake()
    document = _shown(access, service.rulesets.get(found.ruleset_id), response)
    return document.model_copy(update={"operation_ids": list(begun)})


@operation(router, "DELETE", "/firewall-rulesets/{ruleset_id}", 204)
def delete_firewall_ruleset(ruleset_id: str, access: Allowed) -> Response:
    """Forget a firewall ruleset that no cluster names."""
    found = access.ruleset(ruleset_id)
    access.service.rulesets.remove(found.ruleset_id)
    return Response(status_code=204)


@operation(router, "POST", "/clusters/{cluster_id}:configure", ACCEPTED)
def configure_cluster(
    cluster_id: str,
    body: doc.ConfigureCluster,
    access: Allowed,
    response: Response,
    if_match: IfMatch = None,
) -> doc.Cluster:
    """Change what a running cluster's gateway lets out and in."""
    record, control = live_cluster(access, cluster_id), access.service.control

    def make_plan() -> Plan:
        wish = Configuration(
            egress_cidrs=None if body.egress_cidrs is None else tuple(body.egress_cidrs)
        )
        if body.firewall_ruleset_ids is not None:
            assert record.target is not None, "a live cluster has a target"
            found = own_rulesets(access, record.tenant_id, body.firewall_ruleset_ids)
            _refuse_elsewhere(found, record.target.site_id)
            wish = replace(
                wish,
                firewall_ruleset_ids=tuple(one.ruleset_id for one in found),
                inbound_rules=union_of([one.inbound_rules for one in found]),
            )
        return control.plan_configure(record.cluster_id, wish)

    made = commit(
        access, make_plan, cluster_id=record.cluster_id, version=expected_version(if_match)
    )
    return started(access, made, response)


def _refuse_elsewhere(rulesets: Sequence[FirewallRuleset], site_id: SiteId) -> None:
    for ruleset in rulesets:
        if ruleset.site_id != site_id:
            raise InputError(
                f"firewall ruleset {ruleset.ruleset_id!r} is for site {ruleset.site_id!r}, the "
                f"cluster is at {site_id!r}"
            )


@operation(router, "GET", "/clusters/{cluster_id}/network")
def get_cluster_network(cluster_id: str, access: Allowed) -> doc.ClusterNetwork:
    """Addresses, names, and what may go out and come in."""
    record = access.cluster(cluster_id)
    if record.target is None:
        raise ConflictError(f"cluster {cluster_id!r} is {record.phase.value}; it has no network")
    return network_document(record.target)


@operation(router, "GET", "/images")
def list_images(access: Allowed) -> doc.Page[doc.HostImage]:
    """Host images that a request may name by id."""
    access.permit()
    return doc.Page(items=[host_image_document(row) for row in host_images()])
