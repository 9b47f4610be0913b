"""How fast the service answers, on SQLite and on PostgreSQL: requests a second, p50 and p99.

Run with ``PYTHONPATH=src python bench/api.py``. A real server in a process of its own and clients
in threads, over loopback. First list, show, plan and create on 10,000 GPUs of which half are held;
then 100 creates at once; then how it grows with the fleet (1,000 to 100,000 GPUs) and with the
tenants (1 to 100, two clusters each). Prints tables; times are of the wall clock, so see the load
beside them. PostgreSQL is a private server on the same disk with fsync on.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from gigawatt.app.home import Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.service import make_first_key, open_service
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.identity.accounts import OrganisationId, Project
from gigawatt.ids import TenantId

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from chaos_site import free_tcp_ports
from postgres_server import SETTINGS, Server, private_server

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
DURABLE = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "max_connections": "150"}
CLIENT_COUNT = 4
PARALLEL_COUNT = 100
Times = list[float]


@dataclass
class Desk:
    """A running server: its clients' headers and its projects."""

    url: str
    headers: dict[str, str]
    projects: list[str]

    def send(self, http: httpx.Client, method: str, path: str, body: object = None) -> dict:
        """The document of an answer."""
        answer = http.request(method, f"{self.url}/gw/v1{path}", json=body, headers=self.headers)
        answer.raise_for_status()
        return dict(answer.json())


