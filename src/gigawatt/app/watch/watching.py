"""Everything that watches one process, put together by the settings."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry
from typing_extensions import override

from gigawatt.app.watch.context import RequestScope
from gigawatt.app.watch.logs import LogWatch
from gigawatt.app.watch.process_metrics import OfOneReplica, ProcessMetrics
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


@dataclass(frozen=True, slots=True)
class Watching:
    """What watches this process.

    Fields:
        watch: what the control plane and its workers tell.
        metrics: what is counted here.
        traces: None when off.
        registry: what a scrape shows.
    """

    settings: WatchSettings
    watch: Watch
    metrics: ProcessMetrics
    traces: "TraceWatch | None"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Show what is counted here, as this replica's."""
        self.registry.register(OfOneReplica(self.metrics.registry, self.settings.replica))

    def request_ended(
        self, scope: RequestScope, status: int, answered_s: float, duration_s: float
    ) -> None:
        """A request was answered, at ``answered_s`` in Unix seconds, after ``duration_s``."""
        self.metrics.request_ended(scope.operation, status, duration_s)
        if self.traces is not None:
            self.traces.request_ended(scope, status, answered_s)

    def exposition(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self.registry)


@contextmanager
def watching(settings: WatchSettings) -> Iterator[Watching]:
    """What watches a process by its settings; spans that wait are sent when the block ends.

    Raises:
        InputError: traces are wanted, and their exporter is not installed.
    """
    with ExitStack() as stack:
        metrics = ProcessMetrics()
        watches: list[Watch] = [LogWatch(), metrics]
        traces = None
        if settings.is_tracing:
            # Imported when it is needed: it takes a fifth of a second.
            from gigawatt.app.watch.traces import otlp_exporter, tracing  # noqa: PLC0415

            traces = stack.enter_context(tracing(otlp_exporter(), settings.replica))
            watches.append(traces)
        yield Watching(settings, Watches(watches), metrics, traces)


class Repeater:
    """Does something again and again in a thread, with a pause between, until it is stopped."""

    def __init__(self, work: Callable[[], object], pause_s: float, name: str) -> None:
        """Do ``work`` every ``pause_s`` seconds; a failure is logged and does not end it."""
        self._work, self._pause_s = work, pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with the first time at once."""
        self._thread.start()

    def stop(self) -> None:
        """End it, after what is under way."""
        self._stopped.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._stopped.is_set():
            try:
                self._work()
            except Exception:  # noqa: BLE001 - it goes on with the next round
                _log.exception("%s failed", self._thread.name)
            self._stopped.wait(self._pause_s)
