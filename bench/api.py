"""How long the API takes, idle and while its worker launches: p50 and p99 of reading requests.

A real server in a process of its own over the demo fleet of 10,000 GPUs, half of it given to
clusters; one client asks over loopback, first in peace, then while 4,000 GPUs are launched.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import httpx

PATHS = {
    "list clusters": "/clusters",
    "show cluster": "/clusters/{cluster}",
    "show operation": "/operations/{operation}",
    "list nodes": "/nodes?limit=100",
    "fleet": "/fleet",
    "events": "/events?limit=100",
}
LISTEN = "127.0.0.1:18080"


def percentiles_ms(times_s: list[float]) -> str:
    ordered = sorted(times_s)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    p50_ms, p99_ms = 1e3 * statistics.median(ordered), 1e3 * p99
    return f"p50 {p50_ms:7.1f} ms   p99 {p99_ms:7.1f} ms   n {len(ordered)}"


def ask(http: httpx.Client, paths: dict[str, str], goes_on: Callable[[], bool]) -> None:
    times_s: dict[str, list[float]] = {name: [] for name in paths}
    while goes_on():
        for name, path in paths.items():
            began_s = time.perf_counter()
            http.get(path).raise_for_status()
            times_s[name].append(time.perf_counter() - began_s)
            time.sleep(0.022)  # the rate limit
    for name, found in times_s.items():
        print(f"  {name:16s}{percentiles_ms(found)}")


def until_ended(http: httpx.Client, operation: str) -> None:
    while http.get(f"/operations/{operation}").json()["finished_at"] is None:
        time.sleep(0.1)


def main() -> None:
    home = tempfile.mkdtemp()
    environment = {**os.environ, "GIGAWATT_HOME": home}
    command = [sys.executable, "-m", "gigawatt.cli"]
    made = subprocess.run(
        [*command, "key", "create"], env=environment, check=True, capture_output=True, text=True
    )
    server = subprocess.Popen([*command, "server", "--listen", LISTEN], env=environment)
    try:
        http = httpx.Client(
            base_url=f"http://{LISTEN}/gw/v1",
            headers={"Authorization": f"Bearer {made.stdout.strip()}"},
            timeout=60.0,
            transport=httpx.HTTPTransport(retries=50),
        )
        while True:
            try:
                http.get("/me")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        project = http.get("/projects").json()["items"][0]["id"]

        def launch(name: str, gpu_count: int) -> dict[str, str]:
            began_s = time.perf_counter()
            answer = http.post(
                "/clusters", json={"project_id": project, "name": name, "gpu_count": gpu_count}
            )
            answer.raise_for_status()
            print(f"create of {gpu_count:,} GPUs answered in {time.perf_counter() - began_s:.2f} s")
            return dict(answer.json())

        for number in range(20):
            made_one = launch(f"c{number}", 248)
            until_ended(http, made_one["operation_id"])
        paths = {
            name: path.format(cluster=made_one["id"], operation=made_one["operation_id"])
            for name, path in PATHS.items()
        }
        print("idle:")
        left = iter(range(100))
        ask(http, paths, lambda: next(left, None) is not None)
        big = launch("big", 4_000)
        place = f"/operations/{big['operation_id']}"
        print("while 4,000 GPUs are launched:")
        began_s = time.perf_counter()
        ask(http, paths, lambda: http.get(place).json()["finished_at"] is None)
        print(f"  took {time.perf_counter() - began_s:.1f} s")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
