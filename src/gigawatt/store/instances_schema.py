"""The table of instances, in the same database as the store's."""

from sqlalchemy import Column, Double, ForeignKey, Table, Text

from gigawatt.store.schema import NAME, metadata

instances = Table(
    "instance",
    metadata,
    Column("instance_id", NAME, primary_key=True),
    Column("project_id", NAME, ForeignKey("project.project_id"), nullable=False, index=True),
    Column("cluster_id", NAME, nullable=False, unique=True),
    Column("name", Text, nullable=True),
    Column("tags", Text, nullable=False),
    Column("ssh_key_names", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("release_asked_s", Double, nullable=True, index=True),
)
"""Instances, those of ended clusters too. Tags and names of SSH keys are JSON. The cluster is no
foreign key: its row is written after this one, so that no cluster is ever without its instance."""
