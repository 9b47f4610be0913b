"""Secrets of devices, by name: the one place where a password is more than its name."""

from typing import Protocol


class Secrets(Protocol):
    """Passwords by the names that entries carry (``BmcAccount.secret_ref``); encrypted at rest."""

    def make(self, secret_ref: str) -> str:
        """The secret of this name, made up at random if there is none yet; the same ever after."""
        ...

    def read(self, secret_ref: str) -> str:
        """The secret of this name.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def rotate(self, secret_ref: str) -> str:
        """Another secret under this name; the former is gone."""
        ...

    def put(self, secret_ref: str, secret: str) -> None:
        """Keep a secret that somebody else made (an operator's account of a BMC)."""
        ...

    def forget(self, secret_ref: str) -> None:
        """Keep nothing under this name any more; nothing to do if nothing was."""
        ...
