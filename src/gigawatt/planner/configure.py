"""Plans a change of what a running cluster's gateway lets out and in.

Old and new are one entry under one key, written at once. So at every moment the gateway lets
through what it did before, or what it shall after, and never more than both together.
"""

from dataclasses import dataclass, replace

from gigawatt.errors import InputError
from gigawatt.ids import FirewallRulesetId
from gigawatt.intent.firewall import RULESETS_PER_CLUSTER_MAX, InboundRule, rule_complaint
from gigawatt.intent.networks import outside_complaint
from gigawatt.planner.launch import PlanIds
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.resize import change_plan, live_target
from gigawatt.planner.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a gateway shall let through; what is None stays as it is.

    Fields:
        egress_cidrs: networks outside that hosts may reach.
        firewall_ruleset_ids, inbound_rules: given together, as in ``ClusterRequest``.
    """

    egress_cidrs: tuple[str, ...] | None = None
    firewall_ruleset_ids: tuple[FirewallRulesetId, ...] | None = None
    inbound_rules: tuple[InboundRule, ...] | None = None


def _check(name: str, wish: Configuration) -> None:
    complaints = [
        *(outside_complaint("egress", cidr) for cidr in wish.egress_cidrs or ()),
        *(rule_complaint(rule) for rule in wish.inbound_rules or ()),
    ]
    bad = [complaint for complaint in complaints if complaint is not None]
    count = len(wish.firewall_ruleset_ids or ())
    if count > RULESETS_PER_CLUSTER_MAX:
        bad.append(f"{count} firewall rulesets, at most {RULESETS_PER_CLUSTER_MAX}")
    if bad:
        raise InputError(f"cluster {name!r}: " + "; ".join(bad))


def plan_configure(snapshot: Snapshot, wish: Configuration, ids: PlanIds) -> Plan:
    """The plan that gives a live cluster another way out or in; empty of steps if it has it.

    Raises:
        InputError: the cluster is not live, or what is wanted is wrong.
    """
    before = live_target(snapshot, ids)
    _check(before.name, wish)
    after = before
    if wish.egress_cidrs is not None:
        after = replace(after, egress_cidrs=wish.egress_cidrs)
    if wish.firewall_ruleset_ids is not None:
        after = replace(after, firewall_ruleset_ids=wish.firewall_ruleset_ids)
    if wish.inbound_rules is not None:
        after = replace(after, inbound_rules=wish.inbound_rules)
    reason = (
        f"{len(after.egress_cidrs)} networks to go out to, {len(after.inbound_rules)} rules to "
        "come in by"
    )
    return change_plan(snapshot, OperationKind.CONFIGURE, ids, (before, after), reason)
