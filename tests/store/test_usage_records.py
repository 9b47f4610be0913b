"""What is billed from when to when, kept for good, summed exactly.

Goal: each rule of billing holds by itself on both engines, records cannot be changed, sums over any
cut of time agree to the micro-dollar, and a record that is planted or lost is found.
Method: short lives of clusters at chosen moments; SQL behind the store's back; sums by the database
against sums of the records made here.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, inspect, select

from gigawatt.errors import ConflictError, DataError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, StoragePoolId, TenantId
from gigawatt.interfaces.usage import ExternalUsage, UsageChecked, UsageQuery
from gigawatt.market.meter import rounded_micro_usd
from gigawatt.planner.plan import OperationKind
from gigawatt.store.migration import migrate_store, upgrade_tables
from gigawatt.store.open import database_at, open_store_at
from gigawatt.store.schema import metadata
from gigawatt.store.usage_records import SqlUsageBook
from gigawatt.store.version import REVISIONS

LAUNCH, GROW, SHRINK = OperationKind.LAUNCH, OperationKind.GROW, OperationKind.SHRINK
REPLACE, RELEASE, CONFIGURE = OperationKind.REPLACE, OperationKind.RELEASE, OperationKind.CONFIGURE
EVER = UsageQuery(0, 1 << 42)
PRICE = 2_000_000


class Site:
    """A store and its book, with operations in one call at moments in seconds."""

    def __init__(self, store, build):
        self.store, self.build, self.book = store, build, SqlUsageBook(store.database)

    def commit(self, kind, before, after, now_s, price=PRICE, quarantined=()):
        generation = self.store.snapshot(now_s).generation
        plan = self.build.plan(
            kind, before, after, generation, quarantined=quarantined, expires_s=1e11
        )
        gpus = sum(m.gpu_mask.bit_count() for m in after.members) if after else 0
        report = replace(plan.report, price_micro_usd_per_hour=gpus * price)
        return self.store.commit(replace(plan, report=report), f"op_{generation}", now_s)

    def done(self, kind, before, after, from_s, to_s, **more):
        operation = self.commit(kind, before, after, from_s, **more)
        self.store.finish(operation, "done", {}, to_s)

    def launch(self, target, at_s=100.0, **more):
        self.done(LAUNCH, None, target, at_s, at_s, **more)
        return target

    def spans(self, query=EVER):
        """(node's number, from, to) of each record in seconds, and of what runs, up to 1000 s."""
        found = [*self.book.usages(query), *self.book.under_way(1_000_000, query)]
        number = {name: index for index, name in enumerate(self.build.nodes)}
        return sorted((number[r.node_id], r.from_ms / 1000, r.to_ms / 1000) for r in found)


@pytest.fixture
def site(store, build):
    return Site(store, build)


def test_billing_begins_when_it_is_verified_and_ends_when_release_is_asked_for(site, build):
    target = build.target()
    site.done(LAUNCH, None, target, 100.0, 160.5)
    site.done(RELEASE, target, None, 200.25, 260.0)
    assert site.spans() == [(0, 160.5, 200.25), (1, 160.5, 200.25)]
    assert site.book.check() == UsageChecked(1, 0, ())


def test_a_failed_launch_costs_nothing(site, build, store):
    operation = site.commit(LAUNCH, None, build.target(), 100.0)
    turned = store.begin_unwind(operation, "no", 110.0)
    store.finish(turned, "unwound", {}, 120.0)
    assert site.spans() == []


def test_what_grows_is_billed_when_it_is_verified_at_its_own_price(site, build):
    target = site.launch(build.target("a", (0,)))
    bigger = build.with_nodes(target, (0, 1))
    site.done(GROW, target, bigger, 200.0, 250.0, price=3 * PRICE)
    site.done(RELEASE, bigger, None, 300.0, 310.0)
    assert site.spans() == [(0, 100.0, 300.0), (1, 250.0, 300.0)]
    prices = {r.node_id: r.price_micro_usd_per_gpu_hour for r in site.book.usages(EVER)}
    assert [prices[build.nodes[0]], prices[build.nodes[1]]] == [PRICE, 3 * PRICE]


def test_growth_that_fails_costs_nothing(site, build, store):
    target = site.launch(build.target("a", (0,)))
    operation = site.commit(GROW, target, build.with_nodes(target, (0, 1)), 200.0)
    store.finish(store.begin_unwind(operation, "no", 210.0), "unwound", {}, 220.0)
    assert site.spans() == [(0, 100.0, 1000.0)]


def test_what_shrinks_is_not_billed_from_when_it_is_asked_for(site, build, store):
    target = site.launch(build.target("a", (0, 1)))
    operation = site.commit(SHRINK, target, build.with_nodes(target, (0,)), 200.0)
    assert site.spans() == [(0, 100.0, 1000.0), (1, 100.0, 200.0)]
    store.finish(operation, "stuck", {}, 300.0)
    assert site.spans() == [(0, 100.0, 1000.0), (1, 100.0, 200.0)]


def test_a_node_being_replaced_costs_nothing_and_the_new_one_from_when_it_is_verified(site, build):
    target = site.launch(build.target("a", (0, 1)))
    after = build.with_nodes(target, (0, 2))
    site.done(REPLACE, target, after, 200.0, 260.0, quarantined=(build.nodes[1],))
    assert site.spans() == [(0, 100.0, 1000.0), (1, 100.0, 200.0), (2, 260.0, 1000.0)]


def test_a_quarantined_node_costs_nobody_anything_and_a_drained_one_goes_on(site, build, store):
    """Two guests on one node are both credited; what is drained works for who has it."""
    site.launch(build.target("a", (0,), mask=0x0F))
    site.launch(build.target("b", (0,), mask=0xF0, number=2))
    store.set_node_state(build.nodes[0], "drained", "", 150.0)
    store.set_node_state(build.nodes[0], "quarantined", "XID 79", 200.0)
    store.set_node_state(build.nodes[0], "quarantined", "still", 220.0)
    store.set_node_state(build.nodes[0], "available", "", 300.0)
    assert site.spans() == sorted(2 * [(0, 100.0, 200.0), (0, 300.0, 1000.0)])


def test_a_node_that_left_broken_and_comes_back_mended_is_billed_again(site, build, store):
    target = site.launch(build.target("a", (0, 1)))
    after = build.with_nodes(target, (0, 2))
    site.done(REPLACE, target, after, 200.0, 210.0, quarantined=(build.nodes[1],))
    store.set_node_state(build.nodes[1], "available", "mended", 300.0)
    bigger = build.with_nodes(target, (0, 1, 2))
    site.done(GROW, after, bigger, 400.0, 410.0)
    assert (1, 410.0, 1000.0) in site.spans()
    assert site.book.check().differences == ()


def test_a_price_that_was_promised_stays_when_the_card_changes(site, build):
    target = site.launch(build.target("a", (0,)))
    changed = replace(target, egress_cidrs=("203.0.113.0/24",))
    site.done(CONFIGURE, target, changed, 200.0, 210.0, price=9 * PRICE)
    (record,) = site.book.under_way(1_000_000)
    assert (record.price_micro_usd_per_gpu_hour, record.from_ms) == (PRICE, 100_000)


def test_a_clock_that_goes_back_bills_nothing_twice(site, build):
    target = site.launch(build.target("a", (0,)), 100.0)
    site.book.cut(200_000)
    site.done(RELEASE, target, None, 150.0, 160.0)
    assert site.spans() == [(0, 100.0, 200.0)]
    assert site.book.check().differences == ()


def test_a_cut_is_made_once_whoever_asks_first(site, build):
    site.launch(build.target())
    assert site.book.cut(200_000) == 2
    assert site.book.cut(200_000) == 0
    assert site.book.cut(150_000) == 0
    assert len(list(site.book.usages(EVER))) == 2


# ── Records are for good ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_record SET to_ms = to_ms + 1",
        "DELETE FROM usage_record",
        "UPDATE storage_usage_record SET storage_bytes = 0",
        "DELETE FROM storage_usage_record",
        "DELETE FROM external_usage",
    ],
)
@pytest.mark.parametrize("is_migrated", [False, True])
def test_no_record_is_changed_or_removed(place, build, statement, is_migrated):
    if is_migrated:
        database = database_at(place)
        with database.write() as connection:
            upgrade_tables(connection, REVISIONS[-1])
        database.close()
    store = open_store_at(place)
    site = Site(store, build)
    target = replace(build.target(), pool_id=StoragePoolId("pool"), storage_bytes=10)
    site.launch(target)
    site.done(RELEASE, target, None, 200.0, 200.0)
    site.book.add_external([event()], 1.0)
    with pytest.raises(DataError, match="only grows"), store.database.write() as connection:
        connection.exec_driver_sql(statement)
    assert len(list(site.book.usages(EVER))) == 2
    store.close()


