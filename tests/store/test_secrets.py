"""Secrets of devices, sealed in the store.

Goal: a copy of the store tells no secret, nobody can exchange or change one unseen, and a lost or
wrong key is told as such.
Method: the real store on both engines with key files in a folder; the bytes of the database file,
of logs and of error messages are searched; ciphertexts are changed and swapped by SQL.
"""

import logging
import stat
import string
from base64 import b64decode, b64encode

import pytest
from sqlalchemy import select, text, update

from gigawatt.app.backup import back_up, restore
from gigawatt.app.clock import ManualClock
from gigawatt.app.home import Home
from gigawatt.app.secrets_key import CREDENTIAL, KEY_FILE_VARIABLE, open_secrets, rotate_key
from gigawatt.errors import DataError, InputError, UnknownIdError
from gigawatt.store.open import open_store_at
from gigawatt.store.secrets import PASSWORD_LENGTH, SealingKey, new_password
from gigawatt.store.secrets_schema import secrets as table

REF = "bmc/h00001/clu_a"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = Home(tmp_path / "home", None)
    found.make()
    return found


@pytest.fixture
def store(home):
    opened = open_store_at(home.store_place)
    yield opened
    opened.close()


@pytest.fixture
def kept(home, store):
    return open_secrets(home, store, ManualClock())


def test_a_secret_is_made_once_and_is_the_same_ever_after(home, store, kept):
    made = kept.make(REF)
    assert kept.make(REF) == kept.read(REF) == made
    assert open_secrets(home, store, ManualClock()).make(REF) == made
    assert kept.make("bmc/h00002/clu_a") != made


def test_rotate_put_and_forget(kept):
    made = kept.make(REF)
    assert kept.rotate(REF) == kept.read(REF) != made
    kept.put(REF, "an operator's")
    assert kept.read(REF) == "an operator's"
    for _ in range(2):
        kept.forget(REF)
    with pytest.raises(UnknownIdError, match=REF):
        kept.read(REF)
    with pytest.raises(InputError):
        kept.put(REF, "")
    with pytest.raises(InputError):
        kept.put("x" * 300, "y")


@pytest.mark.parametrize("password", [new_password() for _ in range(50)], ids=range(50))
def test_a_password_suits_common_policies(password):
    assert len(password) == PASSWORD_LENGTH
    assert 16 <= PASSWORD_LENGTH <= 20
    for letters in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
        assert set(letters) & set(password)
    assert set(password) - set(string.ascii_letters + string.digits)
    assert password.isascii()
    assert not set(password) & set("'\"\\$`&|;<> %#@:/?=!*")


def test_nothing_is_in_clear_in_files_logs_or_errors(home, store, kept, caplog):
    caplog.set_level(logging.DEBUG)
    found = [kept.make(f"bmc/h{n:05}/clu_a") for n in range(20)]
    kept.put(REF, "Swordfish-and-more-1")
    found.append(kept.rotate(REF))
    with store.database.read() as connection:
        rows = connection.execute(select(table)).all()
    files = [path for path in home.path.rglob("*") if path.is_file()]
    texts = [path.read_bytes() for path in files] + [caplog.text.encode(), repr(kept).encode()]
    texts += [repr(rows).encode()]
    assert any(path.name.startswith("store.sqlite") for path in files)
    for secret in [*found, "Swordfish-and-more-1"]:
        assert not any(secret.encode() in one for one in texts)
        assert not any(b64encode(secret.encode()).rstrip(b"=") in one for one in texts)
    assert b"Swordfish-and-more-1" not in repr(SealingKey(b"Swordfish-and-more-1")).encode()


def test_the_key_file_is_for_its_owner_only_and_not_in_the_store(home, store, kept):
    kept.make(REF)
    assert stat.S_IMODE(home.secrets_key_path.stat().st_mode) == 0o600
    (line,) = home.secrets_key_path.read_bytes().split()
    for path in home.path.glob("store.sqlite*"):
        assert line not in path.read_bytes()
        assert b64decode(line) not in path.read_bytes()
    home.secrets_key_path.chmod(0o640)
    with pytest.raises(DataError, match="can be read by others"):
        open_secrets(home, store, ManualClock()).read(REF)


def _sealed(store, ref: str) -> str:
    with store.database.read() as connection:
        return connection.execute(
            select(table.c.sealed).where(table.c.secret_ref == ref)
        ).scalar_one()


def _set(store, ref: str, sealed: str) -> None:
    with store.database.write() as connection:
        connection.execute(update(table).where(table.c.secret_ref == ref).values(sealed=sealed))


def test_every_changed_bit_is_seen(store, kept):
    kept.make(REF)
    good = b64decode(_sealed(store, REF))
    for place in range(len(good)):
        bad = good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :]
        _set(store, REF, b64encode(bad).decode())
        with pytest.raises(DataError, match="damaged"):
            kept.read(REF)
    for bad_text in ("", "!", b64encode(good[:10]).decode(), b64encode(good[:-1]).decode()):
        _set(store, REF, bad_text)
        with pytest.raises(DataError, match="damaged"):
            kept.read(REF)


