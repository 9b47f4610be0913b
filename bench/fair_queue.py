"""Compares rules of the queue on generated jobs: who waits how long, how fair, how full.

    python bench/fair_queue.py [SEEDS] [GPUS] [LOAD]

One place of 2,048 GPUs unless said, counted and not placed, so that only the rule differs. Jobs
are those of the twin's generator (Kalos and Philly, half the load each) over four days, at an
offered load of 0.9; one tenant of eight sends every second job, the others share the rest, and all
are granted the same. That mix is ours and illustrative.

- wait: of all jobs, in hours; one that never started counts up to the end.
- Jain: fairness index of the mean wait of jobs by tenant, heavy sender left out; 1 is equal.
- light: mean wait of jobs of the seven tenants that send little, in hours.
- large: median wait of jobs of 64 GPUs and more, in hours.
- used: GPU time held over GPU time there is.
- passed: longest time for which the front of a tenant's line was passed at its place, in hours.

Source of the index: Jain, Chiu and Hawe, DEC-TR-301, 1984.
"""

import heapq
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gigawatt.ids import TenantId
from gigawatt.intent.queue import FairRound, QueuePolicy, Standing, Waiter, Why
from gigawatt.twin.traces import Job
from gigawatt.twin.workload import generated
from gigawatt.units import DAY_S, HOUR_S

GPU_COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 2_048
SPAN_S = 4.0 * DAY_S
LOAD = float(sys.argv[3]) if len(sys.argv) > 3 else 0.9
TENANTS = [TenantId(f"ten_{number}") for number in range(8)]
PLACE = frozenset({"h100@ib0"})
NO_ROOM = Why("room", "")