PLANTED = """
INSERT INTO usage_record (cluster_id, number, organisation_id, project_id, node_id, gpu_type,
  site_id, term, gpu_count, price_micro_usd_per_gpu_hour, from_ms, to_ms, reservation_id)
SELECT cluster_id, number + 100, organisation_id, project_id, node_id, gpu_type, site_id, term,
  gpu_count, price_micro_usd_per_gpu_hour, {from_ms}, to_ms, reservation_id
FROM usage_record WHERE number = 0
"""
DROPPED = "DELETE FROM usage_record WHERE number = 0"


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (PLANTED.format(from_ms="from_ms"), "twice"),
        (PLANTED.format(from_ms="from_ms + 50"), "not in the trail"),
        (DROPPED, "not in the records"),
    ],
)
def test_a_planted_or_dropped_record_is_found(engine, place, build, planted, said):
    store = open_store_at(place)
    site = Site(store, build)
    target = site.launch(build.target())
    site.launch(build.target("b", (3,), number=2))
    site.done(RELEASE, target, None, 200.0, 210.0)
    assert site.book.check() == UsageChecked(2, 0, ())
    if isinstance(place, str):
        engine.execute(place, planted)
    else:
        engine.execute(place, f"DROP TRIGGER usage_record_no_delete; {planted}")
    found = site.book.check().differences
    assert {difference.cluster_id for difference in found} == {target.cluster_id}
    assert any(said in difference.sentence for difference in found)
    assert site.book.check(ClusterId("clu_b")) == UsageChecked(1, 0, ())
    store.close()


