"""Firewall rules and rulesets: what may come in to instances.

Rulesets are those of the native API. The global one is a ruleset of the project at every site,
which each instance that is launched at this door names; so a change of it reaches those that run.
"""

from collections.abc import Sequence

from gigawatt.api.changes import own_rulesets
from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed, LambdaAccess
from gigawatt.api.lambda_cloud.errors import CodedError
from gigawatt.api.lambda_cloud.listing import GLOBAL_ID_PREFIX, seen_in
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.api.views import at
from gigawatt.errors import ConflictError, InputError, UnknownIdError
from gigawatt.identity.accounts import Project
from gigawatt.ids import FirewallRulesetId, SiteId
from gigawatt.intent.firewall import InboundRule, check_rules
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.firewall import FirewallRule, FirewallRuleset

router = new_router()

GLOBAL_PREFIX = "lambda-global-"
"""Beginning of the names of global rulesets; the site's id follows."""

RULESET_COUNT_MAX = 10_000
"""Rulesets of a project that are looked at. Ours."""

IN_USE = "firewall-rulesets/firewall-ruleset-in-use"

DEFAULT_RULES = (
    FirewallRule(InboundRule("tcp", (22, 22), "0.0.0.0/0"), "SSH from anywhere"),
    FirewallRule(InboundRule("icmp", None, "0.0.0.0/0"), "ping from anywhere"),
)
"""What comes in before anybody says otherwise. Source: docs.lambda.ai, "Firewalls": by default only
ICMP and TCP port 22."""


def _kept(what: str, rules: Sequence[doc.Rule]) -> tuple[FirewallRule, ...]:
    kept = tuple(
        FirewallRule(
            InboundRule(
                rule.protocol,
                None if rule.port_range is None else (rule.port_range[0], rule.port_range[1]),
                rule.source_network,
            ),
            rule.description,
        )
        for rule in rules
    )
    check_rules(what, [one.rule for one in kept])
    return kept


def _shown(rules: Sequence[FirewallRule]) -> list[doc.Rule]:
    return [
        doc.Rule(
            protocol=kept.rule.protocol,
            port_range=None if kept.rule.port_range is None else list(kept.rule.port_range),
            source_network=kept.rule.source_cidr,
            description=kept.description,
        )
        for kept in rules
    ]


def _all_of(access: LambdaAccess, project: Project) -> tuple[FirewallRuleset, ...]:
    reach = Reach(frozenset({project.project_id}))
    return access.service.rulesets.page(reach, "", RULESET_COUNT_MAX)


def is_global(ruleset: FirewallRuleset) -> bool:
    """Whether a ruleset is the global one of its site."""
    return ruleset.ruleset_id.startswith(GLOBAL_ID_PREFIX)


def global_at(access: LambdaAccess, project: Project, site_id: str) -> FirewallRuleset:
    """The global ruleset of a project at a site, made if there is none."""
    service = access.service
    for _ in range(2):
        for ruleset in _all_of(access, project):
            if is_global(ruleset) and ruleset.site_id == site_id:
                return ruleset
        made = FirewallRuleset(
            ruleset_id=FirewallRulesetId(service.control.new_id("fwr_global")),
            project_id=project.project_id,
            name=f"{GLOBAL_PREFIX}{site_id}",
            site_id=SiteId(site_id),
            rules=_global_rules(access, project),
            version=1,
            created_s=service.now_s(),
            follow_at_s=None,
        )
        try:
            service.rulesets.add(made)
        except ConflictError:
            # Somebody else was faster, or has a ruleset of this name.
            continue
        return made
    raise ConflictError(
        f"the project has another firewall ruleset {GLOBAL_PREFIX + site_id!r}",
        next_step="Rename or delete it.",
    )


def _global_rules(access: LambdaAccess, project: Project) -> tuple[FirewallRule, ...]:
    """Rules of the global ruleset: the same at every site."""
    for ruleset in _all_of(access, project):
        if is_global(ruleset):
            return ruleset.rules
    return DEFAULT_RULES


def _set_global(access: LambdaAccess, project: Project, rules: Sequence[doc.Rule]) -> None:
    """Replace the global rules at every site; instances that run follow, each by an operation."""
    kept, service = _kept("the global firewall ruleset", rules), access.service
    for site_id in service.control.around.fleet.sites.ids:
        found = global_at(access, project, site_id)
        changed = service.rulesets.change(
            found.ruleset_id, None, kept, version=None, now_s=service.now_s()
        )
        service.follower.follow(changed)
    service.worker.wake()


@operation(router, "GET", "/firewall-rules")
def list_lambda_firewall_rules(access: Allowed) -> doc.Answer[list[doc.Rule]]:
    """Rules of the global ruleset."""
    return doc.Answer(data=_shown(_global_rules(access, access.workspace())))


@operation(router, "PUT", "/firewall-rules")
def set_lambda_firewall_rules(body: doc.SetRules, access: Allowed) -> doc.Answer[list[doc.Rule]]:
    """Replace the rules of the global ruleset."""
    project = access.workspace()
    _set_global(access, project, body.data)
    return doc.Answer(data=_shown(_global_rules(access, project)))


@operation(router, "GET", "/firewall-rulesets/global")
def get_lambda_global_firewall_ruleset(access: Allowed) -> doc.Answer[doc.GlobalRuleset]:
    """The ruleset of all instances."""
    rules = _shown(_global_rules(access, access.workspace()))
    return doc.Answer(data=doc.GlobalRuleset(id="global", name="Global", rules=rules))


