"""``SqlSecrets``: the ``Secrets`` in the store's own database, sealed with a key that is not there.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits for each sealing; the secret's name is
authenticated with it, so that one ciphertext cannot stand in for another.
"""

import secrets as random_bytes
import string
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import DataError, InputError, UnknownIdError
from gigawatt.interfaces.clock import Clock
from gigawatt.store.database import Database
from gigawatt.store.secrets_schema import secrets

KEY_BYTES = 32
_NONCE_BYTES = 12
_CONTEXT = b"gigawatt secret 1\0"

PASSWORD_LENGTH = 16
"""Characters of a password that is made up here: IPMI 1.5 and many BMCs take no more than 16,
and 16 of 66 characters are more than 96 bits (IPMI v2.0, section 22.30)."""
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_.+")
"""What policies of BMCs ask for, without characters that shells and URLs take amiss."""
SECRET_LENGTH_MAX, REF_LENGTH_MAX = 4_096, 200

_columns = secrets.c


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key, 32 bytes; ``key_id`` may be shown."""

    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """A name that tells nothing of the key: a digest of it."""
        return blake2b(self.key, digest_size=8, person=b"gigawatt key id").hexdigest()


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys that can open what is sealed; the first seals. ``source`` is where they are from."""

    source: str
    keys: tuple[SealingKey, ...]

    def of(self, key_id: str) -> SealingKey | None:
        """The key of this id, if it is here."""
        return next((key for key in self.keys if key.key_id == key_id), None)


def new_password() -> str:
    """A password at random with a character of every class; see ``PASSWORD_LENGTH``."""
    rest = PASSWORD_LENGTH - len(_CLASSES)
    chosen = [random_bytes.choice(letters) for letters in _CLASSES]
    chosen += [random_bytes.choice("".join(_CLASSES)) for _ in range(rest)]
    random_bytes.SystemRandom().shuffle(chosen)
    return "".join(chosen)


class SqlSecrets:
    """Secrets of one store."""

    def __init__(self, database: Database, clock: Clock, ring: Callable[[bool], KeyRing]) -> None:
        """Keep them in ``database``.

        ``ring`` gives the keys when they are first needed; it is told whether nothing is sealed
        yet, because only then a key may be made.
        """
        self._database = database
        self._clock = clock
        self._open_ring = ring
        self._ring: KeyRing | None = None

    def make(self, secret_ref: str) -> str:
        """See ``Secrets.make``."""
        found = self._find(secret_ref)
        if found is not None:
            return found
        row = self._row(secret_ref, new_password())
        with (
            self._database.write() as connection,
            suppress(IntegrityError),
            connection.begin_nested(),
        ):
            connection.execute(insert(secrets).values(row))
        return self.read(secret_ref)

    def read(self, secret_ref: str) -> str:
        """See ``Secrets.read``.

        Raises:
            DataError: it was sealed with a key that is not here, or is damaged.
            UnknownIdError: there is none.
        """
        found = self._find(secret_ref)
        if found is None:
            raise UnknownIdError(f"there is no secret {secret_ref!r}")
        return found

    def rotate(self, secret_ref: str) -> str:
        """See ``Secrets.rotate``."""
        made = new_password()
        self.put(secret_ref, made)
        return made

    def put(self, secret_ref: str, secret: str) -> None:
        """See ``Secrets.put``.

        Raises:
            InputError: it is empty or too long.
        """
        if not 1 <= len(secret) <= SECRET_LENGTH_MAX:
            raise InputError(f"a secret has 1 to {SECRET_LENGTH_MAX} characters")
        row = self._row(secret_ref, secret)
        with self._database.write() as connection:
            is_here = _columns.secret_ref == secret_ref
            if not connection.execute(update(secrets).where(is_here).values(row)).rowcount:
                connection.execute(insert(secrets).values(row))

    def forget(self, secret_ref: str) -> None:
        """See ``Secrets.forget``."""
        with self._database.write() as connection:
            connection.execute(delete(secrets).where(_columns.secret_ref == secret_ref))

    def reseal(self) -> int:
        """Seal all with the first key of the ring, all or none; how many were sealed anew.

        Raises:
            DataError: one cannot be opened; nothing was changed.
        """
        first = self._keys().keys[0]
        with self._database.write() as connection:
            old = connection.execute(select(secrets).where(_columns.key_id != first.key_id)).all()
            for row in old:
                is_it = _columns.secret_ref == row.secret_ref
                anew = self._row(row.secret_ref, self._opened(row))
                connection.execute(update(secrets).where(is_it).values(anew))
        return len(old)

    def forget_keys(self) -> None:
        """Ask for the keys again when they are next needed: they were changed."""
        self._ring = None

    def _find(self, secret_ref: str) -> str | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(secrets).where(_columns.secret_ref == secret_ref)
            ).one_or_none()
        return None if row is None else self._opened(row)

    def _keys(self) -> KeyRing:
        if self._ring is None:
            with self._database.read() as connection:
                is_empty = _is_empty(connection)
            self._ring = self._open_ring(is_empty)
        return self._ring

    def _row(self, secret_ref: str, secret: str) -> dict[str, Any]:
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - slow to import
            AESGCM,
        )

        if not 1 <= len(secret_ref) <= REF_LENGTH_MAX:
            raise InputError(f"the name of a secret has 1 to {REF_LENGTH_MAX} characters")
        first = self._keys().keys[0]
        nonce = random_bytes.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(first.key).encrypt(nonce, secret.encode(), _bound(secret_ref))
        return {
            "secret_ref": secret_ref,
            "key_id": first.key_id,
            "sealed": b64encode(nonce + sealed).decode(),
            "changed_s": self._clock.now_s(),
        }

    def _opened(self, row: Row[Any]) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow to import
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        ring = self._keys()
        key = ring.of(row.key_id)
        if key is None:
            have = ", ".join(one.key_id for one in ring.keys)
            raise DataError(
                f"secret {row.secret_ref!r} is sealed with key {row.key_id};"
                f" {ring.source} has {have}",
                next_step=f"Put the key file of the control plane that sealed it at {ring.source};"
                " 'gw backup' never carries it.",
            )
        try:
            raw = b64decode(row.sealed, validate=True)
            plain = AESGCM(key.key).decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(row.secret_ref)
            )
            return plain.decode()
        except (InvalidTag, Base64Error, ValueError) as error:
            raise DataError(
                f"secret {row.secret_ref!r} is damaged in the store, or was exchanged for another",
                next_step="Restore a copy, or set the device's password by hand and rotate it.",
            ) from error


def _is_empty(connection: Connection) -> bool:
    return connection.execute(select(_columns.secret_ref).limit(1)).first() is None


def _bound(secret_ref: str) -> bytes:
    return _CONTEXT + secret_ref.encode()
