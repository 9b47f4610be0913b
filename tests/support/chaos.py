"""Chaos: tenants, servers, devices that fail, and somebody who kills servers and the database.

Run with ``make chaos``, or ``python tests/support/chaos.py --engine postgres``. Prints
the counts, writes them to ``out/chaos-ENGINE.json``, and ends with status 1 if anything was wrong.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chaos_clients import Counts, Tenant
from chaos_judge import Sampler, judge_answers, judge_device_log, judge_end, recoveries_s, summary
from chaos_site import Killer, Site, chaos_site
from postgres_server import SETTINGS, private_server

DURABLE = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "max_connections": "150"}
CONVERGE_S_MAX = 420.0


@dataclass(frozen=True)
class Scene:
    """What a run is like; sizes in nodes of 8 GPUs, drawn with these weights by repetition."""

    gpu_count: int
    tenant_count: int
    seconds: float
    node_counts: tuple[int, ...]
    pause_s: tuple[float, float]
    stop_s: tuple[float, float]
    reconcile_s: float
    sample_s: float


QUICK = Scene(256, 6, 5.0, (2, 2, 3, 4), (0.3, 0.8), (2.6, 3.0), 2.0, 0.2)
FULL = Scene(
    10_000, 100, 300.0, (*(2,) * 60, *(4,) * 25, *(8,) * 10, *(32,) * 4, 500),
    (3.0, 7.0), (2.5, 6.0), 30.0, 3.0,
)  # fmt: skip


def converge(tenants: list[Tenant], site: Site) -> float:
    """Wait until every tenant has given everything back and nothing is open; how long it took."""
    began_s = time.monotonic()
    for tenant in tenants:
        tenant.join(max(0.1, CONVERGE_S_MAX - (time.monotonic() - began_s)))
    query = (
        "SELECT (SELECT count(*) FROM operation WHERE is_open)"
        " + (SELECT count(*) FROM tombstone) AS rest_count"
    )
    while time.monotonic() - began_s < CONVERGE_S_MAX:
        if not any(t.is_alive() for t in tenants) and not site.ask(query)[0]["rest_count"]:
            break
        time.sleep(0.2)
    return time.monotonic() - began_s


def run(scene: Scene, folder: Path, seed: int, postgres) -> dict:
    """One run; its report. ``notes`` is empty if all went well."""
    counts = Counts()
    with ExitStack() as stack:
        site = stack.enter_context(
            chaos_site(
                folder, scene.gpu_count, seed, postgres=postgres, reconcile_s=scene.reconcile_s
            )
        )
        killer, sampler = Killer(site, scene.pause_s, scene.stop_s), Sampler(site, scene.sample_s)
        tenants = [
            Tenant(number, site.urls, site.keys[0], site.project_id, counts)
            for number in range(scene.tenant_count)
        ]
        for tenant in tenants:
            tenant.node_counts = list(scene.node_counts)
        for thread in (*tenants, killer, sampler):
            thread.start()
        threading.Event().wait(scene.seconds)
        killer.end()
        for tenant in tenants:
            tenant.end.set()
        converged_s = converge(tenants, site)
        sampler.end()
        alive = [f"{tenant.name} did not end" for tenant in tenants if tenant.is_alive()]
        answers = judge_answers(site, counts)
        site.stop_all()
        log_notes, log_count = judge_device_log(site)
        notes = [
            *([f"the killer failed: {killer.error!r}"] if killer.error else []),
            *alive, *counts.bugs, *counts.unanswered, *sampler.notes, *answers, *log_notes,
            *judge_end(site),
        ]  # fmt: skip
        recovered = recoveries_s(site, killer.blows)
        events = Counter(str(row["kind"]) for row in site.ask("SELECT kind FROM event"))
        started = site.ask("SELECT count(*) AS n FROM operation")[0]["n"]
    return {
        "engine": "sqlite" if postgres is None else "postgres",
        "seed": seed,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "load": [round(value, 1) for value in os.getloadavg()],
        "gpu_count": scene.gpu_count,
        "tenants": scene.tenant_count,
        "seconds": scene.seconds,
        "blows": dict(Counter(blow.kind for blow in killer.blows)),
        "operations hit": sum(len(blow.hit) for blow in killer.blows),
        "operations": started,
        "taken over": events["taken_over"],
        "events": dict(events),
        "clients": dict(sorted(counts.numbers.items())),
        "answered": summary(counts.answer_s),
        "answers replayed": len(counts.done),
        "recovery": {kind: summary(values) for kind, values in sorted(recovered.items())},
        "recovery of servers": summary([*recovered.get("kill", []), *recovered.get("stop", [])]),
        "samples": sampler.sample_count,
        "device log lines": log_count,
        "converged_s": round(converged_s, 1),
        "notes": notes[:50],
        "note count": len(notes),
    }


def main() -> int:
    """Run once, print and write the report."""
    parser = argparse.ArgumentParser(description="kill servers and databases under load")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), required=True)
    parser.add_argument("--seconds", type=float, default=FULL.seconds)
    parser.add_argument("--tenants", type=int, default=FULL.tenant_count)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    scene = Scene(
        FULL.gpu_count, given.tenants, given.seconds, FULL.node_counts, FULL.pause_s, FULL.stop_s,
        FULL.reconcile_s, FULL.sample_s,
    )  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-chaos-")))
        postgres = None
        if given.engine == "postgres":
            postgres = stack.enter_context(private_server(DURABLE, None))
        report = run(scene, folder / "home", given.seed, postgres)
        keep_logs(folder / "home", given.engine)
    text = json.dumps(report, indent=1)
    out = Path("out")
    out.mkdir(exist_ok=True)
    (out / f"chaos-{given.engine}.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 1 if report["note count"] else 0


def keep_logs(home: Path, engine: str) -> None:
    """Keep what the servers said."""
    for log in home.glob("replica*.log"):
        target = Path("out") / f"chaos-{engine}-{log.name}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(log.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
