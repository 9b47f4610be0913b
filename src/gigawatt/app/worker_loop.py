"""The worker of a server: finds operations that nobody carries on, and carries them on.

It lives in a thread of its own with its own event loop, because stores and drivers block. Leases
in the store keep several servers from carrying out one operation twice (ADR-0020).
"""

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gigawatt.app.control import Control
from gigawatt.app.wiring import worker_name
from gigawatt.errors import ConflictError, GigawattError, StaleGenerationError
from gigawatt.ids import OperationId
from gigawatt.interfaces.directory import Directory

POLL_S = 0.5
"""Pause between two looks for work that other servers or the command line have left. Ours."""

CONCURRENT_COUNT_MAX = 8
"""Operations carried on at the same time by one server. Ours."""

_log = logging.getLogger("gigawatt.worker")


class Worker(Protocol):
    """What carries operations on, as the rest of a service sees it."""

    name: str
    recent_errors: deque[str]

    @property
    def is_alive(self) -> bool:
        """Whether it looks for work."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def wake(self) -> None:
        """Look for work now: something was committed."""
        ...

    def stop(self, grace_s: float) -> None:
        """Take no more work, and wait at most ``grace_s`` for what is under way."""
        ...


class WorkerLoop:
    """Carries operations on until it is told to stop."""

    def __init__(
        self,
        control: Control,
        directory: Directory,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Make a worker with a name that no other has; it starts nothing by itself.

        Args:
            control: what carries operations on.
            directory: where operations that nobody carries are found.
            chores: done at every look, before operations are taken on; each is brief, does
                nothing most times, and may commit operations.
        """
        self.name = f"{worker_name()}:{secrets.token_hex(4)}"
        self._control = control
        self._directory = directory
        self._chores = tuple(chores)
        self._tasks: dict[OperationId, asyncio.Task[None]] = {}
        self._is_stopping = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.recent_errors: deque[str] = deque(maxlen=20)

    @property
    def is_alive(self) -> bool:
        """Whether it looks for work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, in a new thread."""
        self._thread = threading.Thread(target=self._main, name="gigawatt-worker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for work now: something was committed."""
        if self._loop is not None and self.is_alive:
            self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self, grace_s: float) -> None:
        """Take no more work, wait ``grace_s`` for what is under way, and let go of the rest.

        What was let go is carried on by another server, or by this one when it starts again.
        """
        self._is_stopping = True
        if self._thread is None or self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(grace_s)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._drop_all)
            self._thread.join()
        self._directory.let_go(self.name, self._control.around.clock.now_s())

    def _drop_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._look_for_work())

    async def _look_for_work(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            try:
                self._turn_back()
                for chore in self._chores:
                    chore()
                self._take_on()
            except GigawattError as error:
                self._note("looking for work", error)
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_S)
            except TimeoutError:
                continue
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _take_on(self) -> None:
        now_s = self._control.around.clock.now_s()
        for operation_id in self._directory.waiting_operations(now_s):
            if len(self._tasks) >= CONCURRENT_COUNT_MAX:
                return
            if operation_id not in self._tasks:
                self._begin(operation_id)

    def _begin(self, operation_id: OperationId, after: asyncio.Task[None] | None = None) -> None:
        task = asyncio.create_task(self._carry(operation_id, after))
        self._tasks[operation_id] = task
        task.add_done_callback(lambda done: self._forget(operation_id, done))

    def _forget(self, operation_id: OperationId, done: asyncio.Task[None]) -> None:
        if self._tasks.get(operation_id) is done:
            del self._tasks[operation_id]
        self._wake.set()

    def _turn_back(self) -> None:
        """Stop operations of our own that somebody wants to cancel; they begin anew, backwards."""
        for operation_id in self._directory.cancellations(list(self._tasks)):
            task = self._tasks[operation_id]
            line = self._directory.operation_line(operation_id)
            if line.state == "applying" and not task.cancelling() and not task.done():
                task.cancel()
                self._begin(operation_id, task)

    async def _carry(self, operation_id: OperationId, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        try:
            self._cancel_if_asked(operation_id)
            await self._control.run(operation_id, self.name)
        except (ConflictError, StaleGenerationError):
            return
        except (GigawattError, AssertionError) as error:
            # Its lease stays, so that it is tried again when that is over and not at once.
            self._note(operation_id, error)

    def _cancel_if_asked(self, operation_id: OperationId) -> None:
        who = self._directory.cancellations([operation_id]).get(operation_id)
        line = self._directory.operation_line(operation_id)
        if who is not None and line.state == "applying" and line.kind.is_reversible:
            self._control.cancel(operation_id, self.name, f"cancelled by {who}")

    def _note(self, what: str, error: Exception) -> None:
        self.recent_errors.append(f"{what}: {type(error).__name__}: {error}")
        _log.error("%s: %s: %s", what, type(error).__name__, error)
