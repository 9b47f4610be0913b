"""Secrets in memory, for tests."""

import secrets

from gigawatt.errors import UnknownIdError


class MemorySecrets:
    """``interfaces.secrets.Secrets``; ``kept`` shows what is there."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def make(self, secret_ref: str) -> str:
        return self.kept.setdefault(secret_ref, f"Mx9{secrets.token_hex(8)}")

    def read(self, secret_ref: str) -> str:
        if secret_ref not in self.kept:
            raise UnknownIdError(f"there is no secret {secret_ref!r}")
        return self.kept[secret_ref]

    def rotate(self, secret_ref: str) -> str:
        self.kept.pop(secret_ref, None)
        return self.make(secret_ref)

    def put(self, secret_ref: str, secret: str) -> None:
        self.kept[secret_ref] = secret

    def forget(self, secret_ref: str) -> None:
        self.kept.pop(secret_ref, None)
