"""The worker of a server: finds operations that nobody carries on, and carries them on.

It lives in a thread of its own with its own event loop, because stores and drivers block
(ADR-0020). Heartbeats tell which other workers live; what a lost one held is taken over at once
(ADR-0030).
"""

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gigawatt.app.control import Control
from gigawatt.app.heartbeat import BEAT_S, READY_S, Heartbeat
from gigawatt.app.lookout import Lookout
from gigawatt.app.wiring import worker_name
from gigawatt.errors import ConflictError, GigawattError, StaleGenerationError
from gigawatt.ids import OperationId
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.replicas import Hold, Replicas

POLL_S = 0.5
"""Pause between two looks for work that other servers or the command line have left. Ours."""

CONCURRENT_COUNT_MAX = 8
"""New operations carried on at the same time by one server. Ours."""

TAKEN_OVER_COUNT_MAX = 32
"""Operations in all, with those that a lost worker had begun: those wait for no place. Ours."""

SILENT_LEASE_S = 30.0
"""A worker without a heartbeat, as the command line's, is lost when its lease stands still so."""

BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.5, 30.0
"""Wait before something that failed is tried again; doubled up to the maximum. Ours."""

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

    def retire(self) -> None:
        """Take no more work from now on."""
        ...

    def stop(self, grace_s: float) -> None:
        """Take no more work, and wait at most ``grace_s`` for what is under way."""
        ...

    def troubles(self) -> tuple[str, ...]:
        """Why it is not ready, one sentence each; none if it is."""
        ...

    def is_lost(self, worker: str) -> bool:
        """Whether another worker of this name was seen to be gone."""
        ...


