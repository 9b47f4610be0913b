"""The audit of calls as a chain.

Goal: whoever edits, removes, moves or adds a row behind the service's back is found, and the first
row concerned is named; cutting the tail is found with an anchor.
Method: rows are appended through the directory on both engines, then the table is changed with raw
SQL, one attack after the other, and the chain is verified. Writers race in threads.
"""

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.app.audit_check import verify_audit
from gigawatt.app.home import Home
from gigawatt.errors import DataError, InputError
from gigawatt.identity.accounts import AccountId, ApiKeyId, OrganisationId
from gigawatt.identity.chain import GENESIS, Anchor, link
from gigawatt.identity.changed import CHANGE_BYTES_MAX, change_text
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.store.call_audit import open_call_audit
from gigawatt.store.directory import open_directory
from gigawatt.store.migration import migrate_store, upgrade_tables
from gigawatt.store.open import database_at, open_store_at

ORGANISATION = OrganisationId("org_1")
ROW_COUNT = 12
ALL = 1 << 40


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        sequence=0,
        at_s=1_000.1 + number / 3,
        organisation_id=ORGANISATION,
        account_id=AccountId("acc_1"),
        key_id=ApiKeyId("key_1"),
        operation="set_quota",
        path=f"/projects/p/quota?{number}\0é",
        status=200,
        request_id=f"req_{number}",
        client_address="192.0.2.7",
        before={"gpu_count_max": number, "é": [1.5, None, {"key": "gw_secret"}]},
        after={"gpu_count_max": number + 1},
    )


def filled(store, count: int = ROW_COUNT) -> None:
    directory = open_directory(store)
    for number in range(count):
        directory.add_audit(entry(number))


@pytest.fixture
def kept(place):
    """A store with an audit of twelve rows, at a place."""
    with_rows = open_store_at(place)
    filled(with_rows)
    yield with_rows
    with_rows.close()


def verdict(store, anchor: Anchor | None = None, after: int = 0, count_max: int = ALL):
    return open_call_audit(store).verify(after=after, count_max=count_max, anchor=anchor)


def test_what_was_written_is_sound_and_reads_back(kept):
    found = verdict(kept)
    assert found.is_sound
    assert found.checked_count == ROW_COUNT
    assert found.last == open_call_audit(kept).head().last
    newest = open_directory(kept).audit(ORGANISATION, ALL, 1)[0]
    written = entry(ROW_COUNT - 1)
    assert newest.before == {"gpu_count_max": ROW_COUNT - 1, "é": [1.5, None, {}]}
    assert newest.path == written.path.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert newest.entry_hash == found.last.entry_hash
    plain = replace(newest, before=None, path="", entry_hash="", sequence=0)
    assert plain == replace(written, before=None, path="")


def test_an_empty_audit_is_sound(store):
    assert verdict(store).is_sound
    assert open_call_audit(store).head().last == Anchor(0, GENESIS)