# ── Sums ───────────────────────────────────────────────────────────────────────────────────────


def rated(lines):
    return sum(line.rated for line in lines)


@pytest.mark.parametrize(
    ("zone", "months"),
    [("Europe/Berlin", (3, 10)), ("America/New_York", (3, 11)), ("Australia/Lord_Howe", (4, 10))],
)
def test_a_month_cut_by_local_days_adds_up_across_the_change_of_the_clock(
    site, build, zone, months
):
    """These months have a day of 23 or 25 hours; Lord Howe moves by half an hour."""
    where, rng = ZoneInfo(zone), random.Random(7)  # noqa: S311
    for month, name, node in zip(months, "ab", (0, 2), strict=True):
        first = datetime(2026, month, 1, tzinfo=where)
        start_s = first.timestamp()
        target = build.target(name, (node, node + 1), number=node + 1)
        site.launch(target, start_s - 5000.123, price=2_490_001)
        for _ in range(5):
            at_s = start_s + rng.random() * 31 * 86_400
            site.store.set_node_state(build.nodes[node], "quarantined", "", at_s)
            site.store.set_node_state(build.nodes[node], "available", "", at_s + 3_600.5)
        days = [first + timedelta(days=day) for day in range(32)]
        edges = [round(day.timestamp() * 1000) for day in days]
        assert {b - a for a, b in pairwise(edges)} > {86_400_000}
        site.book.cut(edges[-1] + 1)
        whole = list(site.book.usages(UsageQuery(edges[0], edges[-1])))
        cut = [r for a, b in pairwise(edges) for r in site.book.usages(UsageQuery(a, b))]
        assert sum(r.rated for r in whole) == sum(r.rated for r in cut) > 0
        assert sum(r.gpu_ms for r in whole) == sum(r.gpu_ms for r in cut)


def test_sums_by_the_database_are_those_of_the_records(site, build):
    rng = random.Random(3)  # noqa: S311
    for number in range(4):
        nodes = (2 * number, 2 * number + 1)
        target = build.target(f"c{number}", nodes, number=number + 1, tenant=f"ten_{number % 2}")
        begin_s = rng.random() * 200_000
        site.launch(target, begin_s, price=9_999_999_989)
        if number % 2:
            site.done(RELEASE, target, None, begin_s + rng.random() * 3e6, 4e6)
    site.book.cut(500_000_000)
    now_ms = 9_000_000_000
    for query in (
        EVER,
        UsageQuery(123_456_789, 2_000_000_123),
        replace(EVER, project_ids=frozenset()),
    ):
        spans = [*site.book.usages(query), *site.book.under_way(now_ms, query)]
        for by, key in (
            ("project", lambda r: r.project_id),
            ("cluster", lambda r: r.cluster_id),
            ("gpu_type", lambda r: r.gpu_type),
        ):
            wanted: dict = {}
            for record in spans:
                line = wanted.setdefault(key(record), [0, 0])
                line[0] += record.gpu_ms
                line[1] += record.rated
            found = site.book.summary(query, by, now_ms)
            assert {line.key: [line.gpu_ms, line.rated] for line in found} == wanted
    query = UsageQuery(0, now_ms)
    days = site.book.summary(query, "day", now_ms)
    assert rated(days) == rated(site.book.summary(query, "project", now_ms))
    assert [line.key for line in days] == sorted({line.key for line in days})
    assert days[0].key == datetime.fromtimestamp(0, UTC).date().isoformat()


