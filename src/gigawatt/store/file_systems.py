"""``SqlFileSystems``: the ``FileSystems`` on the store's own database."""

from typing import TYPE_CHECKING

from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.file_systems import FileSystems
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.store.database import Database
from gigawatt.store.directory_pages import cluster_page


class SqlFileSystems:
    """File systems; every method is what ``FileSystems`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, name: str | None
    ) -> tuple[tuple[int, ClusterRecord], ...]:
        """File systems, newest first, before a place."""
        with self._database.read() as connection:
            return cluster_page(
                connection,
                reach,
                (before, limit),
                with_ended=with_ended,
                name=name,
                is_file_system=True,
            )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[FileSystems] = SqlFileSystems
