"""Goal: the auditor is silent on every sound store and says each thing that is wrong.

Method: one store with a cluster in every stage of life; for each sentence one row is corrupted
by raw SQL, and the auditor must say that sentence.
"""

import json
from pathlib import Path

import pytest

from gigawatt.errors import DataError
from gigawatt.planner.plan import OperationKind
from gigawatt.store.audit import audit_database
from gigawatt.store.open import open_store_at
from gigawatt.store.reading import read_rows

LAUNCH, GROW, SHRINK = OperationKind.LAUNCH, OperationKind.GROW, OperationKind.SHRINK
REPLACE, RELEASE = OperationKind.REPLACE, OperationKind.RELEASE
NOW_S = 100.0


@pytest.fixture(scope="module")
def sound(engine, build):
    """a: active; b: released, one tombstone; c: launching; d: released; e: stuck; f: failed."""
    made = engine.new()
    store = open_store_at(made)
    targets = {
        name: build.target(name, (2 * i, 2 * i + 1), number=i + 1)
        for i, name in enumerate("abcdef")
    }
    for name in "abde":
        build.launched(store, targets[name])
    release = build.commit(store, RELEASE, targets["b"], None)
    store.bury(release, [build.entries(targets["b"])[-1]], NOW_S)
    store.finish(release, "done", {build.nodes[3]: "no answer"}, NOW_S)
    build.commit(store, LAUNCH, None, targets["c"])
    store.finish(build.commit(store, RELEASE, targets["d"], None), "done", {}, NOW_S)
    store.finish(build.commit(store, RELEASE, targets["e"], None), "stuck", {}, NOW_S)
    failed = build.commit(store, LAUNCH, None, targets["f"])
    store.finish(store.begin_unwind(failed, "no", NOW_S), "unwound", {}, NOW_S)
    store.close()
    yield made
    engine.drop(made)


@pytest.fixture
def copy(engine, sound):
    """A copy to corrupt."""
    made = engine.copy(sound)
    yield made
    engine.drop(made)


def test_a_sound_store_has_no_notes(sound):
    assert audit_database(sound) == ()


def test_an_empty_store_has_no_notes(place):
    open_store_at(place).close()
    assert audit_database(place) == ()


def test_every_stage_of_every_change_has_no_notes(place, build):
    store = open_store_at(place)
    target = build.target()
    build.launched(store, target)
    for kind, nodes in ((GROW, (0, 1, 2)), (SHRINK, (0, 2)), (REPLACE, (0, 3))):
        after = build.with_nodes(target, nodes)
        operation = build.commit(store, kind, target, after)
        assert audit_database(place) == ()
        again = store.take_over(operation.operation_id, "w", NOW_S)
        store.finish(again, "stuck", {}, NOW_S)
        assert audit_database(place) == ()
        store.finish(again, "done", {}, NOW_S)
        assert audit_database(place) == ()
        target = after
    revised = build.commit(store, GROW, target, build.with_nodes(target, (0, 3, 4)))
    after = build.with_nodes(target, (0, 3, 5))
    store.revise(revised, build.plan(GROW, target, after, 0, quarantined=(build.nodes[4],)), NOW_S)
    assert audit_database(place) == ()
    turned = store.begin_unwind(revised, "no", NOW_S)
    assert audit_database(place) == ()
    store.finish(turned, "unwound", {}, NOW_S)
    assert audit_database(place) == ()
    store.close()


ALLOCATION = "INSERT INTO allocation VALUES ('h-x', 0, 'clu_{}', 'held');"
KEY = "INSERT INTO held_key VALUES ('p_key/ib0', 99, 'clu_{}', 'held', NULL);"

MOUNT = (
    """UPDATE cluster SET target = replace(target, '"mounts":[]', '"mounts": [{"""
    """"file_system_id": "clu_c", "pool_id": "p", "filesystem": 1, "mount_point": "/x"}]')"""
    """ WHERE name = 'a'"""
)

