"""The upkeep of a server: one replica at a time reconciles the fleet, again and again.

After each pass it reads the ports of the fabrics; a node whose link errs is quarantined.
"""

import asyncio
import threading

from gigawatt.app.control import Control
from gigawatt.app.fabric_care import PortWatch
from gigawatt.app.reconciling import note_failure, note_pass
from gigawatt.app.worker_loop import WorkerLoop
from gigawatt.errors import GigawattError
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.interfaces.replicas import Duty, Replicas

DUTY = "reconcile"
"""Name of the duty that replicas take from each other."""

PERIOD_S = 300.0
"""Time from the end of one pass to the next, unless set. Ours: a pass reads every device."""

PASS_S_MAX = 3_600.0
"""Longest pass; then it is broken off and tried again. Ours: four times the longest driver call."""

LOOK_S_MAX = 5.0
"""Longest pause between two looks whether it is our turn. Ours."""


class Upkeep:
    """Reconciles when it is this replica's turn; stuck operations are tried again by it."""

    def __init__(
        self, control: Control, worker: WorkerLoop, replicas: Replicas, period_s: float = PERIOD_S
    ) -> None:
        """Reconcile every ``period_s`` seconds; 0 means never."""
        self._control = control
        self._worker = worker
        self._replicas = replicas
        self.period_s = period_s
        self._ports = PortWatch(control.around)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._runner: tuple[asyncio.AbstractEventLoop, asyncio.Task[Reconciliation]] | None = None
        self.pass_count = 0

    def duty(self) -> Duty | None:
        """How the passes of all replicas stand."""
        return self._replicas.duty(DUTY)

    def start(self) -> None:
        """Begin, in a new thread, unless the period is 0."""
        if self.period_s > 0.0:
            self._thread = threading.Thread(target=self._run, name="gigawatt-upkeep", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Break off the pass under way: every call of it is safe to repeat."""
        self._stop.set()
        while self._thread is not None and self._thread.is_alive():
            if self._runner is not None:
                loop, task = self._runner
                _cancel(loop, task)
            self._thread.join(0.1)

    def _run(self) -> None:
        while not self._stop.wait(min(self.period_s, LOOK_S_MAX)):
            try:
                self._do_if_due()
            except asyncio.CancelledError:
                return
            except Exception as error:  # noqa: BLE001 - the next pass may succeed
                self._worker.note(DUTY, error)

    def _do_if_due(self) -> None:
        name, clock = self._worker.name, self._control.around.clock
        is_lost = self._is_lost
        if not self._replicas.claim(DUTY, name, self.period_s, clock.now_s(), is_lost):
            return
        try:
            note_pass(self._control.around, asyncio.run(self._pass()), name)
            asyncio.run(self._ports.look())
            self.pass_count += 1
        except GigawattError as error:
            note_failure(self._control.around, str(error), name)
            self._worker.note(DUTY, error)
        finally:
            self._runner = None
            self._replicas.end_duty(DUTY, name, clock.now_s())

    def _is_lost(self, worker: str) -> bool:
        heartbeat = self._worker.heartbeat
        return heartbeat.is_lost(worker) or not heartbeat.is_known(worker)

    async def _pass(self) -> Reconciliation:
        async with asyncio.timeout(PASS_S_MAX):
            work = self._control.reconcile(self._worker.name, only_stuck=True)
            task = asyncio.ensure_future(work)
            self._runner = (asyncio.get_running_loop(), task)
            return await task


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Reconciliation]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        # The loop was closed in between: the pass is over.
        return
