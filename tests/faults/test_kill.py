"""Goal: ``kill -9`` at any moment loses nothing, leaks nothing and gives nothing away twice.

Method: tenants in processes of their own launch, grow, replace, shrink, configure and release, and
make, mount, resize and delete file systems, on one home of files; some operations are carried
out in the process, some by two detached workers that race. All processes are killed with SIGKILL
at a random moment (seeded). Then the reconciler runs, as
``gw reconcile`` does, until there is nothing left to do, and auditors that share no code look:
every cluster is active and whole or gone, every operation that was acknowledged is known and
ended, no entry is without a living owner. The same home goes on to the next kill.
"""

import asyncio
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from gigawatt.app import worker
from gigawatt.app.audit import Auditor
from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.ids import RandomIds
from gigawatt.app.wiring import open_control, worker_name
from gigawatt.boundary.proof import prove
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import GigawattError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_format import dump_fleet
from gigawatt.ids import FileSystemId, TenantId
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.configure import Configuration
from gigawatt.store.audit import audit_database
from gigawatt.store.raw import read_facts
from gigawatt.store.usage_records import SqlUsageBook

FLEET = hgx_fleet(128)
TENANT_COUNT = 3
STEPS_MAX = 200
PASSES_MAX = 6
ORPHAN_S = 60


class LaterClock(SystemClock):
    """The machine's clock a minute on: leases of the killed are over."""

    def now_s(self) -> float:
        return super().now_s() + 60.0


def plan_of(control: Control, random: Random, tenant: str, number: int):
    """Something that this tenant may want now."""
    live = [c for c in control.around.store.clusters() if c.tenant_id == tenant and c.target]
    files = [
        FileSystemId(target.cluster_id)
        for target in control.snapshot().targets.values()
        if target.is_file_system and target.tenant_id == tenant
    ]
    if random.random() < 0.25:
        return file_plan(control, random, tenant, files)
    if not live or random.random() < 0.4:
        whole = random.random() < 0.7
        request = ClusterRequest(
            TenantId(tenant),
            f"c{number}-{random.randrange(10**6)}",
            random.choice((8, 16, 24) if whole else (1, 2, 4)),
            storage_bytes=random.choice((0, 1 << 30)),
            spare_count=random.choice((0, 0, 1)) if whole else 0,
            mounts=tuple(MountWish(name) for name in files if random.random() < 0.5),
        )
        return control.plan_create(request, with_alternatives=False)
    record = random.choice(live)
    cidrs = tuple(random.sample(["192.0.2.0/24", "0.0.0.0/0"], random.randrange(3)))
    rules = tuple(InboundRule("tcp", (22, 22), cidr) for cidr in cidrs)
    name, failed = record.cluster_id, [record.target.members[0].node_id]
    plans = {
        "grow": lambda: control.plan_grow(name, 8),
        "shrink": lambda: control.plan_shrink(name, 8),
        "replace": lambda: control.plan_replace(name, failed),
        "configure": lambda: control.plan_configure(
            name, Configuration(cidrs, inbound_rules=rules)
        ),
        "release": lambda: control.plan_release(name),
    }
    return plans[random.choice((*plans, "release"))]()


def file_plan(control: Control, random: Random, tenant: str, files: list[FileSystemId]):
    """Something that this tenant may want of a file system."""
    kind = random.choice(("create", "resize", "delete")) if files else "create"
    if kind == "create":
        name = f"f{random.randrange(10**6)}"
        return control.plan_create_file_system(FileSystemRequest(TenantId(tenant), name, 1 << 30))
    if kind == "resize":
        return control.plan_resize_file_system(
            random.choice(files), random.choice((1 << 30, 1 << 31)), 0
        )
    return control.plan_delete_file_system(random.choice(files))


def runner(home: Path, orders: int, answers: int) -> None:
    """A detached worker: one operation after the other, each as ``app.worker`` runs it."""
    while line := os.read(orders, 64):
        code = worker.main([str(home), line.decode().strip()])
        os.write(answers, f"{code}\n".encode())


