"""The fleet map in Chromium: when the first cells are seen, and frames a second while it changes.

A server with a demonstration fleet serves page and places. What holds and ails nodes is made up in
the browser's driver, 1,000 nodes other in each answer, and the stream of events makes the page ask
about once a second; so the page does what it does at 1,000 changes a second, and the store is not
what is measured. Needs Chromium and the built console.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Route

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from console_browser import missing, running_browser, tab
from gigawatt.app.home import Home
from gigawatt.app.server import APPLICATION, load_application
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import serving
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet

GPU_COUNTS = (10_000, 100_000)
CHANGED_COUNT = 1_000
SECONDS = 10
WINDOW = {"width": 1280, "height": 900}
EVENT = {
    "sequence": 1,
    "at": "2026-11-23T00:00:00Z",
    "cluster_id": None,
    "operation_id": None,
    "kind": "node",
    "message": "",
    "data": {},
}

WATCH = """
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    if (document.querySelector("canvas[data-painted]")) window.firstCells = performance.now();
    else requestAnimationFrame(look);
  };
  look();
});
"""

FIRST = """
() => new Promise((done) => {
  const look = () =>
    window.firstCells ? done(window.firstCells) : requestAnimationFrame(look);
  look();
})
"""

FRAMES = """
(seconds) => new Promise((done) => {
  const gaps = [];
  const until = performance.now() + 1000 * seconds;
  let before = performance.now();
  const next = (now) => {
    gaps.push(now - before);
    before = now;
    if (now < until) requestAnimationFrame(next);
    else done(gaps);
  };
  requestAnimationFrame(next);
})
"""


def document(node_count: int, draw: np.random.Generator) -> dict[str, Any]:
    """What a fleet holds, most of it held by 40 clusters, with 1,000 nodes drawn anew."""
    count = min(CHANGED_COUNT, node_count) // 2
    other = draw.choice(node_count, count, replace=False).tolist()
    ill = set(other)
    held = [node for node in range(node_count) if node % 10 and node not in ill]
    return {
        "held_node": held,
        "held_gpu_mask": [255] * len(held),
        "held_by": [node % 40 for node in held],
        "cluster_ids": [f"clu_{number}" for number in range(40)],
        "cluster_names": [f"train-{number}" for number in range(40)],
        "project_ids": [f"prj_{number % 12}" for number in range(40)],
        "drained_node": other[::2],
        "quarantined_node": other[1::2],
        "places": None,
    }


def measure(browser: Browser, url: str, key: str, node_count: int) -> str:
    draw, answers = np.random.default_rng(1), [0]

    def answer(route: Route) -> None:
        answers[0] += 1
        route.fulfill(status=200, content_type="application/json", body=next_body())

    def next_body() -> str:
        return json.dumps(document(node_count, draw))

    def event(route: Route) -> None:
        body = f"event: node\ndata: {json.dumps(EVENT)}\n\n"
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    with tab(browser, url, WINDOW) as made:
        made.sign_in(key)
        made.page.add_init_script(WATCH)
        first_ms = []
        for _ in range(5):
            made.open("/fleet")
            made.page.wait_for_selector("canvas[data-painted]")
            first_ms.append(made.page.evaluate(FIRST))
        made.page.route("**/gw/v1/fleet/cells?with_places=false", answer)
        made.page.route("**/gw/v1/events:stream", event)
        made.open("/fleet")
        made.page.wait_for_selector("canvas[data-painted]")
        before = answers[0]
        gaps = made.page.evaluate(FRAMES, SECONDS)[1:]
        shown = made.page.locator(".figure-value").first.inner_text()
        paints = made.page.locator("canvas.map-canvas").get_attribute("data-painted")
        ordered = sorted(gaps)
        return (
            f"{shown} GPUs shown, painted {paints} times; "
            f"first cells after {statistics.median(first_ms):.0f} ms (worst {max(first_ms):.0f}); "
            f"{1000 * len(gaps) / sum(gaps):.1f} frames/s, "
            f"p99 {ordered[int(0.99 * len(ordered))]:.0f} ms, worst {ordered[-1]:.0f} ms, "
            f"{(answers[0] - before) / SECONDS:.1f} answers/s with up to {CHANGED_COUNT} changes"
        )


def main() -> None:
    if missing():
        sys.exit(missing())
    for gpu_count in GPU_COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home", database_url=None)
            home.make()
            fleet = hgx_fleet(gpu_count)
            home.fleet_path.write_text(dump_fleet(fleet), encoding="utf-8")
            with (
                serving(home, load_application(APPLICATION)) as served,
                running_browser() as browser,
            ):
                key = make_first_key(served.service, "operator")
                line = measure(browser, served.url, key, len(fleet.nodes))
        sys.stdout.write(f"{gpu_count:>7} GPUs: {line}\n")


if __name__ == "__main__":
    main()
