"""``SqlFirewallRulesets``: the ``FirewallRulesets`` on the store's own database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, UnknownIdError, VersionError
from gigawatt.ids import ClusterId, FirewallRulesetId, SiteId, TenantId
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.firewall import FirewallRule, FirewallRuleset, FirewallRulesets
from gigawatt.store import clusters, operations
from gigawatt.store.database import Database, raise_generation
from gigawatt.store.firewall_schema import firewall_rulesets

_RULES = TypeAdapter(tuple[FirewallRule, ...])
_columns = firewall_rulesets.c


def _ruleset(row: Row[Any]) -> FirewallRuleset:
    return FirewallRuleset(
        ruleset_id=FirewallRulesetId(row.ruleset_id),
        project_id=TenantId(row.project_id),
        name=row.name,
        site_id=SiteId(row.site_id),
        rules=_RULES.validate_json(row.rules),
        version=row.version,
        created_s=row.created_s,
        follow_at_s=row.follow_at_s,
    )


def _values(ruleset: FirewallRuleset) -> dict[str, Any]:
    return {
        "ruleset_id": ruleset.ruleset_id,
        "project_id": ruleset.project_id,
        "name": ruleset.name,
        "site_id": ruleset.site_id,
        "rules": _RULES.dump_json(ruleset.rules).decode(),
        "version": ruleset.version,
        "created_s": ruleset.created_s,
        "follow_at_s": ruleset.follow_at_s,
    }


def _one(connection: Connection, ruleset_id: FirewallRulesetId) -> FirewallRuleset:
    query = select(firewall_rulesets).where(_columns.ruleset_id == ruleset_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no firewall ruleset {ruleset_id!r}")
    return _ruleset(row)


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"the project has a firewall ruleset {name!r} already", next_step="Choose another name."
    )


def _users(connection: Connection, ruleset_id: FirewallRulesetId) -> tuple[ClusterId, ...]:
    """Clusters whose target names a ruleset, or did before an operation that may be undone."""
    targets = [record.target for record in clusters.holders(connection)]
    targets += [operation.plan.before for operation in operations.open_operations(connection)]
    return tuple(
        sorted(
            {
                target.cluster_id
                for target in targets
                if target is not None and ruleset_id in target.firewall_ruleset_ids
            }
        )
    )


class SqlFirewallRulesets:
    """Firewall rulesets; every method is what ``FirewallRulesets`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def add(self, ruleset: FirewallRuleset) -> None:
        """Keep a ruleset."""
        with self._database.write() as connection:
            try:
                connection.execute(insert(firewall_rulesets), _values(ruleset))
            except IntegrityError as error:
                raise _taken(ruleset.name) from error

    def get(self, ruleset_id: FirewallRulesetId) -> FirewallRuleset:
        """One ruleset."""
        with self._database.read() as connection:
            return _one(connection, ruleset_id)

    def page(self, reach: Reach, after: str, limit: int) -> tuple[FirewallRuleset, ...]:
        """Rulesets that a caller sees, by id after ``after``."""
        query = select(firewall_rulesets).where(_columns.ruleset_id > after)
        if reach.project_ids is not None:
            query = query.where(_columns.project_id.in_(sorted(reach.project_ids)))
        return self._read(query.order_by(_columns.ruleset_id).limit(limit))

    def change(
        self,
        ruleset_id: FirewallRulesetId,
        name: str | None,
        rules: Sequence[FirewallRule] | None,
        *,
        version: int | None,
        now_s: float,
    ) -> FirewallRuleset:
        """Another name or other rules."""
        with self._database.write() as connection:
            raise_generation(connection)
            found = _one(connection, ruleset_id)
            if version not in {None, found.version}:
                raise VersionError(
                    f"firewall ruleset {ruleset_id!r} has version {found.version}, the caller has "
                    f"{version}"
                )
            changed = replace(
                found,
                name=found.name if name is None else name,
                rules=found.rules if rules is None else tuple(rules),
                version=found.version + 1,
                follow_at_s=found.follow_at_s if rules is None else now_s,
            )
            row = update(firewall_rulesets).where(_columns.ruleset_id == ruleset_id)
            try:
                connection.execute(row.values(**_values(changed)))
            except IntegrityError as error:
                raise _taken(changed.name) from error
            return changed

    def remove(self, ruleset_id: FirewallRulesetId) -> None:
        """Forget a ruleset."""
        with self._database.write() as connection:
            raise_generation(connection)
            _one(connection, ruleset_id)
            users = _users(connection, ruleset_id)
            if users:
                raise ConflictError(
                    f"firewall ruleset {ruleset_id!r} is in use by {', '.join(users[:5])}",
                    next_step="Configure those clusters without it first.",
                )
            connection.execute(delete(firewall_rulesets).where(_columns.ruleset_id == ruleset_id))

    def users(self, ruleset_id: FirewallRulesetId) -> tuple[ClusterId, ...]:
        """Clusters that name a ruleset, or may again."""
        with self._database.read() as connection:
            return _users(connection, ruleset_id)

    def due(self, now_s: float) -> tuple[FirewallRuleset, ...]:
        """Rulesets whose clusters shall be asked to follow now."""
        query = select(firewall_rulesets).where(_columns.follow_at_s <= now_s)
        return self._read(query.order_by(_columns.ruleset_id))

    def followed(self, ruleset: FirewallRuleset, again_at_s: float | None) -> None:
        """Say when to ask again, or never."""
        is_same = (_columns.ruleset_id == ruleset.ruleset_id) & (
            _columns.version == ruleset.version
        )
        with self._database.write() as connection:
            connection.execute(
                update(firewall_rulesets).where(is_same).values(follow_at_s=again_at_s)
            )

    def _read(self, query: Select[Any]) -> tuple[FirewallRuleset, ...]:
        with self._database.read() as connection:
            return tuple(_ruleset(row) for row in connection.execute(query))


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[FirewallRulesets] = SqlFirewallRulesets