class WorkerLoop:
    """Carries operations on until it is told to stop."""

    def __init__(
        self,
        control: Control,
        directory: Directory,
        replicas: Replicas,
        chores: Sequence[Callable[[], object]] = (),
    ) -> None:
        """Make a worker with a name that no other has; it starts nothing by itself.

        Args:
            control: what carries operations on.
            directory: where operations that nobody carries are found.
            replicas: who else carries operations on.
            chores: done again and again, beside the operations; each does nothing most times,
                and may commit operations.
        """
        self.name = f"{worker_name()}:{secrets.token_hex(4)}"
        self.heartbeat = Heartbeat(replicas, self.name, control.around.clock, self.wake)
        self._control = control
        self._directory = directory
        self._chores = tuple(chores)
        self._replicas = replicas
        self._leases = Lookout(SILENT_LEASE_S, 4 * POLL_S)
        self._tasks: dict[OperationId, asyncio.Task[None]] = {}
        self._failed: dict[OperationId, tuple[int, float]] = {}
        self._is_stopping = threading.Event()
        self._is_looking = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.restart_count = 0
        self.recent_errors: deque[str] = deque(maxlen=20)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def is_lost(self, worker: str) -> bool:
        """Whether another worker of this name was seen to be gone."""
        return self.heartbeat.is_lost(worker)

    def troubles(self) -> tuple[str, ...]:
        """Why it is not ready, one sentence each; none if it is."""
        found = []
        if not self.is_alive:
            found.append("the worker does not run")
        elif not self._is_looking:
            found.append(f"the worker failed and starts again (restart {self.restart_count})")
        age_s = self.heartbeat.age_s
        if age_s is None or age_s > READY_S:
            since = "" if age_s is None else f" for {age_s:.0f} s"
            found.append(f"the store has not taken a heartbeat{since}")
        if self._is_stopping.is_set():
            found.append("the server is stopping")
        return tuple(found)

    @property
    def task_count(self) -> int:
        """Operations that it carries on now."""
        return len(self._tasks)

    def start(self) -> None:
        """Begin, in a new thread."""
        self.heartbeat.start()
        self._is_looking = True
        self._thread = threading.Thread(target=self._main, name="gigawatt-worker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for work now: something was committed."""
        self._call_soon(self._wake.set)

    def retire(self) -> None:
        """Take no more work; what is under way goes on."""
        self._is_stopping.set()
        self.wake()

    def stop(self, grace_s: float) -> None:
        """Take no more work, wait ``grace_s`` for what is under way, and let go of the rest.

        What was let go is carried on by another server, or by this one when it starts again.
        """
        self.retire()
        if self._thread is None:
            return
        self._thread.join(grace_s)
        while self._thread.is_alive():
            self._call_soon(self._drop_all)
            self._thread.join(BEAT_S)
        self.heartbeat.stop()
        try:
            self._replicas.leave(self.name)
        except GigawattError as error:
            # The others find out by themselves when no beat comes any more.
            self.note("letting go", error)

    def _call_soon(self, callback: object) -> None:
        try:
            if self._loop is not None and self.is_alive:
                self._loop.call_soon_threadsafe(callback)  # type: ignore[arg-type]
        except RuntimeError:
            # The loop was closed in between: there is nobody to wake any more.
            return

    def _drop_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _main(self) -> None:
        """Look for work; whatever breaks that is noted, and it begins anew after a pause."""
        pause_s = BACKOFF_S_FIRST
        while not self._is_stopping.is_set():
            began_s = time.monotonic()
            try:
                with asyncio.Runner() as runner:
                    self._loop = runner.get_loop()
                    self._wake = asyncio.Event()
                    self._tasks = {}
                    self._is_looking = True
                    runner.run(self._look_for_work())
            except Exception as error:  # noqa: BLE001 - a bug must not end the only worker
                self._is_looking = False
                self.restart_count += 1
                self.note("the worker", error)
                _log.exception("the worker starts again")
                lived_long = time.monotonic() - began_s > BACKOFF_S_MAX
                pause_s = BACKOFF_S_FIRST if lived_long else min(2 * pause_s, BACKOFF_S_MAX)
                self._is_stopping.wait(pause_s)

    async def _look_for_work(self) -> None:
        chores: asyncio.Task[None] | None = None
        while not self._is_stopping.is_set():
            self._wake.clear()
            try:
                self._turn_back()
                for worker, beat in self.heartbeat.lost.items():
                    self._replicas.give_up(worker, beat)
                self._take_on(self._replicas.holds())
                if self._chores and (chores is None or chores.done()):
                    chores = asyncio.create_task(self._do_chores())
            except GigawattError as error:
                self.note("looking for work", error)
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_S)
            except TimeoutError:
                continue
        if chores is not None:
            await asyncio.wait([chores])
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _do_chores(self) -> None:
        """Do each chore in a thread, since it may plan and commit; a failed one stops no other.

        Nobody waits for them: what a lost server held must not wait until a plan is made.
        """
        for chore in self._chores:
            try:
                await asyncio.to_thread(chore)
            except Exception as error:  # noqa: BLE001 - the next time it may succeed
                self.note(f"chore {getattr(chore, '__qualname__', chore)}", error)

    def _take_on(self, holds: Iterable[Hold]) -> None:
        found = list(holds)
        now_s = time.monotonic()
        self._failed = {
            hold.operation_id: self._failed[hold.operation_id]
            for hold in found
            if hold.operation_id in self._failed
        }
        for hold in self._waiting(found, now_s):
            most = TAKEN_OVER_COUNT_MAX if hold.is_begun else CONCURRENT_COUNT_MAX
            if hold.operation_id in self._tasks or len(self._tasks) >= most:
                continue
            if self._failed.get(hold.operation_id, (0, 0.0))[1] <= now_s:
                self._begin(hold.operation_id)

    def _waiting(self, holds: list[Hold], now_s: float) -> list[Hold]:
        """Operations that nobody living carries on; those that were begun first."""
        silent: dict[str, tuple[str, int, float | None]] = {
            hold.operation_id: (hold.worker, hold.generation, hold.expires_s)
            for hold in holds
            if hold.worker is not None and not self.heartbeat.is_known(hold.worker)
        }
        given_up = self._leases.look(silent, now_s)
        free = []
        for hold in holds:
            is_mine = hold.worker in {None, self.name}
            if is_mine or (hold.operation_id in given_up and self._replicas.end_hold(hold)):
                free.append(hold)
        return sorted(free, key=lambda hold: not hold.is_begun)

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
            await self._control.run(operation_id, self.name, only_free=True)
        except (ConflictError, StaleGenerationError):
            self._put_off(operation_id)
            return
        except Exception as error:  # noqa: BLE001 - a bug in one operation must not stop the others
            self._put_off(operation_id)
            self.note(operation_id, error)
            return
        self._failed.pop(operation_id, None)

    def _put_off(self, operation_id: OperationId) -> None:
        """Try an operation again after a pause that grows with every failure."""
        count, _ = self._failed.get(operation_id, (0, 0.0))
        pause_s = min(BACKOFF_S_FIRST * 2.0**count, BACKOFF_S_MAX)
        self._failed[operation_id] = (min(count + 1, 10), time.monotonic() + pause_s)

    def _cancel_if_asked(self, operation_id: OperationId) -> None:
        who = self._directory.cancellations([operation_id]).get(operation_id)
        if who is None:
            return
        line = self._directory.operation_line(operation_id)
        if line.state == "applying" and line.kind.is_reversible:
            self._control.cancel(operation_id, self.name, f"cancelled by {who}")

    def note(self, what: str, error: Exception) -> None:
        """Remember an error for whoever looks, and log it."""
        self.recent_errors.append(f"{what}: {type(error).__name__}: {error}")
        _log.error("%s: %s: %s", what, type(error).__name__, error)
