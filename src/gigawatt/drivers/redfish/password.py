"""Passwords that a BMC takes."""

import secrets
import string

from gigawatt.interfaces.secrets import Secrets

LENGTH_MAX = 20
"""IPMI 2.0, section 22.30: what a BMC takes in full, also where Redfish would take more."""
LENGTH_MIN = 12
LETTERS = string.ascii_lowercase, string.ascii_uppercase, string.digits
"""No other signs: some firmwares mishandle them. 20 of these are 119 bit."""


def is_fit(password: str, longest: int) -> bool:
    """Whether a BMC that takes ``longest`` characters takes this one, whatever its policy."""
    is_mixed = all(any(letter in kind for letter in password) for kind in LETTERS)
    return is_mixed and LENGTH_MIN <= len(password) <= min(longest, LENGTH_MAX)


def password_of(secrets_kept: Secrets, secret_ref: str, longest: int) -> str:
    """The password of this name, the same ever after; made to the BMC's policy if there is none.

    A secret that is longer than the BMC takes, or has not all kinds of letters, is replaced: no
    BMC can have it.
    """
    password = secrets_kept.make(secret_ref)
    while not is_fit(password, longest):
        length = min(longest, LENGTH_MAX)
        password = "".join(secrets.choice("".join(LETTERS)) for _ in range(length))
        if is_fit(password, longest):
            secrets_kept.put(secret_ref, password)
    return password
