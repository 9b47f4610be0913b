"""GPU time held.

Goal: the GPU-seconds that clusters held are exact, whoever asks and however often the store was
closed in between. Method: launches, growth and releases at chosen moments on both engines, against
a sum that is made here.
"""

from dataclasses import replace

import pytest

from gigawatt.planner.plan import OperationKind
from gigawatt.store.gauges import open_gauges
from gigawatt.store.migration import migrate_store, upgrade_tables
from gigawatt.store.open import database_at, open_store_at
from gigawatt.store.version import REVISIONS


def held_s(store, now_s):
    return sum(open_gauges(store).read(now_s, 0).gpu_seconds.values())


def test_gpu_time_is_the_sum_over_what_was_held(place, build):
    store = open_store_at(place)
    one, two = build.target("a", (0, 1)), build.target("b", (2,), number=2)
    operation = build.commit(store, OperationKind.LAUNCH, None, one, now_s=100.0)
    assert held_s(store, 100.5) == 16 * 0.5
    store.finish(operation, "done", {}, 130.25)
    build.launched(store, two, now_s=200.0)
    store.close()
    store = open_store_at(place)
    assert held_s(store, 300.0) == 16 * 200.0 + 8 * 100.0
    smaller = replace(one, members=one.members[:1])
    operation = build.commit(store, OperationKind.SHRINK, one, smaller, now_s=300.0)
    store.finish(operation, "done", {}, 310.0)
    assert held_s(store, 400.0) == 16 * 210.0 + 8 * 90.0 + 8 * 200.0
    operation = build.commit(store, OperationKind.RELEASE, two, None, now_s=400.0)
    store.finish(operation, "done", {}, 450.001)
    assert held_s(store, 1000.0) == pytest.approx(16 * 210 + 8 * 690 + 8 * 250.001, abs=1e-9)
    assert held_s(store, 0.0) <= held_s(store, 1000.0), "an earlier clock takes nothing back"
    assert open_gauges(store).read(1000.0, 0).gpu_seconds.keys() == {"h100"}
    store.close()


OLD_ROWS = """
INSERT INTO cluster (cluster_id, tenant_id, name, phase, phase_reason, phase_since_s, is_ended,
  version, created_s, created_generation)
  VALUES ('clu_1', 'ten_1', 'train', 'active', '', 100, false, 2, 90, 1);
INSERT INTO operation (operation_id, cluster_id, kind, state, is_open, plan, opened_generation,
  generation, started_s, finished_s, error)
  VALUES ('op_1', 'clu_1', 'launch', 'done', false, '{"report": {"gpu_type": "h100"}}', 1, 1, 90,
  100, '');
INSERT INTO allocation VALUES ('node-1', 0, 'clu_1', 'held');
INSERT INTO allocation VALUES ('node-1', 1, 'clu_1', 'held');
INSERT INTO allocation VALUES ('node-1', 2, 'clu_1', 'tombstone')
"""


def test_clusters_from_before_count_from_their_last_change(engine, place):
    before = REVISIONS[REVISIONS.index("0008") - 1]
    database = database_at(place)
    with database.write() as connection:
        upgrade_tables(connection, before)
    database.close()
    engine.execute(place, OLD_ROWS)
    migrate_store(place)
    store = open_store_at(place)
    assert held_s(store, 150.0) == 2 * 50.0
    store.close()


def test_numbers_of_an_empty_store_are_none(store):
    found = open_gauges(store).read(1.0, 0)
    assert (found.live_clusters, found.newest_event, found.tombstone_count) == ((), 0, 0)
    assert dict(found.gpu_seconds) == {}


def test_events_are_counted_once(store, build):
    build.launched(store, build.target())
    first = open_gauges(store).read(1.0, 0)
    assert first.event_counts == {"committed": 1, "done": 1}
    assert open_gauges(store).read(1.0, first.newest_event).event_counts == {}
    store.set_node_state("n", "drained", "fan", 2.0)
    assert open_gauges(store).read(1.0, first.newest_event).event_counts == {"node": 1}
