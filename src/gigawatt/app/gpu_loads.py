"""What GPUs report of themselves now, by node and GPU, for those who look at the floor.

Nothing is made up: a GPU of which the source says nothing has no load. The source is read in the
background, and only while somebody asks: reading 10,000 GPUs takes longer than a page may.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gigawatt.errors import DataError
from gigawatt.fleet.model import F64, GPUS_PER_NODE_MAX, Fleet
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.telemetry import SIMULATED, GpuSample, Telemetry

UTILISATION, POWER = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE"

FRESH_S = 15.0
"""Age after which the source is read again. Ours: as often as Prometheus asks by default."""

KEPT_S_MAX = 120.0
"""Age above which what was read is not shown any more. Ours: eight readings missed."""

SENSIBLE = {UTILISATION: 100.0, POWER: 10_000.0}
"""Largest value that a GPU can mean, in percent and W; DCGM says "no value" by huge numbers."""

SourceState = Literal["none", "reading", "live", "failed"]

_log = logging.getLogger("gigawatt.loads")


@dataclass(frozen=True, slots=True, eq=False)
class GpuLoad:
    """One reading.

    Fields:
        at_s: Unix seconds.
        is_simulated: its source says that it made the numbers up.
        utilisation_percent: float64[N, 16], 0 to 100, NaN where a GPU reports none.
        power_w: float64[N, 16], W, NaN where a GPU reports none.
        unknown_count: samples of hosts or GPUs that the fleet does not have, or without a value.
    """

    at_s: float
    is_simulated: bool
    utilisation_percent: F64
    power_w: F64
    unknown_count: int


@dataclass(frozen=True, slots=True)
class SourceNow:
    """How the source is: none is named, it is read the first time, it answers, or it fails.

    Fields: reason says why it fails; load is None where there is nothing to show.
    """

    state: SourceState
    reason: str
    load: GpuLoad | None


def load_of(fleet: Fleet, samples: Iterable[GpuSample], at_s: float) -> GpuLoad:
    """Samples put in their places; a host is found by its id, or by its name before the first dot.

    The last sample of a GPU counts.
    """
    shape = len(fleet.nodes), GPUS_PER_NODE_MAX
    columns: dict[str, NDArray[np.float64]] = {
        name: np.full(shape, np.nan) for name in (UTILISATION, POWER)
    }
    is_simulated, unknown_count = False, 0
    gpu_counts = fleet.gpu_count_of_node
    for sample in samples:
        if sample.name not in columns:
            continue
        host, gpu = sample.labels.get("Hostname", ""), sample.labels.get("gpu", "")
        row = fleet.nodes.index_of.get(host)
        if row is None:
            row = fleet.nodes.index_of.get(host.partition(".")[0])
        is_known = row is not None and gpu.isdecimal() and int(gpu) < gpu_counts[row]
        if not is_known or not 0.0 <= sample.value <= SENSIBLE[sample.name]:
            unknown_count += 1
            continue
        columns[sample.name][row, int(gpu)] = sample.value
        is_simulated = is_simulated or SIMULATED in sample.labels
    return GpuLoad(at_s, is_simulated, columns[UTILISATION], columns[POWER], unknown_count)


class GpuLoads:
    """The newest reading of a source of telemetry, if one is named."""

    def __init__(self, fleet: Fleet, clock: Clock, source: Telemetry | None) -> None:
        """Read ``source``, when somebody asks."""
        self._fleet, self._clock, self._source = fleet, clock, source
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._load: GpuLoad | None = None
        self._asked_s = float("-inf")
        self._reason = ""

    def now(self) -> SourceNow:
        """What is known now; begins to read again if that is old."""
        if self._source is None:
            return SourceNow("none", "", None)
        now_s = self._clock.now_s()
        with self._lock:
            if not 0.0 <= now_s - self._asked_s < FRESH_S and self._reader is None:
                self._asked_s = now_s
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()
            load, reason = self._load, self._reason
        if load is not None and now_s - load.at_s > KEPT_S_MAX:
            load = None
        if reason:
            return SourceNow("failed", reason, load)
        return SourceNow("reading" if load is None else "live", "", load)

    def settle(self, limit_s: float) -> None:
        """Wait until nothing is being read, at most so long."""
        reader = self._reader
        if reader is not None:
            reader.join(limit_s)

    def _read(self) -> None:
        assert self._source is not None, "only a source is read"
        load, reason = None, ""
        try:
            at_s = self._clock.now_s()
            load = load_of(self._fleet, self._source.read((UTILISATION, POWER)), at_s)
        except DataError as error:
            reason = str(error)
            _log.warning(reason)
        with self._lock:
            self._load, self._reason = load or self._load, reason
            self._reader = None


def open_loads(source: str | None, fleet: Fleet, clock: Clock) -> GpuLoads:
    """Loads by the setting of telemetry: "simulated", a URL, the path of a file, or None."""
    if source is None:
        return GpuLoads(fleet, clock, None)
    from gigawatt.app.watch.telemetry import open_telemetry  # noqa: PLC0415 - HTTP and its parser

    return GpuLoads(fleet, clock, open_telemetry(source, fleet, clock))
