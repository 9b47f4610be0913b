"""How long a command takes from the key to the prompt.

Run: ``python bench/cli.py [--repeat 15]``. Each figure is the wall time of a fresh process; the
load average is printed too, because a busy machine makes every process slow. The exit status is 1
when help or version take 250 ms or more at the median.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MS = 250.0
LIGHT = (("--help",), ("--version",), ("cluster", "--help"))
OTHERS = (
    ("cluster", "create", "--help"),
    ("cluster", "list"),
    ("fleet", "map"),
    ("plan", "train", "--gpus", "4000"),
    ("prove",),
)


def taken_ms(words: tuple[str, ...], home: str) -> float:
    environment = {**os.environ, "GIGAWATT_HOME": home, "PYTHONPATH": str(ROOT / "src")}
    start_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "gigawatt.cli", *words],
        env=environment, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return (time.perf_counter() - start_s) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=15)
    repeat_count = parser.parse_args().repeat
    print(f"load average {os.getloadavg()[0]:.2f}, {os.cpu_count()} CPUs, {repeat_count} runs each")
    print(f"{'command':<28}{'min ms':>9}{'median ms':>11}{'max ms':>9}")
    slow = False
    with tempfile.TemporaryDirectory() as home:
        for words in (*LIGHT, *OTHERS):
            times = [taken_ms(words, home) for _ in range(repeat_count)]
            middle = statistics.median(times)
            slow |= words in LIGHT and middle >= LIMIT_MS
            name = " ".join(("gw", *words))
            print(f"{name:<28}{min(times):>9.0f}{middle:>11.0f}{max(times):>9.0f}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
