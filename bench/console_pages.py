"""Server time of every page of the console on 10,000 GPUs: all calls that a page makes, in a row.

Chromium opens each page once and says what it asks for; then the same calls are sent again and
again over loopback, from the first byte of the request to the last of the answer. A page's time is
the sum of its calls, which a browser sends side by side. Processor time of server and client stands
beside it: on a machine that does other things it says what the page costs. Fails if a page's 95th
percentile is above 300 ms. Needs Chromium and the built console; arguments name pages to measure
alone.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Request

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from console_browser import missing, running_browser, tab
from console_pages import OPERATOR_PAGES, PAGES, WIDE
from gigawatt.app.gpu_loads import open_loads
from gigawatt.app.heap import keep_heap
from gigawatt.app.home import Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.server import APPLICATION, load_application
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving
from gigawatt.errors import GigawattError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc

GPU_COUNT = 10_000
PROJECT_COUNT = 40
CLUSTERS = [96] * 90 + [1, 2, 4] * 20
ROUNDS = 20
BOUND_MS = 300.0
_MOMENT = re.compile(r"(?<=_ms=)\d{13}")
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"


def populate(served: Serving, client: Client) -> dict[str, str]:
    """Clusters of many tenants, nodes out of service, a queue, refusals; ids that pages show."""
    organisation = client.create_organisation("tenants")
    projects = [
        client.create_project(organisation.id, f"team-{number}").id
        for number in range(PROJECT_COUNT)
    ]
    for project_id in projects:
        client.set_quota(project_id, GPU_COUNT)
    made = [
        launch(client, projects[number % PROJECT_COUNT], f"train-{number}", gpu_count)
        for number, gpu_count in enumerate(CLUSTERS)
    ]
    free = client.list_nodes(doc.NodeFilter(only_free=True, limit=40)).items
    for number, node in enumerate(free[:20]):
        (client.drain_node if number % 2 else client.quarantine_node)(node.id, "XID 79")
    client.create_ssh_key(projects[0], "ada", PUBLIC_KEY)
    for number in range(100):
        wish = doc.ClusterRequest(
            project_id=projects[number % PROJECT_COUNT], name=f"big-{number}", gpu_count=4_000
        )
        if number < 50:
            client.create_waiting_request(doc.CreateWaitingRequest(cluster=wish))
        else:
            with _refused():
                client.create_cluster(wish)
    around = served.service.control.around
    served.service.loads = open_loads("simulated", around.fleet, around.clock)
    served.service.loads.now()
    served.service.loads.settle(120.0)
    return {"cluster": made[0].id, "operation": str(made[0].operation_id), "node": free[0].id}


def launch(client: Client, project_id: str, name: str, gpu_count: int) -> doc.Cluster:
    """A cluster that runs."""
    wish = doc.ClusterRequest(project_id=project_id, name=name, gpu_count=gpu_count)
    made = client.create_cluster(wish)
    assert made.operation_id is not None
    while client.get_operation(made.operation_id).finished_at is None:
        time.sleep(0.05)
    return made


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except GigawattError:
        return
    raise AssertionError("4,000 GPUs are not free, so they cannot be given")


def calls_of(
    browser: Browser, url: str, key: str, pages: Mapping[str, str]
) -> dict[str, list[str]]:
    """What each page asks for, without streams."""
    found: dict[str, list[str]] = {}
    with tab(browser, url, WIDE) as made:
        made.sign_in(key)
        asked: list[str] = []

        def note(request: Request) -> None:
            path = request.url.removeprefix(url)
            is_call = path.startswith("/gw/v1/") and request.method == "GET"
            if is_call and ":stream" not in path and path not in asked:
                asked.append(path)

        made.page.on("request", note)
        for name, path in pages.items():
            asked.clear()
            made.open(path)
            made.page.wait_for_timeout(1_500)
            found[name] = list(asked)
    return found


def measure(http: httpx.Client, calls: list[str]) -> tuple[list[float], list[float], str]:
    """Sums of rounds in ms, the same of processor time, and the slowest call with its median."""
    sums, cpus = [], []
    single: dict[str, list[float]] = {call: [] for call in calls}
    for number in range(ROUNDS):
        began_cpu_s = time.process_time()
        for call in calls:
            began_s = time.perf_counter()
            response = http.get(later(call, number))
            single[call].append(1e3 * (time.perf_counter() - began_s))
            assert response.status_code < 500, f"{call}: {response.text[:300]}"
        cpus.append(1e3 * (time.process_time() - began_cpu_s))
        sums.append(sum(times[-1] for times in single.values()))
    medians = {call: statistics.median(times) for call, times in single.items()}
    worst = max(medians, key=lambda call: medians[call])
    return sums, cpus, f"{medians[worst]:6.1f} ms {worst[:70]}"


def later(call: str, number: int) -> str:
    """The call of another reader, whose window is another one than what was just worked out."""
    return _MOMENT.sub(lambda at: str(int(at[0]) - number), call)


def p95(times_ms: list[float]) -> float:
    return sorted(times_ms)[int(0.95 * (len(times_ms) - 1))]


def report(url: str, key: str, asked: Mapping[str, list[str]]) -> int:
    """Print a line a page; how many are too slow."""
    slow = 0
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60.0) as http:
        for name, calls in asked.items():
            sums, cpus, worst = measure(http, calls)
            is_slow = p95(sums) > BOUND_MS
            slow += is_slow
            sys.stdout.write(
                f"{name:14} {len(calls):2} calls  p50 {statistics.median(sums):6.1f} ms  "
                f"p95 {p95(sums):6.1f} ms  cpu p50 {statistics.median(cpus):6.1f} ms  "
                f"p95 {p95(cpus):6.1f} ms  slowest {worst}{'  TOO SLOW' if is_slow else ''}\n"
            )
            sys.stdout.flush()
    return slow


def main() -> None:
    if missing():
        sys.exit(missing())
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home", database_url=None)
        home.make()
        home.fleet_path.write_text(dump_fleet(hgx_fleet(GPU_COUNT)), encoding="utf-8")
        with serving(home, load_application(APPLICATION)) as served:
            keep_heap()
            key = make_first_key(served.service, "operator")
            served.service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
            with Client(served.url, key) as client:
                ids = populate(served, client)
            wanted = sys.argv[1:]
            pages = {
                name: path.format(**ids)
                for name, path in (PAGES | OPERATOR_PAGES).items()
                if not wanted or name in wanted
            }
            with running_browser() as browser:
                asked = calls_of(browser, served.url, key, pages)
            sys.stdout.write(
                f"{GPU_COUNT:,} GPUs, {len(CLUSTERS)} clusters of {PROJECT_COUNT} projects, "
                f"{ROUNDS} rounds, load average {os.getloadavg()[0]:.1f}\n"
            )
            slow = report(served.url, key, asked)
            sys.stdout.write(f"load average {os.getloadavg()[0]:.1f}\n")
    sys.exit(f"{slow} pages take longer than {BOUND_MS:.0f} ms" if slow else 0)


if __name__ == "__main__":
    main()