@dataclass
class Fleet:
    """What is free and who holds it."""

    free: int = GPU_COUNT
    held: dict[TenantId, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    ends: list[tuple[float, str, Waiter]] = field(default_factory=list)

    def take(self, waiter: Waiter, end_s: float) -> None:
        self.free -= waiter.gpu_count
        self.held[waiter.project_id] += waiter.gpu_count
        heapq.heappush(self.ends, (end_s, waiter.waiting_id, waiter))

    def give_back(self, now_s: float) -> None:
        while self.ends and self.ends[0][0] <= now_s:
            waiter = heapq.heappop(self.ends)[2]
            self.free += waiter.gpu_count
            self.held[waiter.project_id] -= waiter.gpu_count


Rule = Callable[[dict[str, Waiter], Fleet, float], list[Waiter]]


def strict(waiting: dict[str, Waiter], fleet: Fleet, now_s: float) -> list[Waiter]:
    """First come, first served; nobody passes."""
    free, found = fleet.free, []
    for waiter in waiting.values():
        if waiter.gpu_count > free:
            break
        free -= waiter.gpu_count
        found.append(waiter)
    return found


def first_fit(waiting: dict[str, Waiter], fleet: Fleet, now_s: float) -> list[Waiter]:
    """In order of submission, whatever fits passes."""
    free, found = fleet.free, []
    for waiter in waiting.values():
        if waiter.gpu_count <= free:
            free -= waiter.gpu_count
            found.append(waiter)
    return found


def fair(patience_s: float) -> Rule:
    """Ours."""
    policy = QueuePolicy(patience_s)

    def rule(waiting: dict[str, Waiter], fleet: Fleet, now_s: float) -> list[Waiter]:
        standings = {
            tenant: Standing(1.0, {"h100": held}, GPU_COUNT) for tenant, held in fleet.held.items()
        }
        fair_round = FairRound(
            list(waiting.values()), standings, {"h100": GPU_COUNT}, policy, now_s
        )
        free, found = fleet.free, []
        while (waiter := fair_round.next_waiter()) is not None:
            if waiter.gpu_count > free:
                fair_round.refuse(waiter, NO_ROOM)
                continue
            fair_round.start(waiter, "h100")
            free -= waiter.gpu_count
            found.append(waiter)
        note_fronts(waiting, fair_round.fronts(), now_s)
        return found

    return rule


def note_fronts(waiting: dict[str, Waiter], fronts: frozenset[str], now_s: float) -> None:
    for name, waiter in waiting.items():
        if (name in fronts) != (waiter.front_since_s is not None):
            since_s = now_s if name in fronts else None
            waiting[name] = replace(waiter, front_since_s=since_s)


@dataclass
class Run:
    """What came of one rule on one seed."""

    waits: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    tenants: dict[str, TenantId] = field(default_factory=dict)
    held_gpu_s: float = 0.0
    passed_s: float = 0.0


def run(jobs: Sequence[Job], rule: Rule, seed: int) -> Run:
    chance, fleet, out = random.Random(seed), Fleet(), Run()  # noqa: S311 - no secret
    coming = [(job.submit_s, number, job) for number, job in enumerate(jobs)]
    owners = [TENANTS[0] if chance.random() < 0.5 else chance.choice(TENANTS[1:]) for _ in coming]
    heapq.heapify(coming)
    waiting: dict[str, Waiter] = {}
    fronts: dict[TenantId, tuple[str, float]] = {}
    durations: dict[str, float] = {}
    now_s = 0.0
    while now_s < SPAN_S:
        while coming and coming[0][0] <= now_s:
            _, number, job = heapq.heappop(coming)
            name = f"wai_{number:06d}"
            waiting[name] = Waiter(
                name, owners[number], job.gpu_count, "h100", PLACE, job.submit_s,
                profile=str(job.gpu_count),
            )  # fmt: skip
            durations[name] = job.duration_s
            out.sizes[name], out.tenants[name] = job.gpu_count, owners[number]
        fleet.give_back(now_s)
        started = rule(waiting, fleet, now_s)
        out.passed_s = max(out.passed_s, passed_s(waiting, started, fronts, now_s))
        for waiter in started:
            out.waits[waiter.waiting_id] = now_s - waiter.since_s
            end_s = now_s + durations[waiter.waiting_id]
            out.held_gpu_s += waiter.gpu_count * (min(end_s, SPAN_S) - now_s)
            fleet.take(waiter, end_s)
            del waiting[waiter.waiting_id]
        now_s = min(
            coming[0][0] if coming else SPAN_S,
            fleet.ends[0][0] if fleet.ends else SPAN_S,
            now_s + HOUR_S,
        )
    out.waits |= {name: SPAN_S - waiter.since_s for name, waiter in waiting.items()}
    return out


def passed_s(
    waiting: dict[str, Waiter],
    started: list[Waiter],
    fronts: dict[TenantId, tuple[str, float]],
    now_s: float,
) -> float:
    """Longest time for which a front was there when one that came to the front later started."""
    gone = {waiter.waiting_id for waiter in started}
    latest_s = max((_front_s(waiter, fronts, now_s) for waiter in started), default=-1.0)
    firsts: dict[TenantId, str] = {}
    for name, waiter in waiting.items():
        if name not in gone:
            firsts.setdefault(waiter.project_id, name)
    longest = max(
        (now_s - s for name, s in fronts.values() if name not in gone and s < latest_s),
        default=0.0,
    )
    for tenant in TENANTS:
        name = firsts.get(tenant, "")
        if fronts.get(tenant, ("", 0.0))[0] != name:
            fronts.pop(tenant, None)
            if name:
                fronts[tenant] = (name, now_s)
    return longest


def _front_s(waiter: Waiter, fronts: dict[TenantId, tuple[str, float]], now_s: float) -> float:
    name, since_s = fronts.get(waiter.project_id, ("", now_s))
    return since_s if name == waiter.waiting_id else now_s


def jain(values: Sequence[float]) -> float:
    """1 when all are equal, 1/n when one has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def figures(out: Run) -> list[float]:
    waits = sorted(wait_s / HOUR_S for wait_s in out.waits.values())
    by_tenant = [
        statistics.mean(
            wait_s / HOUR_S for name, wait_s in out.waits.items() if out.tenants[name] == tenant
        )
        for tenant in TENANTS[1:]
    ]
    light = [
        wait_s / HOUR_S for name, wait_s in out.waits.items() if out.tenants[name] != TENANTS[0]
    ]
    large = sorted(w / HOUR_S for name, w in out.waits.items() if out.sizes[name] >= 64)
    return [
        statistics.median(waits),
        waits[int(0.95 * (len(waits) - 1))],
        jain(by_tenant),
        statistics.mean(light),
        statistics.median(large) if large else math.nan,
        out.held_gpu_s / (GPU_COUNT * SPAN_S),
        out.passed_s / HOUR_S,
    ]


HEAD = ("p50 wait", "p95 wait", "Jain", "light", "large", "used", "passed")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rules: dict[str, Rule] = {
        "strict FIFO": strict,
        "first fit": first_fit,
        "fair, patience 6 h": fair(6.0 * HOUR_S),
        "fair, no patience": fair(math.inf),
    }
    began_s = time.perf_counter()
    print("| rule | seed | " + " | ".join(HEAD) + " |")
    print("| --- | ---: |" + " ---: |" * len(HEAD))
    found: dict[str, list[list[float]]] = {name: [] for name in rules}
    for seed in range(1, count + 1):
        load = generated(("kalos", "philly"), GPU_COUNT, SPAN_S, LOAD, seed)
        for name, rule in rules.items():
            row = figures(run(load.trace.jobs, rule, seed))
            found[name].append(row)
            print(f"| {name} | {seed} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    for name, rows in found.items():
        means = [statistics.mean(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | mean | " + " | ".join(f"{value:.2f}" for value in means) + " |")
    print(f"{time.perf_counter() - began_s:.1f} s")


if __name__ == "__main__":
    main()