COLUMNS = {
    "at_s": "at_s + 0.001",
    "organisation_id": "'org_2'",
    "account_id": "'acc_2'",
    "key_id": "NULL",
    "operation": "'get_me'",
    "path": "path || 'x'",
    "status": "404",
    "request_id": "'req_x'",
    "client_address": "'198.51.100.1'",
    "before": "NULL",
    "after": "'{\"gpu_count_max\":9999}'",
    "previous_hash": f"'{GENESIS}'",
    "entry_hash": f"'{GENESIS}'",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_field_is_found(engine, place, kept, column):
    engine.execute(
        place,
        f'UPDATE audit_entry SET "{column}" = {COLUMNS[column]} WHERE sequence = 5',  # noqa: S608
    )
    found = verdict(kept)
    assert found.broken_sequence == 5
    assert found.last.sequence == 4


MOVES = {
    "deleted in the middle": ("DELETE FROM audit_entry WHERE sequence = 7", 7),
    "deleted first": ("DELETE FROM audit_entry WHERE sequence = 1", 1),
    "reordered": (
        (
            "UPDATE audit_entry SET sequence = 1000 WHERE sequence = 4;"
            " UPDATE audit_entry SET sequence = 4 WHERE sequence = 9;"
            " UPDATE audit_entry SET sequence = 9 WHERE sequence = 1000"
        ),
        4,
    ),
    "closed up over a deleted one": (
        (
            "DELETE FROM audit_entry WHERE sequence = 11;"
            " UPDATE audit_entry SET sequence = 11 WHERE sequence = 12"
        ),
        11,
    ),
    "inserted behind the end": (
        (
            "INSERT INTO audit_entry (sequence, at_s, operation, path, status, request_id,"
            " previous_hash, entry_hash)"
            " SELECT 13, at_s, operation, path, status, request_id, entry_hash, entry_hash"
            " FROM audit_entry WHERE sequence = 12"
        ),
        13,
    ),
    "inserted without a hash": (
        (
            "DELETE FROM audit_entry WHERE sequence = 6; INSERT INTO audit_entry"
            " (sequence, at_s, operation, path, status, request_id)"
            " VALUES (6, 1, 'get_me', '/', 200, 'r')"
        ),
        6,
    ),
    "tail cut off": ("DELETE FROM audit_entry WHERE sequence > 9", 10),
    "all removed": ("DELETE FROM audit_entry", 1),
    "start of the chain moved": ("UPDATE audit_head SET first_sequence = 6", 1),
}


@pytest.mark.parametrize("attack", MOVES)
def test_rows_removed_moved_or_added_are_found(engine, place, kept, attack):
    sql, first_broken = MOVES[attack]
    engine.execute(place, sql)
    assert verdict(kept).broken_sequence == first_broken


def test_a_tail_cut_off_with_its_head_is_found_with_an_anchor_only(engine, place, kept):
    anchor = open_call_audit(kept).head().last
    hash_of_9 = open_directory(kept).audit(ORGANISATION, 10, 1)[0].entry_hash
    engine.execute(
        place,
        "DELETE FROM audit_entry WHERE sequence > 9;"  # noqa: S608
        f" UPDATE audit_head SET sequence = 9, entry_hash = '{hash_of_9}'",
    )
    assert verdict(kept).is_sound, "the chain alone cannot know how long it was"
    found = verdict(kept, anchor)
    assert found.broken_sequence == 10
    assert "the anchor knows row 12" in found.reason
    filled(kept, 5)
    assert verdict(kept, anchor).broken_sequence == 12, "rows written over a cut are others"


def test_a_chain_computed_anew_is_found_with_an_anchor_only(engine, place, kept):
    anchor = open_call_audit(kept).head().last
    rows = list(reversed(open_directory(kept).audit(ORGANISATION, ALL, 100)))
    previous, statements = GENESIS, []
    for row in rows:
        fields = {
            name: getattr(row, name)
            for name in (
                "sequence", "at_s", "organisation_id", "account_id", "key_id", "operation",
                "path", "status", "request_id", "client_address",
            )
        }  # fmt: skip
        fields |= {"before": change_text(row.before), "after": change_text(row.after)}
        fields["status"] = 403 if row.sequence == 3 else row.status
        made = link(previous, fields)
        statements.append(
            f"UPDATE audit_entry SET status = {fields['status']}, previous_hash = '{previous}',"  # noqa: S608
            f" entry_hash = '{made}' WHERE sequence = {row.sequence}"
        )
        previous = made
    statements.append(f"UPDATE audit_head SET entry_hash = '{previous}'")  # noqa: S608
    engine.execute(place, "; ".join(statements))
    assert verdict(kept).is_sound, "who can write all rows and knows how can compute the chain"
    assert verdict(kept, anchor).broken_sequence == anchor.sequence


def test_a_good_anchor_is_met_now_and_later(kept):
    anchor = open_call_audit(kept).head().last
    assert verdict(kept, anchor).is_sound
    filled(kept, 3)
    assert verdict(kept, anchor).is_sound


def test_a_chain_is_checked_in_parts(engine, place, kept):
    first = verdict(kept, count_max=5)
    assert first.is_sound
    assert first.last.sequence == 5
    engine.execute(place, "UPDATE audit_entry SET status = 500 WHERE sequence IN (3, 8)")
    assert verdict(kept, after=5, count_max=2).is_sound
    assert verdict(kept, after=5).broken_sequence == 8
    with pytest.raises(InputError, match="no row 99"):
        verdict(kept, after=99)


def test_a_lost_head_is_told_and_nothing_is_appended(engine, place, kept):
    engine.execute(place, "DELETE FROM audit_head")
    for use in (verdict, filled):
        with pytest.raises(DataError, match="lost the head"):
            use(kept)


def test_writers_beside_each_other_make_one_chain(place, kept):
    def write() -> None:
        store = open_store_at(place)
        filled(store, 15)
        store.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verdict(kept)
    assert found.is_sound
    assert found.checked_count == ROW_COUNT + 60


def test_rows_from_before_the_chain_stay_and_are_told_apart(engine, place):
    database = database_at(place)
    with database.write() as connection:
        upgrade_tables(connection, "0003")
    database.close()
    engine.execute(
        place,
        "INSERT INTO audit_entry"
        " (sequence, at_s, organisation_id, operation, path, status, request_id)"
        " VALUES (41, 1.0, 'org_1', 'set_quota', '/', 200, 'r')",
    )
    migrate_store(place)
    store = open_store_at(place)
    assert open_call_audit(store).head().first_sequence == 42
    filled(store, 2)
    old = open_directory(store).audit(ORGANISATION, 42, 10)
    assert [(row.sequence, row.entry_hash) for row in old] == [(41, "")]
    assert verdict(store).checked_count == 2
    engine.execute(place, "UPDATE audit_entry SET status = 1 WHERE sequence = 43")
    assert verdict(store).broken_sequence == 43
    store.close()


def test_a_home_is_verified_without_a_server(tmp_path):
    home = Home(tmp_path, database_url=None)
    store = open_store_at(home.store_path)
    filled(store)
    anchor = open_call_audit(store).head().last
    store.close()
    assert verify_audit(home, anchor).is_sound
    assert verify_audit(home, Anchor(ROW_COUNT + 1, GENESIS)).broken_sequence == ROW_COUNT + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_any_change_is_bounded_ascii_and_holds_no_secret(document):
    secret = "gw_0123456789abcdef_" + "s" * 43
    text = change_text({**document, "key": secret, "inner": [{"Password": secret}]})
    assert secret not in text
    assert len(text.encode()) <= CHANGE_BYTES_MAX
    assert text.isascii()


def test_a_long_change_is_kept_as_its_hash():
    text = change_text({"name": "x" * CHANGE_BYTES_MAX})
    assert "too_long" in text
    assert len(text) < 200