def test_amounts_are_rounded_once_half_up():
    assert [rounded_micro_usd(n) for n in (0, 1_799_999, 1_800_000, 3_600_000)] == [0, 0, 1, 1]


# ── Storage ────────────────────────────────────────────────────────────────────────────────────


def storage(site):
    found = [*site.book.storage_usages(EVER), *site.book.storage_under_way(1_000_000)]
    return [(r.storage_bytes, r.from_ms / 1000, r.to_ms / 1000) for r in found]


def test_storage_is_metered_from_verified_to_let_go_and_a_new_size_splits_it(site, build):
    target = replace(build.target(), pool_id=StoragePoolId("pool"), storage_bytes=10)
    site.done(LAUNCH, None, target, 100.0, 110.0)
    assert storage(site) == [(10, 110.0, 1000.0)]
    site.done(CONFIGURE, target, replace(target, storage_bytes=30), 200.0, 220.0)
    site.done(CONFIGURE, replace(target, storage_bytes=30), target, 300.0, 320.0)
    site.book.cut(400_000)
    site.done(RELEASE, target, None, 500.0, 600.0)
    spans = [(10, 110, 220), (30, 220, 320), (10, 320, 400), (10, 400, 500)]
    assert storage(site) == spans
    assert list(site.book.storage_under_way(1_000_000)) == []
    assert site.book.check() == UsageChecked(1, 1, ())


PLANTED_STORAGE = """
INSERT INTO storage_usage_record (holder_id, number, organisation_id, project_id, storage_pool_id,
  site_id, storage_bytes, from_ms, to_ms)
SELECT holder_id, number + 100, organisation_id, project_id, storage_pool_id, site_id,
  {storage_bytes}, {from_ms}, to_ms
FROM storage_usage_record WHERE number = 0
"""


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (PLANTED_STORAGE.format(storage_bytes="storage_bytes", from_ms="from_ms"), "twice"),
        (PLANTED_STORAGE.format(storage_bytes=99, from_ms="from_ms"), "99 bytes"),
        (
            PLANTED_STORAGE.format(storage_bytes="storage_bytes", from_ms="from_ms + 5"),
            "not in the trail",
        ),
        ("DELETE FROM storage_usage_record WHERE number = 0", "not in the records"),
        ("UPDATE storage_meter SET storage_bytes = 7, since_ms = 1", "7 bytes"),
    ],
)
def test_a_planted_or_dropped_record_of_storage_is_found(engine, place, build, planted, said):
    store = open_store_at(place)
    site = Site(store, build)
    target = replace(build.target(), pool_id=StoragePoolId("pool"), storage_bytes=10)
    other = replace(build.target("b", (3,), number=2), pool_id=StoragePoolId("pool"))
    site.done(LAUNCH, None, target, 100.0, 110.0)
    site.done(CONFIGURE, target, replace(target, storage_bytes=30), 200.0, 220.0)
    site.done(LAUNCH, None, replace(other, storage_bytes=5), 230.0, 240.0)
    site.book.cut(400_000)
    assert site.book.check() == UsageChecked(2, 2, ())
    if isinstance(place, str):
        engine.execute(place, planted)
    else:
        allow = "DROP TRIGGER storage_usage_record_no_delete; "
        engine.execute(place, planted if "UPDATE" in planted else f"{allow}{planted}")
    found = site.book.check().differences
    assert found
    assert {difference.node_id for difference in found} == {None}
    assert any(said in difference.sentence for difference in found)
    store.close()


def test_a_resize_that_fails_leaves_the_storage_as_it_was(site, build, store):
    target = replace(build.target(), pool_id=StoragePoolId("pool"), storage_bytes=10)
    site.launch(target)
    operation = site.commit(CONFIGURE, target, replace(target, storage_bytes=30), 200.0)
    store.finish(store.begin_unwind(operation, "full", 210.0), "unwound", {}, 220.0)
    assert storage(site) == [(10, 100.0, 1000.0)]


