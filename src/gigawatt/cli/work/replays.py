"""The twin's part of ``gw demo``: half a day of the whole fleet, told while it runs."""

import io
import os
import time
from pathlib import Path

from typing_extensions import override

from gigawatt.cli.output import console
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.twin.demo import DEMO_GPU_COUNT, DEMO_LOAD, DEMO_SEED, make_workload
from gigawatt.twin.plot import plot_replay
from gigawatt.twin.replay import replay
from gigawatt.twin.report import make_report, text_of
from gigawatt.twin.settings import TwinSettings
from gigawatt.units import HOUR_S

HOURS = 12.0
"""Virtual hours that the demo replays; ``gw twin`` replays more."""


class _Ticker(io.StringIO):
    """A stream for the event log that keeps no line and tells the virtual hour."""

    def __init__(self, hours: float) -> None:
        super().__init__()
        self._hours = hours
        self._line_count = 0
        self._status = console.status("replaying")
        if console.is_terminal:
            self._status.start()

    @override
    def write(self, text: str) -> int:
        self._line_count += 1
        at_h = float(text.partition(" ")[0]) / HOUR_S
        part = f"hour {at_h:.1f} of {self._hours:g}" if at_h <= self._hours else "closing down"
        self._status.update(f"replaying, {part}: {self._line_count:,} events")
        return len(text)

    def stop(self) -> None:
        """Wipe the line."""
        self._status.stop()


def show_replay(out: Path) -> None:
    """Replay half a day on the demo fleet, print its report and write its picture to ``out``.

    Raises:
        DriftError: a check found a violation.
    """
    workload = make_workload(None, DEMO_GPU_COUNT, HOURS * HOUR_S, DEMO_LOAD, DEMO_SEED)
    ticker = _Ticker(HOURS)
    began_s = time.perf_counter()
    try:
        settings = TwinSettings(seed=DEMO_SEED)
        outcome = replay(hgx_fleet(DEMO_GPU_COUNT), workload, settings, stream=ticker)
    finally:
        ticker.stop()
    report = make_report(outcome, time.perf_counter() - began_s)
    console.print(text_of(report), end="", highlight=False, markup=False)
    png, svg = plot_replay(outcome, out)
    console.print(f"\nwrote {png} and {svg.name}")
    if "GIGAWATT_TRACES" not in os.environ:
        console.print(
            "The jobs were made up by a generator fitted to a real trace; docs/traces.md says "
            "where real ones can be had. Replay one: gw twin TRACE.csv"
        )
