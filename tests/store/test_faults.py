"""Goal: a damaged, full, locked or foreign file is told in our own words, naming the file.

Method: files that are really cut, overwritten, full (SQLite's own page limit, and a file system
of 1 MB where mounting is allowed), held by another connection, or of another version.
"""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from gigawatt.errors import ConflictError, DataError, OutOfReachError, StorageFullError
from gigawatt.planner.plan import OperationKind
from gigawatt.store.audit import audit_database
from gigawatt.store.sqlite import open_store

LAUNCH = OperationKind.LAUNCH
NOW_S = 100.0


@pytest.fixture
def path(tmp_path, build):
    """A file with one cluster and a long journal."""
    made = tmp_path / "store.db"
    store = open_store(made)
    operation = build.commit(store, LAUNCH, None, build.target())
    store.start_steps(operation, [f"step {index}" for index in range(2_000)], NOW_S)
    store.close()
    return made


def read_all(path):
    store = open_store(path)
    try:
        store.snapshot(NOW_S)
        for operation in store.open_operations():
            store.journal(operation.operation_id)
    finally:
        store.close()


def test_what_was_committed_is_there_after_opening_again(path, build):
    store = open_store(path)
    seen = store.snapshot(NOW_S)
    assert seen.clusters["clu_a"].target == build.target()
    assert len(store.journal("op_0")) == 2_000
    store.close()


def test_the_file_is_durable_and_checks_its_references(path):
    store = open_store(path)
    with store._database.read() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]
    store.close()


def test_a_truncated_file_is_refused(path):
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r"store\.db is damaged"):
        read_all(path)
    with pytest.raises(DataError, match=r"store\.db"):
        audit_database(path)


def test_an_overwritten_file_is_refused(path):
    data = bytearray(path.read_bytes())
    for start in range(4_096, len(data), 4_096):
        data[start : start + 64] = b"\xa5" * 64
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"store\.db is damaged"):
        read_all(path)


def test_an_overwritten_header_is_refused(path):
    with path.open("r+b") as file:
        file.write(b"not a database at all")
    with pytest.raises(DataError, match=r"store\.db is damaged: file is not a database"):
        read_all(path)


def test_a_row_that_does_not_read_back_is_named_and_what_it_holds_stays_held(path, build):
    store = open_store(path)
    before = store.snapshot(NOW_S)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE cluster SET target = '{}'")
    seen = store.snapshot(NOW_S)
    assert seen.clusters == {}
    assert (seen.allocations, seen.keys) == (before.allocations, before.keys)
    with pytest.raises(DataError, match=r"row of cluster 'clu_a' is damaged: .* a target"):
        seen.refuse_damaged()
    with pytest.raises(DataError, match="'clu_a' is damaged"):
        store.cluster("clu_a")
    other = build.target("b", (4, 5), number=2)
    plan = build.plan(LAUNCH, None, other, seen.generation)
    assert store.commit(plan, "op_other", NOW_S).cluster_id == "clu_b"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE operation SET plan = 'rubbish' WHERE operation_id = 'op_0'")
    with pytest.raises(DataError, match="row of operation 'op_0' is damaged"):
        store.operation("op_0")
    assert store.operation("op_other").cluster_id == "clu_b"
    store.close()


def test_a_store_whose_file_goes_away_writes_nowhere_and_comes_back_with_it(tmp_path, path, build):
    store = open_store(path)
    away = tmp_path / "away.db"
    path.rename(away)
    for _ in range(2):
        with pytest.raises(OutOfReachError, match=r"store\.db is not there any more"):
            store.set_node_state(build.nodes[0], "drained", "", NOW_S)
    assert not path.exists(), "nothing was made in its place"
    away.rename(path)
    store.set_node_state(build.nodes[0], "drained", "", NOW_S)
    assert set(store.snapshot(NOW_S).node_states) == {build.nodes[0]}
    store.close()


def test_a_store_whose_file_is_replaced_says_so_once_and_reads_the_new_one(tmp_path, build):
    path, other = tmp_path / "store.db", tmp_path / "other.db"
    store = open_store(path)
    store.set_node_state(build.nodes[0], "drained", "", NOW_S)
    beside = open_store(other)
    beside.set_node_state(build.nodes[1], "drained", "", NOW_S)
    beside.close()
    for rest in tmp_path.glob("store.db-*"):
        rest.unlink()
    other.replace(path)
    with pytest.raises(OutOfReachError, match="was replaced"):
        store.snapshot(NOW_S)
    assert set(store.snapshot(NOW_S).node_states) == {build.nodes[1]}
    store.close()


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE song (title TEXT)")
    with pytest.raises(DataError, match="not a store of Gigawatt"):
        open_store(path)
    with closing(sqlite3.connect(path)) as raw:
        names = raw.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("song",)]


def test_a_file_may_have_any_name(tmp_path, monkeypatch, build):
    monkeypatch.chdir(tmp_path)
    store = open_store(Path("50% of #1?.db"))
    monkeypatch.chdir("/")
    build.commit(store, LAUNCH, None, build.target())
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["50% of #1?.db"]
    assert audit_database(tmp_path / "50% of #1?.db") == ()


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        open_store(tmp_path / "nowhere" / "store.db")
    with pytest.raises(DataError, match="cannot be read"):
        audit_database(tmp_path / "store.db")


def test_a_writer_that_never_lets_go_is_a_conflict(path, build):
    store = open_store(path, busy_timeout_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConflictError, match=r"store\.db: another process holds the store"):
            store.set_node_state(build.nodes[0], "drained", "", NOW_S)
        assert store.snapshot(NOW_S).clusters
        raw.execute("ROLLBACK")
    store.set_node_state(build.nodes[0], "drained", "", NOW_S)
    store.close()


def fill(store, operation):
    for _ in range(2_000):
        store.start_steps(operation, [f"{index:0200d}" for index in range(50)], NOW_S)


def test_a_full_disk_loses_nothing(path, build):
    store = open_store(path)
    engine = store._database._engine
    pages = path.stat().st_size // 4_096 + 40
    event.listen(engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}"))
    engine.dispose()
    operation = store.operation("op_0")
    with pytest.raises(StorageFullError, match=r"store\.db: no space left"):
        fill(store, operation)
    kept = store.journal("op_0")
    with pytest.raises(StorageFullError):
        store.commit(
            build.plan(LAUNCH, None, build.target("b", range(5, 30), number=2), 1), "op_1", NOW_S
        )
    assert store.journal("op_0") == kept
    assert set(store.snapshot(NOW_S).clusters) == {"clu_a"}
    store.close()
    assert audit_database(path) == ()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if not done or done.returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_file_system_loses_nothing(small_disk, build):
    path = small_disk / "store.db"
    store = open_store(path)
    operation = build.commit(store, LAUNCH, None, build.target())
    with pytest.raises(StorageFullError, match=r"store\.db: no space left"):
        fill(store, operation)
    kept = store.journal(operation.operation_id)
    assert kept
    store.close()
    store = open_store(path)
    assert store.journal(operation.operation_id) == kept
    store.close()
    assert audit_database(path) == ()