# ── What other services measured ───────────────────────────────────────────────────────────────


def event(number=1, **more):
    given = ExternalUsage(
        source="/gateway/a",
        event_id=f"e{number}",
        kind="com.example.llm_tokens",
        at_ms=1_000 * number,
        subject=None,
        organisation_id=OrganisationId("org_x"),
        project_id=TenantId("ten_x"),
        quantity=7,
        unit="llm_token",
        data={"fleet_model": "a", "user": "u"},
    )
    return replace(given, **more)


def test_an_event_is_kept_once_by_source_and_id(site):
    assert site.book.add_external([event(1), event(2), event(1)], 5.0) == 2
    assert site.book.add_external([event(2), event(3)], 6.0) == 1
    assert site.book.add_external([event(1, source="/gateway/b")], 6.0) == 1
    assert [e.event_id for e in site.book.external_usages(EVER)] == ["e1", "e2", "e3", "e1"]
    assert [e.event_id for e in site.book.external_usages(UsageQuery(2000, 3000))] == ["e2"]


@pytest.mark.parametrize("changed", [{"quantity": 8}, {"data": {}}, {"at_ms": 5}, {"subject": "s"}])
def test_the_same_id_with_other_content_is_refused_by_name_and_nothing_is_kept(site, changed):
    site.book.add_external([event(1)], 5.0)
    name = next(iter(changed))
    with pytest.raises(ConflictError, match=f"event 'e1' of '/gateway/a' .* {name}; nothing"):
        site.book.add_external([event(9), event(1, **changed)], 6.0)
    assert [e.event_id for e in site.book.external_usages(EVER)] == ["e1"]


# ── What was there before ──────────────────────────────────────────────────────────────────────

BEFORE = REVISIONS[REVISIONS.index("0013") - 1]


def taken_back(source, place):
    """A store's rows in the tables of the revision before the meter, at another place."""
    old = database_at(place)
    with old.write() as connection:
        upgrade_tables(connection, BEFORE)
        there = inspect(connection)
        for table in metadata.sorted_tables:
            if not there.has_table(table.name):
                continue
            connection.execute(table.delete())
            names = {column["name"] for column in there.get_columns(table.name)}
            with source.database.read() as reader:
                rows = [row._mapping for row in reader.execute(select(table))]
            for row in rows:
                connection.execute(
                    insert(table), {name: row[name] for name in names & set(row.keys())}
                )
            if rows and "sequence" in names and connection.dialect.name == "postgresql":
                counter = func.pg_get_serial_sequence(table.name, "sequence")
                connection.execute(select(func.setval(counter, 1_000)))
    old.close()


def test_what_is_older_than_the_meter_is_billed_from_the_last_line_of_the_trail(
    engine, place, build
):
    store = open_store_at(place)
    site = Site(store, build)
    target = replace(build.target("a", (0,)), pool_id=StoragePoolId("pool"), storage_bytes=10)
    site.launch(target)
    bigger = replace(target, members=build.target("a", (0, 1)).members)
    site.done(GROW, target, bigger, 200.0, 250.0)
    store.set_node_state(build.nodes[1], "quarantined", "", 300.0)
    site.launch(build.target("b", (3,), number=2), 100.0)
    shrinking = build.target("d", (4, 5), number=4)
    site.launch(shrinking, 100.0)
    site.commit(SHRINK, shrinking, build.with_nodes(shrinking, (4,)), 400.0)
    ended = site.launch(build.target("c", (6,), number=3), 100.0)
    site.done(RELEASE, ended, None, 200.0, 210.0)
    older = engine.new()
    taken_back(store, older)
    store.close()
    migrate_store(older)
    store = open_store_at(older)
    site = Site(store, build)
    assert site.spans() == [(0, 400.0, 1000.0), (3, 400.0, 1000.0), (4, 400.0, 1000.0)]
    assert storage(site) == [(10, 400.0, 1000.0)]
    assert all(r.price_micro_usd_per_gpu_hour == PRICE for r in site.book.under_way(1_000_000))
    store.set_node_state(build.nodes[1], "available", "", 500.0)
    assert (1, 500.0, 1000.0) in site.spans()
    assert site.book.check().differences == ()
    store.close()
    engine.drop(older)
