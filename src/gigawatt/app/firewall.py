"""Makes clusters follow their firewall rulesets.

A ruleset says what is wanted; what a cluster's gateway lets in is in its target. Whoever changes a
ruleset only writes it down with the wish that clusters follow. Then, and again until all do, each
cluster that differs gets an operation of its own. So a server that dies in between loses nothing,
and a cluster that is launching or changing follows when it is active (ADR-0025).
"""

from collections.abc import Iterable
from contextlib import suppress

from gigawatt.app.control import Control
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import ClusterId, FirewallRulesetId, OperationId
from gigawatt.intent.firewall import InboundRule, union_of
from gigawatt.interfaces.firewall import FirewallRuleset, FirewallRulesets
from gigawatt.planner.configure import Configuration
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import Plan
from gigawatt.planner.snapshot import Snapshot

FOLLOW_PAUSE_S = 10.0
"""Pause before clusters that do not follow yet are asked again: they change, or a device said no.
Ours: longer than a change takes, shorter than anybody's patience."""

_MAY_FOLLOW = frozenset({Phase.LAUNCHING, Phase.ACTIVE, Phase.CHANGING})
"""Phases of clusters that are, or may become, active."""


def _ways_in(target: ClusterTarget) -> tuple[object, ...]:
    return target.firewall_ruleset_ids, target.inbound_rules


class FirewallFollower:
    """Brings clusters to what their rulesets say."""

    def __init__(self, control: Control, rulesets: FirewallRulesets) -> None:
        """Follow ``rulesets`` with the clusters of ``control``."""
        self._control = control
        self._rulesets = rulesets

    def wanted(self, ruleset_ids: Iterable[FirewallRulesetId]) -> tuple[InboundRule, ...]:
        """What rulesets let in together, as of now.

        Raises:
            UnknownIdError: one of them is not there.
        """
        return union_of([self._rulesets.get(name).inbound_rules for name in ruleset_ids])

    def admit(self, _view: Snapshot, plan: Plan) -> None:
        """Nothing, if the rules that a plan brings are those of its rulesets now.

        A change of a ruleset raises the generation, so none slips in before the commit.

        Raises:
            ConflictError: a ruleset has changed since the plan was made.
        """
        before, after = plan.before, plan.after
        if after is None or (before is not None and _ways_in(before) == _ways_in(after)):
            return
        try:
            wanted = self.wanted(after.firewall_ruleset_ids)
        except UnknownIdError as error:
            raise ConflictError(f"plan {plan.plan_id!r}: {error}") from error
        if wanted != after.inbound_rules:
            raise ConflictError(
                f"a firewall ruleset has changed since plan {plan.plan_id!r} was made",
                next_step="Plan again.",
            )

    def follow_due(self) -> None:
        """Ask the clusters of every ruleset whose time has come."""
        for ruleset in self._rulesets.due(self._control.around.clock.now_s()):
            self.follow(ruleset)

    def follow(self, ruleset: FirewallRuleset) -> tuple[OperationId, ...]:
        """Begin an operation on each cluster that differs from its rulesets and can be changed.

        Returns:
            The operations begun. Clusters that cannot be changed now are asked again later.
        """
        begun: list[OperationId] = []
        waiting = False
        for cluster_id in self._rulesets.users(ruleset.ruleset_id):
            record = self._control.around.store.cluster(cluster_id)
            if record.target is None or record.phase not in _MAY_FOLLOW:
                continue
            if record.phase is Phase.ACTIVE:
                wanted = self.wanted(record.target.firewall_ruleset_ids)
                if wanted == record.target.inbound_rules:
                    continue
                with suppress(ConflictError):
                    begun.append(self._begin(cluster_id))
            waiting = True
        now_s = self._control.around.clock.now_s()
        self._rulesets.followed(ruleset, now_s + FOLLOW_PAUSE_S if waiting else None)
        return tuple(begun)

    def _begin(self, cluster_id: ClusterId) -> OperationId:
        def make_plan() -> Plan:
            target = self._control.around.store.cluster(cluster_id).target
            if target is None:
                raise ConflictError(f"cluster {cluster_id!r} is gone")
            wish = Configuration(inbound_rules=self.wanted(target.firewall_ruleset_ids))
            return self._control.plan_configure(cluster_id, wish)

        return self._control.commit_new(make_plan, admit=self.admit).operation_id
