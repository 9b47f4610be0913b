"""How long a lab takes to start and to end, and how much memory it holds.

Run as root with ``PYTHONPATH=src python -P bench/lab.py [-- OPTIONS OF gw lab up]``; without -P the
interpreter takes bench/queue.py for its own. Medians of three rounds. Memory is the proportional
set size of every process of the room, by program: what is shared counts once.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gigawatt.lab.processes import first_of_room

ROUND_COUNT = 3


def gw(home: str, *words: str) -> str:
    env = {**os.environ, "GIGAWATT_HOME": home, "GIGAWATT_CONFIG": f"{home}/profiles.toml"}
    command = [sys.executable, "-m", "gigawatt.cli", *words]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def memory_bytes_by_program(first_pid: int) -> Counter[str]:
    """Proportional set size of all processes below the first of a room."""
    found: Counter[str] = Counter()
    space = Path(f"/proc/{first_pid}/ns/pid").stat().st_ino
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns" / "pid").stat().st_ino != space:
                continue
            name = (folder / "comm").read_text().strip()
            rollup = (folder / "smaps_rollup").read_text()
        except OSError:
            continue
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        found[name] += int(pss.split()[1]) * 1024
    return found


def main() -> None:
    options = sys.argv[1:]
    up_s, down_s, parts = [], [], {}
    memory: Counter[str] = Counter()
    for _ in range(ROUND_COUNT):
        with tempfile.TemporaryDirectory(prefix="gigawatt-bench-") as home:
            began_s = time.perf_counter()
            lab = json.loads(gw(home, "lab", "up", "-o", "json", *options))
            up_s.append(time.perf_counter() - began_s)
            for part in lab["parts"]:
                parts.setdefault(part["name"], []).append(part["took_s"])
            first = first_of_room(Path(home).resolve() / "labs" / "lab")
            assert first is not None, "the lab is up"
            memory = memory_bytes_by_program(first)
            began_s = time.perf_counter()
            gw(home, "lab", "down")
            down_s.append(time.perf_counter() - began_s)
    print(f"gw lab up {' '.join(options)}".rstrip())
    print(f"  up   {statistics.median(up_s):6.1f} s   of {[f'{took:.1f}' for took in up_s]}")
    for name, took in parts.items():
        print(f"    {name:<16} {statistics.median(took):6.1f} s")
    print(f"  down {statistics.median(down_s):6.1f} s")
    print(f"  memory {memory.total() / 2**20:,.0f} MiB")
    for name, size_bytes in memory.most_common(8):
        print(f"    {name:<16} {size_bytes / 2**20:8,.0f} MiB")
    print(f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
