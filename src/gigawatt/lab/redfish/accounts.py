"""Accounts, roles and sessions of one simulated BMC."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from time import monotonic

from gigawatt.lab.redfish.answer import RefusedError
from gigawatt.lab.redfish.config import BmcConfig

ADMINISTRATOR = "Administrator"
PRIVILEGES = ("Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf")
"""Standard privileges (DSP0266, section 13.4)."""
STANDARD_ROLES = {
    ADMINISTRATOR: PRIVILEGES,
    "Operator": ("Login", "ConfigureComponents", "ConfigureSelf"),
    "ReadOnly": ("Login", "ConfigureSelf"),
}
"""Standard roles (DSP0266, section 13.4.4)."""
NAME_LENGTH_MAX = 16
"""IPMI 2.0, section 22.28; most BMCs keep to it."""
PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 8, 20
"""The maximum is that of IPMI 2.0, section 22.30."""
LOCKOUT_AFTER, LOCKOUT_S = 5, 30.0
SESSIONS_MAX = 16
SESSION_S_MAX = 1_800.0


@dataclass
class Account:
    """One account; ``number`` is its place in the table, for good."""

    number: int
    username: str
    role: str
    digest: bytes
    is_enabled: bool = True
    failure_count: int = 0
    locked_until_s: float = 0.0

    @property
    def is_locked(self) -> bool:
        """Whether too many wrong passwords came."""
        return monotonic() < self.locked_until_s


@dataclass
class Session:
    """One session; ``number`` is its id."""

    number: int
    auth_token: str
    account: Account
    used_s: float = field(default_factory=monotonic)


class Accounts:
    """The accounts of a BMC. Calls come one at a time."""

    def __init__(self, config: BmcConfig) -> None:
        """As it left the factory."""
        self._config = config
        self._salt = secrets.token_bytes(16)
        self._session_count = 0
        self.by_number: dict[int, Account] = {}
        self.hidden: dict[str, Account] = {}
        self.sessions: dict[int, Session] = {}
        self.roles: dict[str, tuple[str, ...]] = dict(STANDARD_ROLES)
        for username, role in config.accounts.items():
            self.make(username, config.passwords[username], role, is_policed=False)

    @property
    def slot_numbers(self) -> Collection[int]:
        """Numbers that accounts may have."""
        return range(1, self._config.slot_count + 1)

    def named(self, username: str) -> Account | None:
        """The account of this name."""
        return next((a for a in self.by_number.values() if a.username == username), None)

    def make(
        self, username: str, password: str, role: str, *, number: int = 0, is_policed: bool = True
    ) -> Account:
        """A new account, in slot ``number`` or in the first free one.

        Raises:
            RefusedError: no slot, a name in use, an unknown role, or a bad name or password.
        """
        self._check_name(username)
        self.check_role(role)
        if is_policed:
            check_password(password)
        free = [n for n in self.slot_numbers if n not in self.by_number]
        if not free or (number and number not in free):
            raise RefusedError(400, "CreateLimitReachedForResource", "no slot for an account")
        account = Account(number or free[0], username, role, self._digest(password))
        self.by_number[account.number] = account
        return account

    def remove(self, account: Account, *, only_hides: bool = False) -> None:
        """Take the account out, and end its sessions; ``only_hides``: it still logs in.

        Raises:
            RefusedError: it is the last that may administrate.
        """
        admins = [a for a in self.by_number.values() if a.role == ADMINISTRATOR and a.is_enabled]
        if admins == [account]:
            raise RefusedError(400, "ResourceCannotBeDeleted", "it is the last Administrator")
        del self.by_number[account.number]
        if only_hides:
            self.hidden[account.username] = account
        self.end_sessions(account)

    def set_password(self, account: Account, password: str) -> None:
        """Another password; sessions of the former one end.

        Raises:
            RefusedError: the password is not to policy.
        """
        check_password(password)
        account.digest = self._digest(password)
        self.end_sessions(account)

    def rename(self, account: Account, username: str) -> None:
        """Another name.

        Raises:
            RefusedError: it is in use, or no name.
        """
        if username != account.username:
            self._check_name(username)
            account.username = username

    def end_sessions(self, account: Account | None = None) -> None:
        """End the sessions of one account, or of all."""
        self.sessions = {
            n: s for n, s in self.sessions.items() if account is not None and s.account != account
        }

    def log_in(self, username: str, password: str) -> Account:
        """The account, if the password is right.

        Raises:
            RefusedError: it is not, or the account is disabled or locked.
        """
        account = self.named(username) or self.hidden.get(username)
        refusal = RefusedError(401, "InsufficientPrivilege", "name or password is wrong")
        if account is None or not account.is_enabled or account.is_locked:
            raise refusal
        if not secrets.compare_digest(account.digest, self._digest(password)):
            account.failure_count += 1
            if account.failure_count >= LOCKOUT_AFTER:
                account.failure_count, account.locked_until_s = 0, monotonic() + LOCKOUT_S
            raise refusal
        account.failure_count = 0
        return account

    def open_session(self, account: Account) -> Session:
        """A session.

        Raises:
            RefusedError: there are too many.
        """
        now_s = monotonic()
        self.sessions = {n: s for n, s in self.sessions.items() if now_s - s.used_s < SESSION_S_MAX}
        if len(self.sessions) >= SESSIONS_MAX:
            raise RefusedError(503, "SessionLimitExceeded", f"{SESSIONS_MAX} sessions are open")
        self._session_count += 1
        session = Session(self._session_count, secrets.token_hex(16), account)
        self.sessions[session.number] = session
        return session

    def by_token(self, auth_token: str) -> Account:
        """Whose token this is.

        Raises:
            RefusedError: nobody's.
        """
        for session in self.sessions.values():
            is_fresh = monotonic() - session.used_s < SESSION_S_MAX
            if is_fresh and secrets.compare_digest(session.auth_token, auth_token):
                session.used_s = monotonic()
                return session.account
        raise RefusedError(401, "NoValidSession", "there is no such session")

    def privileges_of(self, account: Account) -> Collection[str]:
        """What the role of an account may."""
        return self.roles.get(account.role, ())

    def check_role(self, role: str) -> None:
        """Refuse a role that there is not.

        Raises:
            RefusedError: there is none of this name.
        """
        if role not in self.roles:
            raise RefusedError(400, "PropertyValueNotInList", f"there is no role {role!r}")

    def _check_name(self, username: str) -> None:
        is_name = username.isascii() and username.replace("-", "").replace("_", "").isalnum()
        if not is_name or not 1 <= len(username) <= NAME_LENGTH_MAX:
            raise RefusedError(400, "PropertyValueFormatError", f"{username!r} is no user name")
        if self.named(username) is not None:
            raise RefusedError(400, "ResourceAlreadyExists", f"there is a user {username!r}")

    def _digest(self, password: str) -> bytes:
        return blake2b(password.encode(), salt=self._salt).digest()


def check_password(password: str) -> None:
    """Refuse a password that is not to policy: its length, a small and a capital letter, a digit.

    Raises:
        RefusedError: which never repeats the password.
    """
    kinds = (str.islower, str.isupper, str.isdigit)
    is_mixed = all(any(kind(letter) for letter in password) for kind in kinds)
    if not (PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX and is_mixed):
        raise RefusedError(400, "PropertyValueFormatError", "the password is not to policy")
