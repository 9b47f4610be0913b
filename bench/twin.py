"""Replays a day of jobs on the demo fleet and prints how fast: GPU-hours per second of real time.

    python bench/twin.py [HOURS] [TRACE.csv]

Without a trace: 24 h of generated jobs, as in ``gw demo``. With one and no more than its own
length: the trace scaled to the demo load. One process, one core.
"""

import sys
import time
from pathlib import Path

from gigawatt.fleet.demo import hgx_fleet
from gigawatt.twin.demo import DEMO_GPU_COUNT, DEMO_HOURS, DEMO_LOAD, DEMO_SEED, make_workload
from gigawatt.twin.replay import replay
from gigawatt.twin.report import make_report, text_of
from gigawatt.twin.settings import TwinSettings
from gigawatt.units import HOUR_S


def main() -> None:
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else DEMO_HOURS
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    workload = make_workload(path, DEMO_GPU_COUNT, hours * HOUR_S, DEMO_LOAD, DEMO_SEED)
    fleet = hgx_fleet(DEMO_GPU_COUNT)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    outcome = replay(fleet, workload, TwinSettings(seed=DEMO_SEED))
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    print(text_of(make_report(outcome, wall_s)), end="")
    print(f"processor time   {cpu_s:.1f} s")


if __name__ == "__main__":
    main()
