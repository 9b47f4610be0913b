"""Revision 0018: who took a node out of service, apart from why.

Until now the reason ended with the account's id in brackets, for tenants to read. Written out once
and never changed: what the schema modules say moves on, this stays.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_SAID = re.compile(r"(?s)(.*) \(by (acc_[0-9a-z]+)\)")

_NODES = sa.table(
    "node",
    sa.column("node_id", sa.Text),
    sa.column("reason", sa.Text),
    sa.column("by_account_id", sa.Text),
    sa.column("by_name", sa.Text),
)
_ACCOUNTS = sa.table("account", sa.column("account_id", sa.Text), sa.column("name", sa.Text))


def upgrade() -> None:
    """Make the columns, and move there what reasons say."""
    op.add_column("node", sa.Column("by_account_id", _NAME, nullable=True))
    op.add_column("node", sa.Column("by_name", sa.Text, nullable=True))
    connection = op.get_bind()
    accounts = connection.execute(sa.select(_ACCOUNTS.c.account_id, _ACCOUNTS.c.name))
    names = {row.account_id: row.name for row in accounts}
    for node_id, reason in connection.execute(sa.select(_NODES.c.node_id, _NODES.c.reason)).all():
        said = _SAID.fullmatch(reason)
        if said is not None:
            changed = {
                "reason": said[1],
                "by_account_id": said[2],
                "by_name": names.get(said[2], ""),
            }
            connection.execute(sa.update(_NODES).where(_NODES.c.node_id == node_id).values(changed))
