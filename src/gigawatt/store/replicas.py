"""``SqlReplicas``: the ``Replicas`` on the store's own tables."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from gigawatt.ids import OperationId
from gigawatt.interfaces.replicas import Duty, Hold, Replicas
from gigawatt.store import version
from gigawatt.store.address import Place
from gigawatt.store.database import Database
from gigawatt.store.open import database_at
from gigawatt.store.replica_schema import duties, heartbeats
from gigawatt.store.schema import operations


def open_replicas(place: Place) -> "SqlReplicas":
    """The replicas of the store at a place, on connections of their own.

    A beat must not wait for a connection behind a hundred requests.
    """
    return SqlReplicas(database_at(place))


class SqlReplicas:
    """Heartbeats, holds and duties; every method is what ``Replicas`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def close(self) -> None:
        """Release files and connections."""
        self._database.close()

    def beat(self, worker: str, now_s: float) -> Mapping[str, int]:
        """Say that a worker lives; the beats of all workers."""
        with self._database.write() as connection:
            version.refuse_changed(connection, self._database.name)
            mine = heartbeats.c.worker == worker
            risen = update(heartbeats).where(mine).values(beat=heartbeats.c.beat + 1)
            if connection.execute(risen).rowcount == 0:
                row = {"worker": worker, "beat": 1, "started_s": now_s}
                connection.execute(insert(heartbeats), row)
            rows = connection.execute(select(heartbeats.c.worker, heartbeats.c.beat))
            return {found.worker: found.beat for found in rows}

    def holds(self) -> tuple[Hold, ...]:
        """Open operations that are not stuck, oldest first."""
        columns = operations.c
        query = (
            select(
                columns.operation_id,
                columns.lease_worker,
                columns.generation,
                columns.lease_expires_s,
                columns.opened_generation,
            )
            .where(columns.is_open, columns.state != "stuck")
            .order_by(columns.opened_generation)
        )
        with self._database.read() as connection:
            version.refuse_changed(connection, self._database.name)
            return tuple(
                Hold(
                    operation_id=OperationId(row.operation_id),
                    worker=row.lease_worker,
                    generation=row.generation,
                    expires_s=row.lease_expires_s,
                    is_begun=row.generation != row.opened_generation,
                )
                for row in connection.execute(query)
            )

    def end_hold(self, hold: Hold) -> bool:
        """Take an operation from a worker without a heartbeat; False if it has changed since."""
        columns = operations.c
        same = (
            (columns.operation_id == hold.operation_id)
            & (columns.lease_worker == hold.worker)
            & (columns.generation == hold.generation)
            & (columns.lease_expires_s == hold.expires_s)
            & columns.is_open
        )
        with self._database.write() as connection:
            freed = update(operations).where(same).values(lease_worker=None, lease_expires_s=None)
            return connection.execute(freed).rowcount == 1

    def give_up(self, worker: str, beat: int) -> int:
        """Forget a worker that is lost and free all that it holds, unless it has beaten since."""
        columns = heartbeats.c
        mine = (operations.c.lease_worker == worker) & operations.c.is_open
        with self._database.write() as connection:
            still = (columns.worker == worker) & (columns.beat == beat)
            if connection.execute(delete(heartbeats).where(still)).rowcount == 0:
                return 0
            freed = update(operations).where(mine).values(lease_worker=None, lease_expires_s=None)
            return int(connection.execute(freed).rowcount)

    def leave(self, worker: str) -> int:
        """A worker stops: forget it and let go of all that it holds; how many there were."""
        mine = (operations.c.lease_worker == worker) & operations.c.is_open
        with self._database.write() as connection:
            freed = update(operations).where(mine).values(lease_worker=None, lease_expires_s=None)
            count = int(connection.execute(freed).rowcount)
            held = update(duties).where(duties.c.worker == worker).values(worker=None)
            connection.execute(held)
            connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))
            return count

    def claim(
        self, duty: str, worker: str, period_s: float, now_s: float, is_lost: Callable[[str], bool]
    ) -> bool:
        """Whether a worker shall do now what one at a time does every ``period_s``.

        A moment in the future means that a clock was set back; then it is due as well.
        """
        mine = duties.c.name == duty
        with self._database.write() as connection:
            row = connection.execute(select(duties).where(mine).with_for_update()).one_or_none()
            if row is None:
                connection.execute(insert(duties), {"name": duty, "worker": None, "done_s": now_s})
                return False
            if row.done_s is not None and 0.0 <= now_s - row.done_s < period_s:
                return False
            if row.worker not in {None, worker} and not is_lost(row.worker):
                return False
            connection.execute(update(duties).where(mine).values(worker=worker))
            return True

    def end_duty(self, duty: str, worker: str, now_s: float) -> None:
        """A worker has done its duty, unless another one took it meanwhile."""
        mine = (duties.c.name == duty) & (duties.c.worker == worker)
        with self._database.write() as connection:
            connection.execute(update(duties).where(mine).values(worker=None, done_s=now_s))

    def duty(self, duty: str) -> Duty | None:
        """How a duty stands; None if nobody ever asked for it."""
        query = select(duties.c.worker, duties.c.done_s).where(duties.c.name == duty)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Duty(row.worker, row.done_s)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Replicas] = SqlReplicas
