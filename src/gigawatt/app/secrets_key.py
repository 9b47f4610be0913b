"""The key file of the secrets: where it is, how it is made, read and rotated.

One key of 32 bytes a line, base64; the first seals, all open. Lines that begin with # are notes.
A copy of the store is worth nothing without it, so it is never in one.
"""

import os
import secrets
import stat
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from contextlib import suppress
from pathlib import Path

from gigawatt.app.home import Home
from gigawatt.errors import DataError
from gigawatt.interfaces.clock import Clock
from gigawatt.store.secrets import KEY_BYTES, KeyRing, SealingKey, SqlSecrets
from gigawatt.store.store import SqlStore

KEY_FILE_VARIABLE = "GIGAWATT_SECRETS_KEY_FILE"
"""Environment variable that names a key file elsewhere."""
CREDENTIAL = "gigawatt-secrets.key"
"""Name of the credential that systemd may hand over (systemd.exec, LoadCredentialEncrypted)."""


def open_secrets(home: Home, store: SqlStore, clock: Clock) -> SqlSecrets:
    """The secrets of a home's store; its key file is read, or made, when it is first needed."""
    return SqlSecrets(store.database, clock, lambda is_empty: _ring(home, may_make=is_empty))


def key_path(home: Home) -> Path:
    """Where the key file of a home is."""
    named = os.environ.get(KEY_FILE_VARIABLE)
    if named:
        return Path(named)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / CREDENTIAL).exists():
        return Path(folder) / CREDENTIAL
    return home.secrets_key_path


def rotate_key(home: Home, secrets_kept: SqlSecrets) -> int:
    """Seal everything with a fresh key and drop the former ones; how many secrets that were.

    A crash in between leaves a file that opens everything: the fresh key is in it before it is
    used, and the former ones go after their last use. Other servers must get the file meanwhile.

    Raises:
        DataError: the file is not ours to change, or a secret does not open.
    """
    path = key_path(home)
    if path != home.secrets_key_path:
        raise DataError(
            f"the key file {path} is not in the home, so it is not changed here",
            next_step="Put a fresh key in its first line, restart all servers, run this again,"
            " then take the former line out.",
        )
    ring = _ring(home, may_make=True)
    fresh = SealingKey(secrets.token_bytes(KEY_BYTES))
    _replace(path, (fresh, *ring.keys))
    secrets_kept.forget_keys()
    count = secrets_kept.reseal()
    _replace(path, (fresh,))
    secrets_kept.forget_keys()
    return count


def _ring(home: Home, *, may_make: bool) -> KeyRing:
    path = key_path(home)
    is_ours = path == home.secrets_key_path
    if is_ours and may_make and not path.exists():
        _make(path)
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no key file"
        raise DataError(
            f"the key of the secrets cannot be read from {path}: {why}",
            next_step="Put the key file there that sealed the secrets of this store. A store that"
            " has secrets gets no new key: it would not open them.",
        ) from error
    if mode & (0o077 if is_ours else stat.S_IRWXO):
        raise DataError(
            f"{path} can be read by others on this computer",
            next_step=f"Run 'chmod 600 {path}', then rotate the key and the secrets.",
        )
    words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    keys: list[SealingKey] = []
    for number, word in enumerate(words, 1):
        try:
            key = b64decode(word, validate=True)
        except Base64Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise DataError(
                f"{path}: key {number} is not {KEY_BYTES} bytes in base64",
                next_step="Take the file from your own copy of it.",
            )
        keys.append(SealingKey(key))
    if not keys:
        raise DataError(f"{path} holds no key", next_step="Take the file from your copy of it.")
    return KeyRing(str(path), tuple(keys))


def _text(keys: tuple[SealingKey, ...]) -> bytes:
    return b"".join(b64encode(key.key) + b"\n" for key in keys)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make(path: Path) -> None:
    """Make the file unless another process was faster."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write(fresh, _text((SealingKey(secrets.token_bytes(KEY_BYTES)),)))
        with suppress(FileExistsError):
            os.link(fresh, path)
    except OSError as error:
        raise DataError(f"{path} cannot be made: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _replace(path: Path, keys: tuple[SealingKey, ...]) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write(fresh, _text(keys))
        fresh.replace(path)
    except OSError as error:
        raise DataError(f"{path} was not changed: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
