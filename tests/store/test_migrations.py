"""Goal: migrations lead every older store to the tables of this release, and only when told to.

Method: databases of revision 0001, made by its migration and by hand as the first release left
them, are opened, refused, migrated and used, on both engines; Alembic's autogeneration compares
the migrated tables with those that the code declares.
"""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gigawatt.errors import DataError
from gigawatt.identity.accounts import AccountId
from gigawatt.interfaces.store import Doer
from gigawatt.planner.plan import OperationKind
from gigawatt.store import migration, schema, version
from gigawatt.store.audit import audit_database
from gigawatt.store.migration import migrate_store, upgrade_tables
from gigawatt.store.open import database_at, open_store_at

LAUNCH = OperationKind.LAUNCH
NOW_S = 100.0
LATER = (
    "payout_line",
    "payout",
    "contract_return",
    "payment_event",
    "payment_dispute",
    "payment_refund",
    "payment_payer",
    "payment",
    "ledger_entry",
    "ledger_posting",
    "invoice",
    "contract_item",
    "contract_use",
    "product_price",
    "closed_month",
    "cost_tag",
    "budget",
    "budget_alert",
    "notice_answer",
    "reservation_gap",
    "checkpoint",
    "notice_node",
    "notice",
    "spot_round",
    "reservation_node",
    "reservation",
    "external_usage",
    "storage_usage_record",
    "storage_meter",
    "usage_record",
    "usage_meter_node",
    "usage_meter",
    "rate",
    "secret",
    "cleaning_receipt",
    "instance",
    "session",
    "login_identity",
    "invitation",
    "quota_limit",
    "turned_away_day",
    "turned_away",
    "freed_gpu",
    "queue_turn",
    "waiting_request",
    "heartbeat",
    "duty",
    "gpu_usage",
    "audit_head",
    "storage_quota",
    "firewall_ruleset",
    "cancellation",
    "audit_entry",
    "idempotent_request",
    "shown_plan",
    "ssh_key",
    "api_key",
    "account",
    "project",
    "organisation",
)
"""Tables of revisions 0003 and later, those that refer to others first."""


@pytest.fixture
def old(place):
    """A place with the tables of revision 0001."""
    made(place, "0001")
    return place


def made(place, revision):
    database = database_at(place)
    with database.write() as connection:
        upgrade_tables(connection, revision)
    database.close()


def differences(place):
    database = database_at(place)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, schema.metadata)
    database.close()
    return found


def test_migrated_tables_are_the_declared_ones(place):
    made(place, version.HEAD)
    assert differences(place) == []


def test_new_tables_are_the_declared_ones_too(place):
    open_store_at(place).close()
    assert differences(place) == []


def shape(place):
    """Every column, constraint and index as the database itself tells them."""
    if isinstance(place, str):
        queries = (
            (
                "SELECT table_name, column_name, data_type, is_nullable, collation_name,"
                " column_default FROM information_schema.columns WHERE table_schema = 'public'"
            ),
            (
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
                " FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            ),
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        )
    else:
        queries = (
            "SELECT t.name, c.* FROM sqlite_master AS t JOIN pragma_table_xinfo(t.name) AS c",
            "SELECT t.name, k.* FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS k",
            (
                'SELECT t.name, i.name, i."unique", i.origin, i.partial'
                " FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS i"
            ),
            (
                "SELECT name, replace(replace(sql, ' ', ''), char(10), '') FROM sqlite_master"
                " WHERE type = 'index'"
            ),
        )
    database = database_at(place)
    with database.read() as connection:
        rows = [connection.exec_driver_sql(query).all() for query in queries]
    database.close()
    return [sorted(map(repr, each)) for each in rows]


def test_migrated_and_new_tables_are_the_same_to_the_last_constraint(engine, place):
    made(place, version.HEAD)
    other = engine.new()
    open_store_at(other).close()
    for first, second in zip(shape(place), shape(other), strict=True):
        assert first == second
    engine.drop(other)


def test_the_code_and_the_migrations_know_the_same_revisions():
    config = Config()
    config.set_main_option("script_location", str(migration._SCRIPTS))
    script = ScriptDirectory.from_config(config)
    found = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(found)) == version.REVISIONS


def test_an_older_store_is_refused_and_left_alone(old):
    before = shape(old)
    with pytest.raises(
        DataError, match=f"tables of revision 0001, wanted {version.HEAD}"
    ) as caught:
        open_store_at(old)
    assert "gw migrate" in caught.value.next_step
    assert shape(old) == before


