"""Goal: on both engines a waiting request starts once or ends once, never both, whoever serves.

Method: a room with requests on a small fleet, served by hand, by racing processes that ignore
whose turn it is, and by one that stops between its judgement and its commit; books of turned-away
demand and limits past their bounds.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gigawatt
from gigawatt.app.admission import Admission, Wish
from gigawatt.app.clock import ManualClock
from gigawatt.app.control import Control
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.ids import RandomIds
from gigawatt.app.pump import Pump
from gigawatt.errors import ConflictError, QuotaError, UnknownIdError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.identity.quota import Limits
from gigawatt.ids import OperationId, TenantId
from gigawatt.intent.queue import Why
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.turned_away import TurnedAway, TurnedAwayFilter
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.store.audit import audit_database
from gigawatt.store.directory import open_directory
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.limits import open_limit_book
from gigawatt.store.open import open_store_at
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.turned_away import (
    ROW_KEPT_S,
    SqlTurnedAwayBook,
    open_turned_away_book,
    summed,
)
from gigawatt.store.waiting import open_waiting_room
from gigawatt.units import DAY_S

NOW_S = 1e9
TENANT = TenantId("ten_a")

SERVER = """
import sys
from gigawatt.app.admission import Admission
from gigawatt.app.clock import ManualClock
from gigawatt.app.control import Control
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.ids import RandomIds
from gigawatt.app.pump import Pump
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.store.directory import open_directory
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.limits import open_limit_book
from gigawatt.store.open import open_store_at
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.turned_away import open_turned_away_book
from gigawatt.store.waiting import open_waiting_room
store = open_store_at(sys.argv[1])
control = Control(Surroundings(hgx_fleet(128), store, {}, ManualClock(1e9)), RandomIds())
books = open_waiting_room(store), open_turned_away_book(store), open_limit_book(store)
follower = FirewallFollower(control, SqlFirewallRulesets(store.database))
books = *books, SqlStorageQuotas(store.database), follower
pump = Pump(Admission(control, open_directory(store), *books), sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
count = 0
while True:
    waiting = list(pump._room.waiting())
    if not waiting:
        break
    count += pump._serve(waiting, 1e9)
print(count)
"""


def books_of(store, control):
    """Books of storage and of firewall rules that nobody has written into."""
    rulesets = SqlFirewallRulesets(store.database)
    return SqlStorageQuotas(store.database), FirewallFollower(control, rulesets)


@contextmanager
def admission_at(place) -> Iterator[Admission]:
    """A control plane without devices on the store at a place; its clock is the test's."""
    with closing(open_store_at(place)) as store:
        around = Surroundings(hgx_fleet(128), store, {}, ManualClock(NOW_S))
        control = Control(around, RandomIds())
        yield Admission(
            control,
            open_directory(store),
            open_waiting_room(store),
            open_turned_away_book(store),
            open_limit_book(store),
            *books_of(store, control),
        )


@pytest.fixture
def admission(place) -> Iterator[Admission]:
    """On both engines."""
    with admission_at(place) as made:
        yield made


def wait(admission: Admission, name: str, gpu_count: int = 8) -> WaitingRequest:
    wish = Wish(ClusterRequest(TENANT, name, gpu_count), None, None, None, 1e6)
    return admission.wait(wish, OperationId(admission.control.new_id("op")))


def serve(admission: Admission) -> int:
    return Pump(admission, "w").run_if_due()


def test_a_request_reads_back_and_outlives_the_process(place):
    with admission_at(place) as admission:
        made = wait(admission, "a")
        admission.room.note_round(
            {made.waiting_id: Why("room", "none")}, frozenset({made.waiting_id}), NOW_S + 1
        )
    with admission_at(place) as admission:
        (found,) = admission.room.waiting()
        why = Why("room", "none")
        assert found == replace(made, why=why, front_since_s=NOW_S + 1)
        assert admission.room.of_operation(made.operation_id) == found
        admission.room.note_round({}, frozenset(), NOW_S + 2)
        assert admission.room.request(made.waiting_id).front_since_s is None
        for ask in (admission.room.request, admission.room.of_operation):
            with pytest.raises(UnknownIdError):
                ask("x")


def test_processes_that_serve_at_the_same_time_start_everything_once(place):
    with admission_at(place) as admission:
        directory = admission.directory
        directory.add_organisation(Organisation(OrganisationId("org_a"), "a", NOW_S))
        directory.add_project(Project(TENANT, OrganisationId("org_a"), "p", 64, NOW_S))
        made = [wait(admission, f"c{number}") for number in range(6)]
        source = str(Path(gigawatt.__file__).parents[1])
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", SERVER, str(place), f"w{number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": source},
            )
            for number in range(2)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=50.0) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
        assert sum(int(out) for out, _ in said) == len(made), said
        ended = [admission.room.request(row.waiting_id) for row in made]
        assert {row.state for row in ended} == {"started"}
        assert len({row.cluster_id for row in ended}) == len(made)
        assert len(admission.control.around.store.open_operations()) == len(made)
        kinds = [event.kind for event in admission.control.around.store.events()]
        assert kinds.count("waiting.started") == len(made)
    assert audit_database(place) == ()


def test_a_server_that_dies_between_commit_and_note_starts_it_once(admission):
    made = wait(admission, "a")
    control = admission.control
    control.commit(control.plan_create(made.request), operation_id=made.operation_id)
    assert admission.room.request(made.waiting_id).state == "waiting"
    with pytest.raises(ConflictError):
        admission.room.end(made.waiting_id, "withdrawn", "", NOW_S, None)
    assert serve(admission) == 0
    assert admission.room.request(made.waiting_id).state == "started"
    assert len(control.around.store.open_operations()) == 1