CORRUPTIONS = [
    (
        "UPDATE cluster SET is_file_system = true WHERE name = 'a'",
        "cluster clu_a (active) has 2 members",
    ),
    (MOUNT, "cluster clu_a (active) mounts clu_c, which is no live file system"),
    (
        "UPDATE cluster SET is_ended = true WHERE name = 'a'",
        "cluster clu_a (active) has is_ended = 1",
    ),
    ("UPDATE cluster SET target = NULL WHERE name = 'a'", "(active) is live but has no target"),
    (
        "UPDATE cluster SET target = (SELECT max(target) FROM cluster) WHERE name = 'd'",
        "cluster clu_d (released) has ended but still has a target",
    ),
    (
        "UPDATE cluster SET tenant_id = 'ten_z' WHERE name = 'a'",
        "cluster clu_a (active): tenant_id of its target is 'ten_x'",
    ),
    (
        "DROP INDEX cluster_live_name; UPDATE cluster SET name = 'a' WHERE name = 'c'",
        "tenant ten_x has 2 live clusters named 'a'",
    ),
    (
        "DELETE FROM allocation WHERE cluster_id = 'clu_a' AND gpu = 3",
        "cluster clu_a (active) does not hold all GPUs of its member",
    ),
    (
        "UPDATE allocation SET state = 'tombstone' WHERE cluster_id = 'clu_a'",
        "waits, but no tombstone of cluster clu_a (active) names it",
    ),
    (ALLOCATION.format("a"), "cluster clu_a (active) holds GPUs of node h-x without a reason"),
    (ALLOCATION.format("d"), "cluster clu_d (released) holds GPUs of node h-x without a reason"),
    (
        "DELETE FROM held_key WHERE cluster_id = 'clu_a' AND pool_id = 'p_key/ib0'",
        "cluster clu_a (active) does not hold its key p_key/ib0 1",
    ),
    (KEY.format("a"), "cluster clu_a (active) holds key p_key/ib0 99 without a reason"),
    (KEY.format("f"), "cluster clu_f (failed) holds key p_key/ib0 99 without a reason"),
    (
        "UPDATE held_key SET state = 'tombstone', free_at_s = NULL WHERE cluster_id = 'clu_d'",
        "waits for a tombstone of cluster clu_d (released), which has none",
    ),
    (
        "UPDATE tombstone SET node_id = 'h-x'",
        "waits, but no tombstone of cluster clu_b (released) names it",
    ),
    (
        "DELETE FROM allocation WHERE cluster_id = 'clu_b'",
        "names node h-su000-n03 of cluster clu_b (released), which no longer holds it",
    ),
    (
        "UPDATE held_key SET free_at_s = NULL WHERE cluster_id = 'clu_d'",
        "is cooling but free at None",
    ),
    (
        "UPDATE held_key SET state = 'cooling', free_at_s = 5 WHERE cluster_id = 'clu_b'",
        "cluster clu_b (released) has tombstones, but its keys do not wait for them",
    ),
    (
        "UPDATE tombstone SET generation = 1000",
        "is of generation 1000, the store at",
    ),
    (
        "DROP INDEX operation_open; UPDATE operation SET is_open = true WHERE cluster_id = 'clu_e'",
        "cluster clu_e (stuck) has 2 open operations",
    ),
    (
        "UPDATE operation SET is_open = false WHERE cluster_id = 'clu_c'",
        "(applying) has is_open = 0",
    ),
    (
        "UPDATE operation SET finished_s = NULL WHERE cluster_id = 'clu_f'",
        "(unwound) has finished_s = None",
    ),
    (
        "UPDATE operation SET generation = 1000 WHERE cluster_id = 'clu_c'",
        "and is at 1000, the store at",
    ),
    (
        "UPDATE cluster SET phase = 'active' WHERE name = 'c'",
        "cluster clu_c (active): its operations lead to launching",
    ),
    (
        "UPDATE operation SET kind = 'grow' WHERE cluster_id = 'clu_c'",
        "cluster clu_c (launching): its operations lead nowhere",
    ),
    (
        "DELETE FROM tombstone; UPDATE cluster SET cluster_id = 'clu_z' WHERE name = 'd'",
        "a row of table operation names a row of table cluster that is not there",
    ),
]


@pytest.mark.parametrize(("sql", "sentence"), CORRUPTIONS)
def test_each_corruption_is_said(engine, copy, sql, sentence):
    engine.execute(copy, sql)
    notes = audit_database(copy)
    assert any(sentence in note for note in notes), "\n".join(notes)


def test_a_damaged_index_is_said(engine, copy):
    if isinstance(copy, Path):
        change = (
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET"
            " sql = replace(sql, 'WHERE is_open = 1', 'WHERE is_open = 0')"
            " WHERE name = 'operation_open'"
        )
        wanted = "the file is damaged: "
    else:
        change = (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'operation_open'::regclass"
        )
        wanted = "the index operation_open is not in use"
    engine.execute(copy, change)
    notes = audit_database(copy)
    assert any(note.startswith(wanted) for note in notes), notes


def test_what_is_no_store_is_refused(engine, place):
    engine.execute(place, "CREATE TABLE song (title TEXT)")
    with pytest.raises(DataError, match="cannot be read as a store"):
        audit_database(place)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE cluster SET target = '{' WHERE name = 'a'",
        "UPDATE cluster SET target = '{}' WHERE name = 'a'",
        "UPDATE cluster SET target = '[]' WHERE name = 'a'",
        "UPDATE operation SET state = 'paused'",
        "UPDATE operation SET kind = 'paint'",
    ],
)
def test_a_row_that_does_not_read_is_refused(engine, copy, sql):
    engine.execute(copy, sql)
    with pytest.raises(DataError, match="cannot be read as a store"):
        audit_database(copy)


def test_the_auditor_reads_targets_without_the_codec(sound):
    """Targets stay plain JSON objects with the fields that the auditor reads."""
    with read_rows(sound) as rows:
        (row,) = rows.ask("SELECT target FROM cluster WHERE name = 'a'")
    assert {"members", "keys", "fabric_id", "site_id", "pool_id"} <= json.loads(
        row["target"]
    ).keys()
