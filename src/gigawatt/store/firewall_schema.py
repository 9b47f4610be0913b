"""Tables of firewall rulesets, in the same database as the store's."""

from sqlalchemy import Column, Double, ForeignKey, Integer, Table, Text, UniqueConstraint

from gigawatt.store.schema import NAME, metadata

"""Ids and words, sorted byte by byte on both engines."""

firewall_rulesets = Table(
    "firewall_ruleset",
    metadata,
    Column("ruleset_id", NAME, primary_key=True),
    Column("project_id", NAME, ForeignKey("project.project_id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("site_id", NAME, nullable=False),
    Column("rules", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("follow_at_s", Double, nullable=True, index=True),
    UniqueConstraint("project_id", "name", name="firewall_ruleset_name"),
)
"""Rulesets. Rules are JSON; ``follow_at_s`` is null when every cluster follows."""