def test_one_secret_cannot_stand_in_for_another(store, kept):
    kept.make(REF)
    kept.put("bmc/h00002/clu_b", "known to somebody")
    _set(store, REF, _sealed(store, "bmc/h00002/clu_b"))
    with pytest.raises(DataError, match="exchanged"):
        kept.read(REF)
    with pytest.raises(DataError, match="exchanged"):
        kept.make(REF)


def test_a_wrong_key_is_named_and_a_lost_one_is_never_made_anew(home, store, kept):
    kept.make(REF)
    own = home.secrets_key_path.read_bytes()
    home.secrets_key_path.unlink()
    with pytest.raises(DataError, match="cannot be read") as caught:
        open_secrets(home, store, ManualClock()).make("another")
    assert "no new key" in str(caught.value.next_step)
    assert not home.secrets_key_path.exists()
    home.secrets_key_path.write_bytes(b64encode(bytes(32)))
    home.secrets_key_path.chmod(0o600)
    with pytest.raises(DataError, match="is sealed with key"):
        open_secrets(home, store, ManualClock()).read(REF)
    for damaged in (b"", b"# note\n", b"!!!\n", own[:20], b"\xff"):
        home.secrets_key_path.write_bytes(damaged)
        with pytest.raises(DataError, match="key"):
            open_secrets(home, store, ManualClock()).read(REF)


@pytest.mark.parametrize("how", ["variable", "systemd"])
def test_the_key_may_come_from_elsewhere_and_is_then_never_written(
    home, store, tmp_path, monkeypatch, how
):
    elsewhere = tmp_path / CREDENTIAL
    if how == "variable":
        monkeypatch.setenv(KEY_FILE_VARIABLE, str(elsewhere))
        with pytest.raises(DataError, match="cannot be read"):
            open_secrets(home, store, ManualClock()).make(REF)
        assert not elsewhere.exists()
    else:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    elsewhere.write_bytes(b"# made by hand\n" + b64encode(b"k" * 32) + b"\n")
    elsewhere.chmod(0o400)
    kept = open_secrets(home, store, ManualClock())
    kept.make(REF)
    assert not home.secrets_key_path.exists()
    with pytest.raises(DataError, match="not in the home"):
        rotate_key(home, kept)


def test_a_rotated_key_opens_all_and_the_former_nothing(home, store, kept):
    made = [kept.make(f"bmc/{n}") for n in range(5)]
    former = home.secrets_key_path.read_bytes()
    assert rotate_key(home, kept) == 5
    assert [kept.read(f"bmc/{n}") for n in range(5)] == made
    assert home.secrets_key_path.read_bytes() != former
    assert len(home.secrets_key_path.read_bytes().split()) == 1
    home.secrets_key_path.write_bytes(former)
    with pytest.raises(DataError, match="is sealed with key"):
        open_secrets(home, store, ManualClock()).read("bmc/0")


def test_a_rotation_that_ends_early_loses_nothing(home, store, kept, monkeypatch):
    made = kept.make(REF)
    kept.make("damaged")
    good = _sealed(store, "damaged")
    _set(store, "damaged", "AAAA")
    with pytest.raises(DataError, match="damaged"):
        rotate_key(home, kept)
    assert open_secrets(home, store, ManualClock()).read(REF) == made
    _set(store, "damaged", good)
    assert rotate_key(home, kept) == 2
    assert open_secrets(home, store, ManualClock()).read(REF) == made


def test_a_backup_carries_what_is_sealed_and_never_the_key(home, store, kept, tmp_path):
    made = kept.make(REF)
    archive = tmp_path / "copy.tar"
    back_up(home, archive, 0.0)
    line = home.secrets_key_path.read_bytes().strip()
    assert line not in archive.read_bytes()
    assert b64decode(line) not in archive.read_bytes()
    other = Home(tmp_path / "other", None)
    restore(archive, other)
    opened = open_store_at(other.store_place)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            open_secrets(other, opened, ManualClock()).read(REF)
        other.secrets_key_path.write_bytes(home.secrets_key_path.read_bytes())
        other.secrets_key_path.chmod(0o600)
        assert open_secrets(other, opened, ManualClock()).read(REF) == made
    finally:
        opened.close()


def test_two_servers_share_what_is_sealed(home, store, kept):
    again = open_store_at(home.store_place)
    try:
        other = open_secrets(home, again, ManualClock())
        assert other.make(REF) == kept.make(REF)
        assert kept.rotate(REF) == other.read(REF)
    finally:
        again.close()


def test_the_database_sees_names_and_no_more(store, kept):
    kept.put(REF, "Swordfish-and-more-1")
    with store.database.read() as connection:
        (row,) = connection.execute(text("SELECT * FROM secret")).mappings()
    assert row["secret_ref"] == REF
    assert "Swordfish" not in str(dict(row))
