"""How long a cluster takes on a lab with five real planes, by stage and plane.

Run as root with ``PYTHONPATH=src python -P bench/lab_clusters.py [GPUS]``. One lab of 16 nodes, two
of them hypervisors; one cluster of whole nodes with storage is made and given back. Seconds are the
control plane's own metrics: a stage with its read-back, and a step on its device, with all tries.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

METRICS = "127.0.0.1:9464"
"""In the room of the lab, so it is nobody else's."""
SAMPLE = re.compile(r"^gigawatt_(stage|step)_seconds_(sum|count)\{(.*)\} (\S+)$")


def gw(home: str, *words: str) -> str:
    env = {
        **os.environ,
        "GIGAWATT_HOME": home,
        "GIGAWATT_CONFIG": f"{home}/profiles.toml",
        "GIGAWATT_METRICS_LISTEN": METRICS,
    }
    command = [sys.executable, "-m", "gigawatt.cli", *words]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def seconds(home: str) -> dict[tuple[str, str, str], list[float]]:
    """Count and sum by kind, stage and plane."""
    text = gw(home, "lab", "shell", "management", "--", "curl", "-s", f"http://{METRICS}/metrics")
    found: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for kind, what, labels, value in (
        m.groups() for m in map(SAMPLE.match, text.splitlines()) if m
    ):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        row = found[kind, named.get("stage", ""), named.get("plane", "")]
        row[what == "sum"] += float(value)
    return found


def show(title: str, took_s: float, after: dict, before: dict) -> None:
    print(f"{title}: {took_s:.1f} s, load {os.getloadavg()[0]:.0f}")
    for key, (count, total_s) in sorted(after.items()):
        old_count, old_s = before.get(key, (0.0, 0.0))
        if count > old_count:
            mean_s = (total_s - old_s) / (count - old_count)
            print(f"  {' '.join(key):<32} {count - old_count:4.0f} times, {mean_s:7.2f} s each")


def main() -> None:
    gpu_count = sys.argv[1] if len(sys.argv) > 1 else "112"
    with tempfile.TemporaryDirectory(prefix="gigawatt-bench-") as home:
        lab = json.loads(gw(home, "lab", "up", "-o", "json"))
        parts = ", ".join(f"{part['name']} {part['took_s']:.1f}" for part in lab["parts"])
        print(f"up: {lab['took_s']:.1f} s, load {os.getloadavg()[0]:.0f}: {parts}")
        try:
            as_tenant = ("--profile", "lab:tenant")
            empty, began_s = seconds(home), time.perf_counter()
            words = ("create", "train", "--gpus", gpu_count, "--storage", "100MiB", "--yes")
            gw(home, *as_tenant, "cluster", *words)
            made = seconds(home)
            show(f"create {gpu_count} GPUs", time.perf_counter() - began_s, made, empty)
            began_s = time.perf_counter()
            gw(home, *as_tenant, "cluster", "release", "train", "--yes")
            show("release", time.perf_counter() - began_s, seconds(home), made)
            gw(home, "lab", "audit", "--expect-empty")
        finally:
            gw(home, "lab", "down")


if __name__ == "__main__":
    main()