def fork(told: int, work, *arguments) -> int:
    """A child that does ``work``; what it did not expect it tells the parent."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(ORPHAN_S)  # should the test itself be killed, its children do not stay
    try:
        work(*arguments)
    except BaseException:  # noqa: BLE001 - the parent must hear of everything
        os.write(told, f"BUG {traceback.format_exc()!r}\n".encode())
    finally:
        os._exit(0)


def tenant_life(home: Path, seed: int, tenant: str, told: int) -> None:
    """A tenant that wants one thing after the other, with two workers at hand."""
    random = Random(f"{seed} {tenant}")  # noqa: S311 - repeats on purpose
    pipes = [(os.pipe(), os.pipe()) for _ in range(2)]
    for orders, answers in pipes:
        fork(told, runner, home, orders[0], answers[1])
    with open_control(Home(home)) as control:
        os.write(told, b"UP\n")
        for number in range(STEPS_MAX):
            try:
                operation = control.commit_new(lambda n=number: plan_of(control, random, tenant, n))
            except GigawattError:
                continue
            os.write(told, f"OP {operation.operation_id}\n".encode())
            if random.random() < 0.5:
                work = control.run(operation.operation_id, worker_name())
                try:
                    state = asyncio.run(work).state
                except GigawattError as error:
                    os.write(told, f"ERROR {type(error).__name__}: {error}\n".encode())
                    continue
                os.write(told, f"END {operation.operation_id} {state}\n".encode())
                continue
            for orders, _ in pipes:
                os.write(orders[1], f"{operation.operation_id}\n".encode())
            codes = [os.read(answers[0], 8).decode().strip() for _, answers in pipes]
            os.write(told, f"RACE {operation.operation_id} {','.join(codes)}\n".encode())


def everybody(home: Path, seed: int, told: int) -> None:
    """All tenants at once, in one process group."""
    os.setsid()
    for number in range(TENANT_COUNT):
        fork(told, tenant_life, home, seed, f"ten_{number}", told)
    signal.pause()


def live_and_die(home: Path, seed: int, moment_s: float) -> list[list[str]]:
    """Let everybody live for a moment, kill all of them; what they said until then."""
    heard, told = os.pipe()
    sys.stdout.flush()
    leader = fork(told, everybody, home, seed, told)
    os.close(told)
    said = bytearray(os.read(heard, 1 << 16))  # the first tenant is up: the moment begins
    clock = SystemClock()
    end_s = clock.now_s() + moment_s
    while (left_s := end_s - clock.now_s()) > 0:
        if select.select([heard], [], [], left_s)[0]:
            said += os.read(heard, 1 << 16)
    os.killpg(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    # The pipe ends when the last of them is really gone.
    while chunk := os.read(heard, 1 << 16):
        said += chunk
    os.close(heard)
    return [line.split(" ", 2) for line in said.decode().split("\n")[:-1]]


def recover(home: Path) -> Control:
    """Reconcile until there is peace; then mend what is out of service."""
    with open_control(Home(home)) as control:
        around = replace(control.around, clock=LaterClock())
        later = Control(around, RandomIds())
        for _ in range(PASSES_MAX):
            report = asyncio.run(later.reconcile("reconciler"))
            if report.is_converged and not report.resumed:
                break
        assert report.is_converged, report
        judge(home, later)
        for node_id in later.snapshot().blocked_nodes:
            around.store.set_node_state(node_id, "available", "mended", around.clock.now_s())


def judge(home: Path, control: Control) -> None:
    """Independent audit of books and devices; everybody is active and whole, or gone."""
    states = FileStates(Home(home).devices_path)
    held = DeviceWorld(FLEET, states).everything()
    states.close()
    entries = [entry for of_device in held.values() for entry in of_device]
    path = Home(home).store_path
    assert audit_database(path) == ()
    assert Auditor(FLEET, read_facts(path)).leaks(entries) == ()
    store = control.around.store
    assert store.open_operations() == ()
    assert SqlUsageBook(store.database).check().differences == (), (
        "a kill billed a node twice, or not"
    )
    records = store.snapshot(control.around.clock.now_s()).clusters.values()
    assert {record.phase.value for record in records} <= {"active", "released", "failed"}
    targets = [record.target for record in records if record.target is not None]
    wanted = {entry for target in targets for entry in render(FLEET, target)}
    assert wanted == set(entries)
    assert prove(FLEET, targets, entries, scope="read_back").is_proven


def keep_word(home: Path, said: list[list[str]]) -> int:
    """Everything that was acknowledged is in the books as it was acknowledged."""
    with open_control(Home(home)) as control:
        for word, *rest in (line for line in said if line != ["UP"]):
            assert word in {"OP", "END", "RACE"}, rest
            operation = control.around.store.operation(rest[0])
            assert operation.state in {"done", "unwound"}
            if word == "END":
                assert operation.state == rest[1]
            if word == "RACE":
                assert set(rest[1].split(",")) == {"0"}, rest
    return sum(word == "OP" for word, *_ in said)


@contextmanager
def a_home() -> Iterator[Path]:
    memory = Path("/dev/shm")  # noqa: S108 - a scratch folder with an unpredictable name
    where = memory if os.access(memory, os.W_OK) else None
    with TemporaryDirectory(dir=where) as name:
        home = Home(Path(name))
        home.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
        yield home.path


def kill_often(kill_count: int, seed: int) -> tuple[int, int]:
    """Kills that hit somebody at work, and operations that were acknowledged."""
    moments = Random(seed)  # noqa: S311 - repeats on purpose
    operations = interrupted = 0
    with a_home() as home:
        for number in range(kill_count):
            said = live_and_die(home, seed * 1_000 + number, moments.uniform(0.05, 0.9))
            with open_control(Home(home)) as control:
                interrupted += bool(control.around.store.open_operations())
            recover(home)
            operations += keep_word(home, said)
    return interrupted, operations


@pytest.mark.timeout(120)
def test_a_dozen_kills_lose_and_leak_nothing(record_property):
    interrupted, operations = kill_often(12, seed=1)
    record_property("kills", 12)
    record_property("operations committed before a kill", operations)
    record_property("kills that hit an operation", interrupted)
    assert interrupted > 0
    assert operations > 0


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(2, 6))
def test_two_hundred_kills_lose_and_leak_nothing(seed, record_property):
    interrupted, operations = kill_often(52, seed=seed)
    record_property("kills", 52)
    record_property("operations committed before a kill", operations)
    record_property("kills that hit an operation", interrupted)
    assert interrupted > 0
    assert operations > 0
