"""Several watches as one, and those that a process has that shows no metrics."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

from gigawatt.app.watch.logs import LogWatch
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.boundary.proof import Proof
from gigawatt.executor.call import Outcome
from gigawatt.executor.drift import FleetDrift
from gigawatt.executor.progress import Span, StageRun, Watch
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import Plan

if TYPE_CHECKING:
    from gigawatt.app.watch.traces import TraceWatch

_log = logging.getLogger("gigawatt.watch")


class Watches(Watch):
    """Tells several watches; one that fails is noted, and nothing else notices."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        """Tell ``watches``, in this order."""
        self._watches = tuple(watches)
        self._is_noted = False

    def _tell(self, tell: Callable[[Watch], None]) -> None:
        for watch in self._watches:
            try:
                tell(watch)
            except Exception:  # noqa: BLE001 - an operation must not fail because somebody looks
                if not self._is_noted:
                    self._is_noted = True
                    _log.exception("%s failed; further failures are not told", type(watch).__name__)

    @override
    def planned(self, plan: Plan, span: Span) -> None:
        self._tell(lambda watch: watch.planned(plan, span))

    @override
    def checked(self, plan: Plan, note_count: int, span: Span) -> None:
        self._tell(lambda watch: watch.checked(plan, note_count, span))

    @override
    def committed(self, operation: OperationRecord, span: Span) -> None:
        self._tell(lambda watch: watch.committed(operation, span))

    @override
    def operation_began(self, operation: OperationRecord) -> None:
        self._tell(lambda watch: watch.operation_began(operation))

    @override
    def operation_ended(self, operation: OperationRecord, state: str, span: Span) -> None:
        self._tell(lambda watch: watch.operation_ended(operation, state, span))

    @override
    def stage_ended(self, run: StageRun, failed_count: int, ended_s: float) -> None:
        self._tell(lambda watch: watch.stage_ended(run, failed_count, ended_s))

    @override
    def call_ended(self, run: StageRun | None, outcome: Outcome) -> None:
        self._tell(lambda watch: watch.call_ended(run, outcome))

    @override
    def drifted(self, drift: FleetDrift) -> None:
        self._tell(lambda watch: watch.drifted(drift))

    @override
    def proved(self, proof: Proof) -> None:
        self._tell(lambda watch: watch.proved(proof))


@contextmanager
def traced(settings: WatchSettings) -> "Iterator[TraceWatch | None]":
    """The watch that traces, None when traces are off; spans that wait are sent at the end.

    Raises:
        InputError: traces are wanted, and their exporter is not installed.
    """
    if not settings.is_tracing:
        yield None
        return
    # Imported when it is needed: it takes a fifth of a second.
    from gigawatt.app.watch.traces import otlp_exporter, tracing  # noqa: PLC0415

    with tracing(otlp_exporter(), settings.replica) as watch:
        yield watch


@contextmanager
def following(settings: WatchSettings) -> Iterator[Watch]:
    """What a worker of one operation tells: log and traces, no metrics, for nobody scrapes it.

    Raises:
        InputError: traces are wanted, and their exporter is not installed.
    """
    with traced(settings) as traces:
        yield Watches([LogWatch(), *([] if traces is None else [traces])])