@operation(router, "PATCH", "/firewall-rulesets/global")
def change_lambda_global_firewall_ruleset(
    body: doc.ChangeGlobalRuleset, access: Allowed
) -> doc.Answer[doc.GlobalRuleset]:
    """Replace the rules of all instances."""
    project = access.workspace()
    _set_global(access, project, body.rules)
    rules = _shown(_global_rules(access, project))
    return doc.Answer(data=doc.GlobalRuleset(id="global", name="Global", rules=rules))


def _document(
    access: LambdaAccess, project: Project, rulesets: Sequence[FirewallRuleset]
) -> list[doc.Ruleset]:
    users: dict[str, list[str]] = {}
    for seen in seen_in(access.service.instances.holding(project.project_id)):
        for ruleset_id in seen.target.firewall_ruleset_ids:
            users.setdefault(ruleset_id, []).append(seen.instance_id)
    return [
        doc.Ruleset(
            id=found.ruleset_id,
            name=found.name,
            region=region_of(access.service, found.site_id),
            rules=_shown(found.rules),
            created=at(found.created_s),
            instance_ids=users.get(found.ruleset_id, []),
        )
        for found in rulesets
    ]


def _one(access: LambdaAccess, project: Project, ruleset_id: str) -> FirewallRuleset:
    for ruleset in _all_of(access, project):
        if ruleset.ruleset_id == ruleset_id and not is_global(ruleset):
            return ruleset
    raise UnknownIdError(
        f"no firewall ruleset {ruleset_id[:64]!r}",
        next_step="See GET /api/v1/firewall-rulesets.",
    )


@operation(router, "GET", "/firewall-rulesets")
def list_lambda_firewall_rulesets(access: Allowed) -> doc.Answer[list[doc.Ruleset]]:
    """Rulesets of the project; the global one is at a place of its own."""
    project = access.workspace()
    found = [one for one in _all_of(access, project) if not is_global(one)]
    return doc.Answer(data=_document(access, project, found))


@operation(router, "POST", "/firewall-rulesets")
def create_lambda_firewall_ruleset(
    body: doc.CreateRuleset, access: Allowed
) -> doc.Answer[doc.Ruleset]:
    """Make a ruleset for instances of one region."""
    project, service = access.workspace(), access.service
    site_id = service.lambda_settings.site_of(body.region)
    if site_id is None:
        raise UnknownIdError(f"no region {body.region!r}", next_step="See GET /api/v1/regions.")
    made = FirewallRuleset(
        ruleset_id=FirewallRulesetId(service.control.new_id("fwr")),
        project_id=project.project_id,
        name=body.name,
        site_id=SiteId(site_id),
        rules=_kept(f"firewall ruleset {body.name!r}", body.rules),
        version=1,
        created_s=service.now_s(),
        follow_at_s=None,
    )
    service.rulesets.add(made)
    return doc.Answer(data=_document(access, project, [made])[0])


@operation(router, "GET", "/firewall-rulesets/{ruleset_id}")
def get_lambda_firewall_ruleset(ruleset_id: str, access: Allowed) -> doc.Answer[doc.Ruleset]:
    """One ruleset."""
    project = access.workspace()
    found = _one(access, project, ruleset_id)
    return doc.Answer(data=_document(access, project, [found])[0])


@operation(router, "PATCH", "/firewall-rulesets/{ruleset_id}")
def change_lambda_firewall_ruleset(
    ruleset_id: str, body: doc.ChangeRuleset, access: Allowed
) -> doc.Answer[doc.Ruleset]:
    """Change a ruleset; instances that name it follow, each by an operation."""
    project, service = access.workspace(), access.service
    found = _one(access, project, ruleset_id)
    rules = None if body.rules is None else _kept(f"firewall ruleset {found.name!r}", body.rules)
    changed = service.rulesets.change(
        found.ruleset_id, body.name, rules, version=None, now_s=service.now_s()
    )
    if rules is not None:
        service.follower.follow(changed)
        service.worker.wake()
    return doc.Answer(data=_document(access, project, [changed])[0])


@operation(router, "DELETE", "/firewall-rulesets/{ruleset_id}")
def delete_lambda_firewall_ruleset(ruleset_id: str, access: Allowed) -> doc.Answer[doc.Nothing]:
    """Forget a ruleset that no instance and no cluster names."""
    found = _one(access, access.workspace(), ruleset_id)
    try:
        access.service.rulesets.remove(found.ruleset_id)
    except ConflictError as error:
        raise CodedError(
            IN_USE, str(error), "Terminate every instance that names it, then delete it."
        ) from error
    return doc.Answer(data=doc.Nothing())


def rulesets_of(
    access: LambdaAccess, project: Project, body: doc.LaunchRequest, site_id: str
) -> tuple[FirewallRuleset, ...]:
    """Rulesets of a new instance: the global one, and those that the request names.

    Raises:
        UnknownIdError: the project has no such ruleset.
        InputError: one is for another region.
    """
    named = own_rulesets(
        access, project.project_id, [one.id for one in body.firewall_rulesets or ()]
    )
    for ruleset in named:
        if ruleset.site_id != site_id:
            raise InputError(
                f"firewall ruleset {ruleset.ruleset_id!r} is for another region",
                next_step="Name rulesets of the region of the instance.",
            )
    return (global_at(access, project, site_id), *(one for one in named if not is_global(one)))