@contextmanager
def desk(folder: Path, gpu_count: int, tenant_count: int, database: str | None) -> Iterator[Desk]:
    """A server on a fleet with so many projects."""
    home = Home(folder, database)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(gpu_count)), encoding="utf-8")
    with open_service(home) as service:
        service.rate = RateLimiter(1e9, 1e9)
        key = make_first_key(service, "bench")
        (first,) = service.directory.projects(None, "", 2)
        projects = [first.project_id]
        for number in range(tenant_count - 1):
            project_id = TenantId(f"ten_{number:04}")
            owner = OrganisationId(first.organisation_id)
            service.directory.add_project(Project(project_id, owner, f"p{number}", 10**6, 0.0))
            projects.append(project_id)
    (tcp_port,) = free_tcp_ports(1)
    environment = {**os.environ, "GIGAWATT_HOME": str(folder)}
    if database is not None:
        environment["GIGAWATT_DATABASE_URL"] = database
    server = subprocess.Popen(
        [sys.executable, str(SUPPORT / "chaos_replica.py"), str(tcp_port), "0", "0", "0", "0"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{tcp_port}"
    try:
        until_s = time.monotonic() + 120.0
        while True:
            try:
                if httpx.get(f"{url}/readyz", timeout=30.0).status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < until_s, "the server does not start"
            time.sleep(0.05)
        yield Desk(url, {"Authorization": f"Bearer {key}"}, [str(name) for name in projects])
    finally:
        server.terminate()
        server.wait()


def timed(client_count: int, count: int, ask: Callable[[httpx.Client, int], object]) -> Times:
    """Seconds of each of ``count`` requests by clients at once, and of all together as the last."""
    numbers = iter(range(count))
    lock, times = threading.Lock(), Times()

    def work() -> None:
        with httpx.Client(timeout=600.0) as http:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                began_s = time.perf_counter()
                ask(http, number)
                times.append(time.perf_counter() - began_s)

    threads = [threading.Thread(target=work) for _ in range(client_count)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [*times, time.perf_counter() - began_s]


def figures(times: Times) -> str:
    """Requests a second, p50 and p99 in milliseconds."""
    *each, whole_s = times
    ordered = sorted(each)
    p99_s = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return f"{len(each) / whole_s:.0f}/s, {1e3 * statistics.median(each):.0f}, {1e3 * p99_s:.0f}"


def fill(at: Desk, http: httpx.Client, count: int, gpu_count: int) -> list[str]:
    """So many clusters, active; their ids."""
    made = [
        at.send(http, "POST", "/clusters", wish(at, f"held{n}", gpu_count, n)) for n in range(count)
    ]
    for one in made:
        while at.send(http, "GET", f"/operations/{one['operation_id']}")["finished_at"] is None:
            time.sleep(0.1)
    return [str(one["id"]) for one in made]


def wish(at: Desk, name: str, gpu_count: int, number: int = 0) -> dict[str, object]:
    """The body of a request for a cluster of one of the projects."""
    project_id = at.projects[number % len(at.projects)]
    return {"project_id": project_id, "name": name, "gpu_count": gpu_count}


def reading(at: Desk, clusters: list[str], count: int) -> dict[str, str]:
    """Figures of list, show, plan and create, one after the other."""
    asked: dict[str, Callable[[httpx.Client, int], object]] = {
        "list": lambda http, _: at.send(http, "GET", "/clusters?limit=100"),
        "show": lambda http, n: at.send(http, "GET", f"/clusters/{clusters[n % len(clusters)]}"),
        "plan": lambda http, n: at.send(http, "POST", "/plans", wish(at, f"p{n}", 64, n)),
        "create": lambda http, n: at.send(http, "POST", "/clusters", wish(at, f"n{n}", 16, n)),
    }
    return {
        name: figures(timed(CLIENT_COUNT, count if name in {"list", "show"} else count // 4, ask))
        for name, ask in asked.items()
    }


def parallel(at: Desk) -> str:
    """Mean and worst seconds of creates that begin at once."""
    *each, whole_s = timed(
        PARALLEL_COUNT,
        PARALLEL_COUNT,
        lambda http, n: at.send(http, "POST", "/clusters", wish(at, f"x{n}", 16, n)),
    )
    return f"mean {statistics.fmean(each):.2f}, worst {max(each):.2f}, all {whole_s:.2f}"


def machine(server: Server) -> str:
    """What was measured on."""
    with psycopg.connect(server.url("postgres")) as raw:
        version = raw.info.parameter_status("server_version")
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0]}, {len(names)} cores, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, PostgreSQL {version}"
    )


def row(name: str, cells: dict[str, str]) -> str:
    """A line of a table, with the load of the machine at that moment."""
    return f"| {name} | {' | '.join(cells.values())} | {os.getloadavg()[0]:.1f} |"


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(description="measure the service")
    parser.add_argument("--count", type=int, default=200, help="requests of list and of show")
    parser.add_argument("--gpus", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--tenants", type=int, nargs="*", default=[10, 100])
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-bench-")))
        server = stack.enter_context(private_server(DURABLE, None))
        print(machine(server))
        print(f"\n{CLIENT_COUNT} clients; each cell: requests/s, p50 ms, p99 ms\n")
        print("| engine, GPUs, tenants, clusters | list | show | plan 64 | create 16 | load |")
        print("|--|--:|--:|--:|--:|--:|", flush=True)
        cases = [
            (10_000, 1, 20, 248),
            *((gpu_count, 1, 20, 16) for gpu_count in given.gpus),
            *((10_000, tenant_count, 2 * tenant_count, 16) for tenant_count in given.tenants),
        ]
        answers = []
        for index, (gpu_count, tenant_count, cluster_count, size) in enumerate(cases):
            for engine in ("SQLite", "PostgreSQL"):
                database = server.new() if engine == "PostgreSQL" else None
                place = folder / f"{engine}{index}"
                with desk(place, gpu_count, tenant_count, database) as at:
                    with httpx.Client(timeout=600.0) as http:
                        clusters = fill(at, http, cluster_count, size)
                    cells = reading(at, clusters, given.count)
                    name = f"{engine}, {gpu_count:,}, {tenant_count}, {cluster_count}"
                    print(row(name, cells), flush=True)
                    if index == 0:
                        answers.append(row(engine, {"parallel": parallel(at)}))
        print(f"\n{PARALLEL_COUNT} creates of 16 GPUs at once on 10,000 GPUs, seconds\n")
        print("\n".join(["| engine | answered | load |", "|--|--:|--:|", *answers]))


if __name__ == "__main__":
    main()