def test_an_end_stops_a_commit_that_was_judged_before(admission):
    made, control = wait(admission, "a"), admission.control

    def admit(view, plan):
        if admission.room.request(made.waiting_id).state != "waiting":
            raise UnknownIdError("gone")
        admission.room.end(made.waiting_id, "withdrawn", "", NOW_S, None)

    with pytest.raises(UnknownIdError):
        control.commit(
            control.plan_create(made.request), operation_id=made.operation_id, admit=admit
        )
    assert control.around.store.open_operations() == ()


def test_a_grant_stops_a_commit_that_was_judged_by_the_grant_before(admission):
    directory, control = admission.directory, admission.control
    directory.add_organisation(Organisation(OrganisationId("org_a"), "a", NOW_S))
    directory.add_project(Project(TENANT, OrganisationId("org_a"), "p", 64, NOW_S))
    plan = control.plan_create(ClusterRequest(TENANT, "a", 64))

    def admit(view, judged):
        admission.judge(view, judged)
        if directory.project(TENANT).gpu_count_max == 64:
            admission.limits.grant(TENANT, 8, Limits(), {"at_s": NOW_S})

    with pytest.raises(QuotaError):
        control.commit(plan, admit=admit)
    assert control.around.store.open_operations() == ()
    with pytest.raises(UnknownIdError):
        admission.limits.grant(TenantId("ten_none"), 8, Limits(), {"at_s": NOW_S})


def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(admission):
    old, kept = wait(admission, "old"), wait(admission, "kept")
    admission.room.end(old.waiting_id, "withdrawn", "", NOW_S, None)
    assert admission.room.forget(NOW_S) == 0
    assert admission.room.forget(NOW_S + 1) == 1
    found = admission.room.page(Reach(None), 1 << 62, 10, with_ended=True)
    assert [row.waiting_id for row in found] == [kept.waiting_id]
    found = admission.room.page(Reach(frozenset({TenantId("ten_b")})), 1 << 62, 10, with_ended=True)
    assert found == ()


def row_of(number: int, **more) -> TurnedAway:
    made = TurnedAway(
        sequence=0,
        source_key=f"k{number}",
        at_s=NOW_S,
        project_id=TENANT,
        cause="capacity",
        origin="create",
        outcome="refused",
        gpu_type="h100",
        gpu_count=64,
        shape="",
        price_micro_usd_per_gpu_hour_max=None,
        list_price_micro_usd_per_hour=64_000_000,
        duration_s=3_600.0,
        waited_s=0.0,
        reasons=("no room",),
        fingerprint=f"f{number}",
    )
    return replace(made, **more)


def everything(book: SqlTurnedAwayBook) -> list:
    return [replace(day, day=0) for day in book.days(0, 1 << 20)]


def test_a_source_is_recorded_once(admission):
    book = admission.book
    assert book.record(row_of(1))
    assert not book.record(row_of(1, at_s=NOW_S + 5))
    assert book.record(row_of(2, cause="quota", project_id=TenantId("ten_b")))
    found = book.page(TurnedAwayFilter(), 1 << 62, 10)
    assert [(row.source_key, row.reasons) for row in found] == [
        ("k2", ("no room",)),
        ("k1", ("no room",)),
    ]
    for wanted, keys in (
        (TurnedAwayFilter(cause="quota"), ["k2"]),
        (TurnedAwayFilter(project_id=TENANT), ["k1"]),
        (TurnedAwayFilter(since_s=NOW_S + 1), []),
        (TurnedAwayFilter(until_s=NOW_S), []),
        (TurnedAwayFilter(gpu_type="h100", origin="create", since_s=NOW_S), ["k2", "k1"]),
    ):
        assert [row.source_key for row in book.page(wanted, 1 << 62, 10)] == keys
    assert book.page(TurnedAwayFilter(), found[0].sequence, 10) == found[1:]


def test_rows_that_are_too_old_or_too_many_live_on_in_their_days(admission):
    book = SqlTurnedAwayBook(admission.control.around.store.database, row_count_max=3)
    for number in range(6):
        book.record(row_of(number, at_s=NOW_S - ROW_KEPT_S - 2 * DAY_S + number * 60.0))
    for number in range(6, 11):
        book.record(row_of(number))
    before = book.days(0, 1 << 20)
    assert sum(day.request_count for day in before) == 11
    assert sum(day.gpu_s for day in before) == 11 * 64 * 3_600.0
    assert book.tidy(NOW_S) == 8
    assert book.days(0, 1 << 20) == before
    assert len(book.page(TurnedAwayFilter(), 1 << 62, 100)) == 3
    assert book.tidy(NOW_S) == 0
    assert book.tidy(NOW_S + 3_000 * DAY_S) == 3
    assert everything(book) == []


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 600)), max_size=30))
def test_a_wish_that_is_repeated_counts_once_a_day(asks):
    rows = [
        row_of(number, gpu_count=gpus, fingerprint=f"{wish} {gpus}")
        for number, (wish, gpus) in enumerate(asks)
    ]
    days = summed(rows)
    assert sum(day.request_count for day in days) == len(asks)
    assert sum(day.distinct_count for day in days) == len(set(asks))
    assert sum(day.gpu_count for day in days) == sum(gpus for _, gpus in set(asks))
    for day in days:
        assert day.gpu_count_from & (day.gpu_count_from - 1) == 0
        sizes = {gpus for _, gpus in asks if day.gpu_count_from <= gpus < 2 * day.gpu_count_from}
        assert sizes
