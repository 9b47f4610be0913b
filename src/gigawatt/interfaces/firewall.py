"""What a store of firewall rulesets must offer.

A ruleset is what a project wants; clusters that name it follow, each by an operation of its own.
Every method is one transaction and raises as those of ``Store`` do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import ClusterId, FirewallRulesetId, SiteId, TenantId
from gigawatt.intent.firewall import InboundRule
from gigawatt.interfaces.directory import Reach


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """An inbound rule and what its author says of it; devices are told the rule alone."""

    rule: InboundRule
    description: str


@dataclass(frozen=True, slots=True)
class FirewallRuleset:
    """A named set of inbound rules of one project at one site.

    Fields:
        version: counts changes, from 1.
        follow_at_s: when clusters shall next be asked to follow; None when all of them do.
    """

    ruleset_id: FirewallRulesetId
    project_id: TenantId
    name: str
    site_id: SiteId
    rules: tuple[FirewallRule, ...]
    version: int
    created_s: float
    follow_at_s: float | None

    @property
    def inbound_rules(self) -> tuple[InboundRule, ...]:
        """The rules alone."""
        return tuple(kept.rule for kept in self.rules)


class FirewallRulesets(Protocol):
    """Durable rulesets.

    A change or removal raises the store's generation, so that a cluster planned with the rules
    of before is judged again before it is committed.
    """

    def add(self, ruleset: FirewallRuleset) -> None:
        """Keep a ruleset.

        Raises:
            ConflictError: the project has one of this name.
        """
        ...

    def get(self, ruleset_id: FirewallRulesetId) -> FirewallRuleset:
        """One ruleset.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def page(self, reach: Reach, after: str, limit: int) -> tuple[FirewallRuleset, ...]:
        """Rulesets that a caller sees, by id after ``after``."""
        ...

    def change(
        self,
        ruleset_id: FirewallRulesetId,
        name: str | None,
        rules: Sequence[FirewallRule] | None,
        *,
        version: int | None,
        now_s: float,
    ) -> FirewallRuleset:
        """Another name or other rules; what is None stays. Clusters shall follow from now on.

        Raises:
            ConflictError: the project has one of this name.
            UnknownIdError: there is none.
            VersionError: it has another version than ``version``, unless that is None.
        """
        ...

    def remove(self, ruleset_id: FirewallRulesetId) -> None:
        """Forget a ruleset.

        Raises:
            ConflictError: a cluster names it, or an operation under way may bring one back to it.
            UnknownIdError: there is none.
        """
        ...

    def users(self, ruleset_id: FirewallRulesetId) -> tuple[ClusterId, ...]:
        """Clusters that name a ruleset, or may again when an operation under way is undone."""
        ...

    def due(self, now_s: float) -> tuple[FirewallRuleset, ...]:
        """Rulesets whose clusters shall be asked to follow now."""
        ...

    def followed(self, ruleset: FirewallRuleset, again_at_s: float | None) -> None:
        """Say when to ask again, or None: never; nothing if it was changed meanwhile."""
        ...
