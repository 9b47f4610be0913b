"""Goal: several processes on one store never both win, and a killed one leaves a sound store.

Method: threads and processes race to commit plans of one generation; a process that commits as
fast as it can is killed with SIGKILL at a moment that follows the work it reported.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import gigawatt
from gigawatt.errors import ConflictError
from gigawatt.interfaces.codec import plan_to_json
from gigawatt.planner.plan import OperationKind
from gigawatt.store.audit import audit_database
from gigawatt.store.open import open_store_at
from gigawatt.store.sqlite import open_store

LAUNCH = OperationKind.LAUNCH
NOW_S = 100.0

RACER = """
import sys
from pathlib import Path
from gigawatt.errors import ConflictError
from gigawatt.interfaces.codec import plan_from_json
from gigawatt.store.open import open_store_at
plan = plan_from_json(Path(sys.argv[2]).read_text())
print("ready", flush=True)
sys.stdin.readline()
store = open_store_at(sys.argv[1])
try:
    store.commit(plan, "op_" + plan.cluster_id, 100.0)
    print("won")
except ConflictError as error:
    print("lost", error)
"""

NURSERY = """
import os, sys
from dataclasses import replace
from pathlib import Path
from gigawatt.interfaces.codec import plan_from_json
from gigawatt.planner.plan import OperationKind
from gigawatt.store.open import open_store_at
plan = plan_from_json(Path(sys.argv[2]).read_text())
keys = [step.key for step in plan.steps]
entries = [entry for step in plan.steps for entry in step.entries]

def life(store, number):
    name, now_s = f"r{number}", 1e6 * number
    after = replace(plan.after, cluster_id=f"clu_{name}", name=name)
    generation = store.snapshot(now_s).generation
    launch = replace(plan, cluster_id=after.cluster_id, after=after, parent_generation=generation)
    operation = store.commit(launch, f"op_{name}", now_s)
    print(number, flush=True)
    operation = store.take_over(operation.operation_id, "w", now_s)
    store.start_steps(operation, keys, now_s)
    store.finish_steps(operation, [(key, "done", "") for key in keys], now_s)
    store.finish(operation, "done", {}, now_s)
    generation = store.snapshot(now_s).generation
    release = replace(
        launch, kind=OperationKind.RELEASE, before=after, after=None, parent_generation=generation
    )
    operation = store.commit(release, f"op_{name}_release", now_s)
    store.bury(operation, entries, now_s)
    store.observe_absent([(entry.device, entry.key) for entry in entries], now_s)
    store.finish(operation, "done", {}, now_s)
    print(number, flush=True)

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        store = open_store_at(sys.argv[1])
        number = len(store.clusters())
        while True:
            number += 1
            life(store, number)
    print("pid", child, flush=True)
    _, status = os.waitpid(child, 0)
    print("end", status, flush=True)
"""
"""Forks a worker for each line it reads: a fork is much faster than a new interpreter."""


def started(script, *arguments):
    source = str(Path(gigawatt.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )


def race_plans(build, count):
    """Plans of one generation that want the same nodes and keys under different names."""
    return [build.plan(LAUNCH, None, build.target(f"c{i}"), 0) for i in range(count)]


@pytest.mark.parametrize("count", [2, 4])
def test_of_several_processes_exactly_one_commits(place, tmp_path, build, count):
    racers = []
    for index, plan in enumerate(race_plans(build, count)):
        text = tmp_path / f"plan{index}.json"
        text.write_text(plan_to_json(plan))
        racers.append(started(RACER, place, text))
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=50) for racer in racers]
    assert sorted(out.split()[0] for out, _ in answers) == [*["lost"] * (count - 1), "won"], answers
    assert audit_database(place) == ()


@pytest.mark.parametrize("is_file", [True, False])
def test_of_eight_threads_exactly_one_commits(place, build, is_file):
    store = open_store_at(place) if is_file else open_store(None)
    barrier, results = threading.Barrier(8), []

    def race(plan):
        barrier.wait()
        try:
            results.append(store.commit(plan, f"op_{plan.cluster_id}", NOW_S))
        except ConflictError:
            results.append(None)

    threads = [threading.Thread(target=race, args=[plan]) for plan in race_plans(build, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len([result for result in results if result]) == 1
    assert len(store.snapshot(NOW_S).clusters) == 1
    store.close()


def test_threads_write_to_different_clusters_without_loss(place, build):
    store = open_store_at(place)
    for i in range(4):
        build.commit(store, LAUNCH, None, build.target(f"c{i}", (i,), number=i + 1))

    def write(operation):
        for line in range(20):
            store.start_steps(operation, [f"step {line}"], NOW_S)
            store.renew(operation, operation.cluster_id, NOW_S)

    operations = store.open_operations()
    threads = [threading.Thread(target=write, args=[operation]) for operation in operations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.journal(o.operation_id)) for o in operations] == [20] * 4
    store.close()


def killed(nursery, lines):
    """Let a worker live until it has reported ``lines`` times; the last number it reported."""
    nursery.stdin.write("go\n")
    nursery.stdin.flush()
    child, numbers = 0, [0]
    while not child or len(numbers) <= lines:
        said = nursery.stdout.readline().split()
        if said[0] == "pid":
            child = int(said[1])
        else:
            numbers.append(int(said[0]))
    os.kill(child, signal.SIGKILL)
    for line in nursery.stdout:
        if line.startswith("end"):
            assert line == f"end {int(signal.SIGKILL)}\n"
            break
        numbers.append(int(line))
    return numbers[-1]


def check_after_kill(place, number):
    """Every cluster reported is there, and what was open can be carried to its end."""
    store = open_store_at(place)
    assert len(store.clusters()) >= number
    assert audit_database(place) == ()
    now_s = 1e6 * len(store.clusters()) + 1e5
    for record in store.open_operations():
        operation = store.take_over(record.operation_id, "next", now_s)
        buried = [(t.entry.device, t.entry.key) for t in store.snapshot(now_s).tombstones]
        store.observe_absent(buried, now_s)
        state = "unwound" if operation.kind is LAUNCH else "done"
        if state == "unwound":
            operation = store.begin_unwind(operation, "the worker was killed", now_s)
        store.finish(operation, state, {}, now_s)
    for cluster in store.snapshot(now_s).clusters.values():
        give_back(store, cluster, now_s)
    assert not store.snapshot(now_s).allocations
    store.close()
    assert audit_database(place) == ()


def give_back(store, cluster, now_s):
    release = replace(
        store.operations_of(cluster.cluster_id)[0].plan,
        kind=OperationKind.RELEASE,
        before=cluster.target,
        after=None,
        parent_generation=store.snapshot(now_s).generation,
    )
    operation = store.commit(release, f"op_back_{cluster.cluster_id}", now_s)
    store.finish(operation, "done", {}, now_s)


def kill_rounds(place, folder, build, line_counts):
    text = folder / "plan.json"
    plan = build.plan(LAUNCH, None, build.target(nodes=range(16)), 0, expires_s=1e15)
    text.write_text(plan_to_json(plan))
    nursery = started(NURSERY, place, text)
    for lines in line_counts:
        check_after_kill(place, killed(nursery, lines))
    _, errors = nursery.communicate(timeout=50)
    assert not errors


def test_a_killed_worker_leaves_a_sound_store(engine, place, tmp_path, build):
    kill_rounds(place, tmp_path, build, [1 + 3 * i % 11 for i in range(engine.kill_count)])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_workers_leave_a_sound_store(place, tmp_path, build):
    kill_rounds(place, tmp_path, build, [1 + i % 17 for i in range(200)])
