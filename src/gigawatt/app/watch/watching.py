"""Everything that watches one process, put together by the settings."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from gigawatt.app.watch.context import RequestScope
from gigawatt.app.watch.logs import LogWatch
from gigawatt.app.watch.process_metrics import OfOneReplica, ProcessMetrics
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.watches import Watches, traced
from gigawatt.executor.progress import Watch

if TYPE_CHECKING:
    from gigawatt.app.watch.traces import TraceWatch

_log = logging.getLogger("gigawatt.watch")


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
    with traced(settings) as traces:
        metrics = ProcessMetrics()
        watches = [LogWatch(), metrics, *([] if traces is None else [traces])]
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
