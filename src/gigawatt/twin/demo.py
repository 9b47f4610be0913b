"""Ready-made replays: what ``gw demo`` and ``gw twin`` run when nothing else is said."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gigawatt.fleet.demo import hgx_fleet
from gigawatt.twin.replay import Outcome, replay
from gigawatt.twin.settings import TwinSettings
from gigawatt.twin.traces import find_trace, read_trace
from gigawatt.twin.workload import Workload, from_trace, generated
from gigawatt.units import HOUR_S

DEMO_GPU_COUNT = 10_000
DEMO_HOURS = 24.0
DEMO_LOAD = 0.85
DEMO_SEED = 7
PROFILES = ("kalos",)
"""Jobs from 1 to 1,024 GPUs; Philly's are many and small, so a replay of them takes longer."""
TRACE_FILE = "kalos_completed.csv"
"""Looked for in ``$GIGAWATT_TRACES`` and the folders right below it."""


def trace_or_none() -> Path | None:
    """Kalos, where ``$GIGAWATT_TRACES`` has it."""
    named = os.environ.get("GIGAWATT_TRACES")
    return find_trace(TRACE_FILE, [Path(named)]) if named else None


def make_workload(
    path: Path | None, gpu_count: int, span_s: float, load: float, seed: int
) -> Workload:
    """The jobs of a trace file; without one, of Kalos if it is at hand, else generated.

    Raises:
        InputError: the file is not a trace, or an argument is out of range.
    """
    path = path or trace_or_none()
    if path is not None:
        return from_trace(read_trace(path), gpu_count, span_s, load, seed)
    return generated(PROFILES, gpu_count, span_s, load, seed)


def demo_replay(
    *,
    gpu_count: int = DEMO_GPU_COUNT,
    hours: float = DEMO_HOURS / 2,
    load: float = DEMO_LOAD,
    seed: int = DEMO_SEED,
    profiles: Sequence[str] = PROFILES,
    stream: TextIO | None = None,
) -> Outcome:
    """Half a day of the demo fleet under generated jobs, with failures at their default rates.

    Raises:
        DriftError: a check found a violation; the message names seed and time.
    """
    workload = generated(profiles, gpu_count, hours * HOUR_S, load, seed)
    return replay(hgx_fleet(gpu_count), workload, TwinSettings(seed=seed), stream=stream)
