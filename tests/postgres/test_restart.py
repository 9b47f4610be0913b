"""Goal: a database server may stop, crash and come back: nothing that was said is lost.

Method: a private server is stopped in good order, or its postmaster or one backend is killed with
SIGKILL in the middle of a burst of commits of two processes; after it is up again every commit
that was reported is there, the auditor is silent, and the same processes go on.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

import gigawatt
from gigawatt.errors import DataError
from gigawatt.store.audit import audit_database
from gigawatt.store.postgres import open_postgres
from postgres_server import name_in

pytestmark = pytest.mark.postgres
NOW_S = 100.0
WORKER_COUNT = 2

BURST = """
import sys
from gigawatt.errors import DataError
from gigawatt.store.postgres import open_postgres
store = open_postgres(sys.argv[1], patience_s=50.0)
worker, number = sys.argv[2], 0
print("ready", flush=True)
while True:
    number += 1
    node = f"{worker}-{number}"
    try:
        store.set_node_state(node, "drained", "", 100.0)
        print("said", node, flush=True)
    except DataError:
        print("away", node, flush=True)
"""


def burst(url, worker):
    source = str(Path(gigawatt.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", BURST, url, worker],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def listen(process, line_count, nodes, away):
    """Read until ``line_count`` more writes were reported."""
    heard = 0
    while heard < line_count:
        word, node = process.stdout.readline().split()
        (nodes if word == "said" else away).append(node)
        heard += word == "said"


def crash_postmaster(server, _url):
    server.stop(signal.SIGKILL)
    server.start()


def crash_backend(server, url):
    """One backend dies: the postmaster throws everybody out, recovers and answers again."""
    with closing(psycopg.connect(server.url("postgres"))) as raw:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = %s"
        (pid,) = raw.execute(query, [name_in(url), "gigawatt"]).fetchone()
        os.kill(pid, signal.SIGKILL)
        with suppress(psycopg.OperationalError):
            raw.execute("SELECT pg_sleep(20)")
    server.start()


@pytest.mark.parametrize("crash", [crash_postmaster, crash_backend])
def test_a_crash_in_the_middle_of_a_burst_loses_nothing_that_was_said(
    frail_server, frail_url, crash
):
    with closing(open_postgres(frail_url)) as store:
        said, away = crashed_thrice(frail_server, frail_url, crash)
        kept = set(store.snapshot(NOW_S).node_states)
    assert set(said) <= kept
    # What was under way in a crash or at the end may be there or not; nothing else is unsaid.
    assert len(kept - set(said)) <= len(away) + WORKER_COUNT
    assert audit_database(frail_url) == ()


def crashed_thrice(server, url, crash):
    """What the workers said was written, and what they said was not, over three crashes."""
    workers = [burst(url, f"worker-{number}") for number in range(WORKER_COUNT)]
    said, away = [], []
    try:
        for round_number in range(3):
            for worker in workers:
                listen(worker, 5 + round_number, said, away)
            crash(server, url)
            for worker in workers:
                listen(worker, 5, said, away)
    finally:
        for worker in workers:
            worker.kill()
            for line in worker.communicate()[0].splitlines():
                said.append(line.split()[1]) if line.startswith("said ") else away.append(line)
    return said, away


def test_a_restart_is_survived_by_a_store_that_stays_open(frail_server, frail_url):
    with closing(open_postgres(frail_url)) as store:
        store.set_node_state("n", "drained", "", NOW_S)
        frail_server.stop()
        frail_server.start()
        assert set(store.snapshot(NOW_S).node_states) == {"n"}
        store.set_node_state("n", "available", "", NOW_S)


def test_a_store_waits_for_a_server_that_comes_back(frail_server, frail_url):
    with closing(open_postgres(frail_url, patience_s=50.0)) as store:
        frail_server.stop()
        starter = threading.Timer(0.3, frail_server.start)
        starter.start()
        store.set_node_state("n", "drained", "", NOW_S)
        starter.join()
        assert set(store.snapshot(NOW_S).node_states) == {"n"}


def test_a_transaction_that_loses_its_server_is_told_and_changes_nothing(frail_server, frail_url):
    with closing(open_postgres(frail_url)) as store:
        with pytest.raises(DataError, match=r"connection to the database was lost|went away"):
            lose_in_the_middle(store, frail_server)
        assert store.snapshot(NOW_S).node_states == {}


def lose_in_the_middle(store, server):
    with store._database.write() as connection:
        connection.exec_driver_sql("INSERT INTO node VALUES ('n', 'drained', '', 1)")
        server.stop()
        server.start()


def test_a_standby_is_told(frail_server, frail_url):
    with closing(open_postgres(frail_url)) as store:
        frail_server.stop()
        mark = frail_server.data / "standby.signal"
        mark.touch()
        frail_server.start()
        try:
            with pytest.raises(DataError, match="only answers reads"):
                store.set_node_state("n", "drained", "", NOW_S)
            assert store.snapshot(NOW_S).node_states == {}
        finally:
            frail_server.stop()
            mark.unlink()
            frail_server.start()


def test_a_damaged_file_is_told(frail_server, frail_url):
    with closing(open_postgres(frail_url)) as store:
        store.set_node_state("n", "drained", "", NOW_S)
    with closing(psycopg.connect(frail_url)) as raw:
        (path,) = raw.execute("SELECT pg_relation_filepath('node')").fetchone()
    frail_server.stop()
    with (frail_server.data / path).open("r+b") as file:
        file.write(b"\xa5" * 4_096)
    frail_server.start()
    with (
        closing(open_postgres(frail_url)) as store,
        pytest.raises(DataError, match="the database is damaged"),
    ):
        store.snapshot(NOW_S)
    with pytest.raises(DataError, match="cannot be read as a store"):
        audit_database(frail_url)
