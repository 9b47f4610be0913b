"""Transactions on one database, the generation counter, and faults told in our own words."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import Literal

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gigawatt.errors import ConflictError, GigawattError
from gigawatt.store import schema

_GENERATION = select(schema.counters.c.value).where(schema.counters.c.name == "generation")

Explain = Callable[[BaseException], GigawattError]

Observe = Callable[[Literal["read", "write"], float, bool], None]
"""Told of each transaction: its kind, how many seconds it took, and whether it went well."""


class Database:
    """A database with one way to read and one to write."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        writer: Engine,
        explain: Explain,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Read through ``engine`` and write through ``writer``, a view of the same engine.

        ``name`` is for sentences, without secrets; ``explain`` turns a driver's error into ours;
        ``turn`` gives a turn of planning.
        """
        self.name = name
        self._engine = engine
        self._writer = writer
        self._explain = explain
        self._turn = turn
        self._observe: Observe | None = None

    def observe_with(self, observe: Observe) -> None:
        """Tell ``observe``, which must not raise, of each transaction from now on."""
        self._observe = observe

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent read.

        Raises:
            DataError: the database is damaged or out of reach.
        """
        with self._timed("read"), self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: durable when the block ends, nothing changed when it raises.

        Raises:
            ConflictError: another writer did not let go in time.
            DataError: the database is damaged or out of reach.
            StorageFullError: the disk is full.
        """
        with self._timed("write"), self._translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn of planning, or none if it does not come soon; see ``store.turns``."""
        with self._translated(), self._turn():
            yield

    def close(self) -> None:
        """Release files and connections."""
        with self._translated():
            self._engine.dispose()

    @contextmanager
    def _timed(self, kind: Literal["read", "write"]) -> Iterator[None]:
        if self._observe is None:
            yield
            return
        began_s, went_well = perf_counter(), False
        try:
            yield
            went_well = True
        finally:
            self._observe(kind, perf_counter() - began_s, went_well)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error.orig or error) from error
        except PoolTimeoutError as error:
            raise ConflictError("the store has no free connection: too many threads use it") from (
                error
            )


def current_generation(connection: Connection) -> int:
    """The generation; every commit and every take-over raises it."""
    return int(connection.execute(_GENERATION).scalar_one())


def lock_generation(connection: Connection) -> int:
    """The generation, locked against other writers until the transaction ends.

    Every change of holdings and every line of the audit trail takes this lock first, so that on
    a database with row locks two changes cannot pass each other unseen, and nobody who follows
    the trail misses a line that got its number early and was committed late. SQLite locks the
    whole file when a write begins.
    """
    return int(connection.execute(_GENERATION.with_for_update()).scalar_one())


def raise_generation(connection: Connection, parent_generation: int | None = None) -> int:
    """The next generation, newer than any before.

    Args:
        connection: a write transaction.
        parent_generation: what the generation must be now; None takes any.

    Raises:
        ConflictError: the generation is another.
    """
    found = lock_generation(connection)
    if parent_generation not in {None, found}:
        raise ConflictError(
            f"the plan was made at generation {parent_generation}, the store is at {found}"
        )
    connection.execute(
        update(schema.counters)
        .where(schema.counters.c.name == "generation")
        .values(value=found + 1)
    )
    return found + 1