def test_an_older_store_is_migrated_when_told_to(old, build):
    assert migrate_store(old) == ("0001", version.HEAD)
    store = open_store_at(old)
    build.launched(store, build.target())
    store.close()
    assert audit_database(old) == ()
    assert migrate_store(old) == (version.HEAD, version.HEAD)


def test_a_store_of_before_alembic_counts_as_the_first_revision(engine, old):
    engine.execute(old, "DROP TABLE alembic_version")
    with pytest.raises(DataError, match=f"tables of revision 0001, wanted {version.HEAD}"):
        open_store_at(old)
    assert migrate_store(old) == ("0001", version.HEAD)
    open_store_at(old).close()


def test_what_a_store_holds_survives_a_migration(engine, place, build):
    store = open_store_at(place)
    build.launched(store, build.target())
    seen = store.snapshot(NOW_S)
    store.close()
    for table in LATER:
        engine.execute(place, f"DROP TABLE {table}")
    for column in ("by_account_id", "by_name"):
        engine.execute(place, f"ALTER TABLE node DROP COLUMN {column}")
    engine.execute(place, "ALTER TABLE event DROP COLUMN project_id")
    engine.execute(
        place,
        "DROP INDEX cluster_live_name; ALTER TABLE cluster DROP COLUMN is_file_system;"
        "CREATE UNIQUE INDEX cluster_live_name ON cluster (tenant_id, name) WHERE NOT is_ended",
    )
    engine.execute(
        place,
        "DROP TABLE alembic_version; INSERT INTO counter VALUES ('schema_version', 1)",
    )
    migrate_store(place)
    store = open_store_at(place)
    assert store.snapshot(NOW_S) == seen
    store.close()


def test_who_took_a_node_out_is_moved_out_of_the_reason(engine, place):
    made(place, "0017")
    rows = {
        "a": "a fan (by acc_1a2b)",
        "b": "XID 79 (by hand)",
        "c": "a fan (by acc_gone)",
        "d": "it said 'x' (by acc_0) before",
        "e": "two\nlines (by acc_1a2b)",
    }
    engine.execute(place, "INSERT INTO organisation VALUES ('org_a', 'acme', 0)")
    engine.execute(
        place,
        "INSERT INTO account (account_id, organisation_id, name, kind, role, created_s)"
        " VALUES ('acc_1a2b', 'org_a', 'Olu', 'user', 'operator', 0)",
    )
    for node_id, reason in rows.items():
        said = reason.replace("'", "''")
        engine.execute(place, f"INSERT INTO node VALUES ('{node_id}', 'drained', '{said}', 0)")  # noqa: S608 - ours
    migrate_store(place)
    store = open_store_at(place)
    seen = store.snapshot(NOW_S)
    store.close()
    reasons = {node_id: reason for node_id, (_, reason) in seen.node_states.items()}
    assert reasons == {**rows, "a": "a fan", "c": "a fan", "e": "two\nlines"}
    olu = Doer(AccountId("acc_1a2b"), "Olu")
    assert seen.taken_out_by == {"a": olu, "c": Doer(AccountId("acc_gone"), ""), "e": olu}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "9999"),
        ("DROP TABLE alembic_version; UPDATE counter SET value = 7", "number 7"),
    ],
)
def test_a_newer_store_is_refused_by_all(engine, old, sql, found):
    engine.execute(old, sql)
    for use in (open_store_at, migrate_store):
        with pytest.raises(DataError, match=f"tables of revision {found}, which is newer"):
            use(old)


def test_an_empty_database_is_not_migrated(place):
    with pytest.raises(DataError, match="holds no store"):
        migrate_store(place)


def test_a_failing_migration_changes_nothing(old, monkeypatch):
    before = shape(old)

    def fail(connection, revision):
        upgrade_tables(connection, revision)
        raise DataError("no")

    monkeypatch.setattr(migration, "upgrade_tables", fail)
    with pytest.raises(DataError):
        migrate_store(old)
    assert shape(old) == before


def test_a_database_of_another_program_is_refused_and_left_alone(engine, place):
    engine.execute(place, "CREATE TABLE song (title TEXT)")
    before = shape(place)
    for use in (open_store_at, migrate_store):
        with pytest.raises(DataError, match="not a store of Gigawatt"):
            use(place)
    assert shape(place) == before


def test_text_that_one_engine_cannot_keep_is_kept_the_same_on_both(store, build):
    operation = build.commit(store, LAUNCH, None, build.target())
    store.finish_steps(operation, [("s", "failed", "a\0b")], NOW_S)
    assert store.journal(operation.operation_id)["s"] == ("failed", "a\N{REPLACEMENT CHARACTER}b")
