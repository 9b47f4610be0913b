"""Goal: whatever PostgreSQL refuses is told in our own words, with a next step and no password.

Method: real refusals by a real server: locks held, a standby's read-only answers, a user without
rights, another encoding, a full file system, a damaged file; and URLs that are wrong or lead
nowhere.
"""

import secrets
import shutil
import subprocess
import tempfile
import threading
import traceback
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest

from gigawatt.app.home import Home
from gigawatt.errors import ConflictError, DataError, InputError, StorageFullError
from gigawatt.store import copying, journal
from gigawatt.store.address import is_postgres, name_of
from gigawatt.store.audit import audit_database
from gigawatt.store.database import lock_generation
from gigawatt.store.open import is_empty_at, open_store_at
from gigawatt.store.postgres import open_postgres
from postgres_server import name_in, owner

pytestmark = pytest.mark.postgres
NOW_S = 100.0
SECRET = "pa55w%C3%B6rd"  # noqa: S105 - of nobody


def said(error: BaseException) -> str:
    """Everything that a report of an error could show."""
    own = getattr(error, "next_step", "")
    return own + "".join(traceback.format_exception(error, chain=True))


def lines_of_urls(folder):
    return [
        f"postgresql://gw:{SECRET}@127.0.0.1:1/gigawatt",
        f"postgres://gw:{SECRET}@127.0.0.1:1/gigawatt?application_name=x",
        f"postgresql://gw@127.0.0.1:1/gigawatt?password={SECRET}",
        f"postgresql://gw:{SECRET}@/gigawatt?host={folder}/nowhere",
        f"postgresql://gw:{SECRET}@127.0.0.1:port/gigawatt",
        f"postgresql://gw:{SECRET}@[127.0.0.1/gigawatt",
        f"postgresql://gw:{SECRET}@127.0.0.1:1/gigawatt?no_such_parameter=1",
    ]


def test_no_error_shows_a_password(tmp_path):
    for url in lines_of_urls(tmp_path):
        for use in (lambda u: open_postgres(u, patience_s=0.0), audit_database):
            with pytest.raises((DataError, InputError)) as caught:
                use(url)
            text = said(caught.value)
            assert "pa55w" not in text
            assert caught.value.next_step


def test_no_value_shows_a_password(tmp_path, monkeypatch):
    url = lines_of_urls(tmp_path)[0]
    monkeypatch.setenv("GIGAWATT_DATABASE_URL", url)
    home = Home(tmp_path)
    assert home.store_place == url
    assert "pa55w" not in repr(home) + name_of(url)
    monkeypatch.delenv("GIGAWATT_DATABASE_URL")
    assert Home(tmp_path).store_place == tmp_path / "store.sqlite"


def test_no_tool_is_given_a_password_that_others_can_read(tmp_path):
    for url in lines_of_urls(tmp_path)[:4]:
        arguments, secrets_of = copying._connection_of(url)
        assert "pa55w" not in arguments
        assert secrets_of == {"PGPASSWORD": "pa55wörd"}


@pytest.mark.parametrize("place", ["mysql://x/y", "sqlite:///x", "http://x"])
def test_a_url_of_something_else_is_refused(place):
    with pytest.raises(InputError, match="a store cannot be at a URL of the kind"):
        is_postgres(place)


def test_a_server_that_is_away_is_told_with_a_next_step():
    with pytest.raises(DataError, match=r"connection to the database was lost") as caught:
        open_postgres("postgresql://gw@127.0.0.1:1/gigawatt", patience_s=0.2)
    assert "Start the database" in caught.value.next_step


def test_a_database_that_is_not_there_is_told_at_once(postgres_server):
    with pytest.raises(DataError, match='database "nowhere" does not exist'):
        open_postgres(postgres_server.url("nowhere"), patience_s=1e6)


def test_a_writer_that_never_lets_go_is_a_conflict(url):
    store = open_postgres(url, lock_timeout_s=0.05)
    with closing(psycopg.connect(url)) as raw:
        raw.execute("SELECT * FROM counter FOR UPDATE")
        with pytest.raises(ConflictError, match="another process holds the store") as caught:
            store.set_node_state("n", "drained", "", NOW_S)
        assert "pg_stat_activity" in caught.value.next_step
        assert store.snapshot(NOW_S).generation == 0
    store.set_node_state("n", "drained", "", NOW_S)
    store.close()


