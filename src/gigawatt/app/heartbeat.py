"""The heartbeat of a server: says that it lives, and hears who else does.

It has a thread and a connection of its own: neither a long call of a driver nor a hundred
requests keep it from beating.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from gigawatt.app.lookout import Lookout
from gigawatt.errors import GigawattError
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.replicas import Replicas

BEAT_S = 0.5
"""Pause between two beats. Ours: a beat is one small write; three servers write 6 a second."""

LOST_S = 2.0
"""After this long without a beat a worker is lost (ADR-0030). Ours: four beats.

A killed server's work then went on after 2.1 to 2.5 s; much later on a machine
with ten times too much to do.
"""

READY_S = 3.0
"""A server whose last beat is older is not ready: the store does not answer it."""

_log = logging.getLogger("gigawatt.heartbeat")


class Heartbeat:
    """Beats for one worker until it is told to stop."""

    def __init__(
        self,
        replicas: Replicas,
        worker: str,
        clock: Clock,
        on_loss: Callable[[], None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Beat for ``worker``; tell ``on_loss`` when somebody is lost.

        ``monotonic_s`` is a clock that only goes forward.
        """
        self._replicas = replicas
        self._worker = worker
        self._clock = clock
        self._on_loss = on_loss
        self._monotonic_s = monotonic_s
        self._lookout = Lookout(LOST_S, 2 * BEAT_S)
        self._lost: dict[str, int] = {}
        self._known: frozenset[str] = frozenset()
        self._beat_at_s: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.last_error = ""

    def start(self) -> None:
        """Begin, in a new thread; the first beat is tried before this returns."""
        self.beat_once()
        self._thread = threading.Thread(target=self._run, name="gigawatt-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def age_s(self) -> float | None:
        """Seconds since the store last took a beat; None if it never did."""
        return None if self._beat_at_s is None else self._monotonic_s() - self._beat_at_s

    def is_lost(self, worker: str) -> bool:
        """Whether a worker's beat has stood still for too long."""
        return worker in self._lost

    def is_known(self, worker: str) -> bool:
        """Whether a worker beats at all, as servers do and single commands do not."""
        return worker in self._known

    @property
    def lost(self) -> Mapping[str, int]:
        """Workers that are lost, each with the last beat that was heard of it."""
        return self._lost

    def beat_once(self) -> None:
        """Beat, and look who else does; what goes wrong is kept and told by ``age_s``."""
        try:
            beats = self._replicas.beat(self._worker, self._clock.now_s())
        except GigawattError as error:
            self._tell(f"{type(error).__name__}: {error}")
            return
        at_s = self._monotonic_s()
        lost = self._lookout.look(beats, at_s) - {self._worker}
        for worker in sorted(lost - self._lost.keys()):
            _log.warning("worker %s is lost: no beat for %g s", worker, LOST_S)
        self._lost = {worker: beats[worker] for worker in lost}
        self._known, self._beat_at_s = frozenset(beats), at_s
        if self._lost:
            self._on_loss()
        self._tell("")

    def _tell(self, error: str) -> None:
        if error and error != self.last_error:
            _log.error("no beat: %s", error)
        self.last_error = error

    def _run(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self.beat_once()
            except Exception:  # noqa: BLE001 - see below
                # A thread that ends here would make a living server look dead for ever.
                _log.exception("no beat: a bug")