def test_a_user_without_rights_is_told(url, postgres_server):
    open_postgres(url).close()
    postgres_server.execute("postgres", "DROP ROLE IF EXISTS guest")
    postgres_server.execute("postgres", "CREATE ROLE guest LOGIN")
    with pytest.raises(DataError, match="may not do what a store needs"):
        open_postgres(url.replace("gigawatt@", "guest@"))


def test_another_encoding_is_refused(postgres_server):
    postgres_server.execute(
        "postgres", "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0"
    )
    with pytest.raises(DataError, match="keeps text as SQL_ASCII, wanted UTF8"):
        open_postgres(postgres_server.url("bytes"))
    postgres_server.drop(postgres_server.url("bytes"))


def test_text_sorts_the_same_whatever_language_the_server_speaks(postgres_server):
    postgres_server.execute(
        "postgres",
        "CREATE DATABASE english ICU_LOCALE 'en-US' LOCALE_PROVIDER icu TEMPLATE template0",
    )
    url = postgres_server.url("english")
    store = open_postgres(url)
    for node_id in ("b", "A", "a", "B", "a-1", "a1"):
        store.set_node_state(node_id, "drained", "", NOW_S)
    assert list(store.snapshot(NOW_S).node_states) == ["A", "B", "a", "a-1", "a1", "b"]
    store.close()
    postgres_server.drop(url)


def test_a_connection_waits_for_disk_even_where_the_server_would_not(url, postgres_server):
    name = name_in(url)
    postgres_server.execute("postgres", f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = open_postgres(url)
    with store._database.write() as connection:
        found = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        level = connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    assert (found, level) == ("on", "read committed")
    with store._database.read() as connection:
        level = connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
        mode = connection.exec_driver_sql("SHOW transaction_read_only").scalar_one()
    assert (level, mode) == ("repeatable read", "on")
    store.close()


def test_whoever_follows_the_trail_misses_no_line(url):
    """A line that got its number first must not appear after one that was read already."""
    first, second = open_postgres(url), open_postgres(url)
    read, last = [], 0
    with first._database.write() as connection:
        lock_generation(connection)
        journal.add_event(connection, "a", "first", NOW_S)
        late = threading.Thread(target=second.add_event, args=["b", "second", NOW_S])
        late.start()
        late.join(timeout=0.2)
        read += second.events(after_sequence=last)
        assert late.is_alive()
    late.join()
    last = read[-1].sequence if read else 0
    read += second.events(after_sequence=last)
    assert [event.message for event in read] == ["first", "second"]
    first.close()
    second.close()


def test_asking_whether_a_database_is_empty_makes_nothing(url):
    assert is_empty_at(url)
    assert is_empty_at(url)
    open_store_at(url).close()
    assert not is_empty_at(url)


@pytest.fixture
def small_disk():
    """A file system of 24 MB that the server may write to."""
    folder = Path(tempfile.mkdtemp(prefix="gw-pg-disk-"))
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if not done or done.returncode != 0:
        folder.rmdir()
        pytest.skip("mounting a tmpfs is not allowed here")
    shutil.chown(folder, owner())
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def fill(store):
    """Write until the disk is full; the number of writes that were acknowledged."""
    for kept in count():
        try:
            # Random digits: PostgreSQL would compress anything plainer.
            store.add_event("note", secrets.token_hex(100_000), NOW_S)
        except StorageFullError:
            return kept
    return -1


def test_a_really_full_disk_loses_nothing(postgres_server, small_disk):
    postgres_server.execute("postgres", f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    postgres_server.execute("postgres", "CREATE DATABASE full_disk TABLESPACE small")
    url = postgres_server.url("full_disk")
    store = open_store_at(url)
    kept = fill(store)
    assert kept > 5
    # Room is made, as an operator would: a server without any may not even answer readers.
    remount = ["mount", "-o", "remount,size=64m", str(small_disk)]
    subprocess.run(remount, check=True)
    assert len(store.events()) == kept
    store.close()
    assert audit_database(url) == ()
    postgres_server.drop(url)
    postgres_server.execute("postgres", "DROP TABLESPACE small")
