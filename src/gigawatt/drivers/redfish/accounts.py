"""Accounts of tenants on BMCs: made, changed, read back and taken out."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

from sushy import exceptions as said_by_sushy
from sushy.connector import Connector

from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.redfish.account_table import (
    AccountService,
    AccountTable,
    HeldAccount,
    clear_account,
    end_sessions,
    find_service,
    make_role,
    read_table,
    session,
    set_account,
)
from gigawatt.drivers.redfish.bounded import Bounded, Deadline
from gigawatt.drivers.redfish.connection import AGAIN, connector_to, operator_password, said
from gigawatt.drivers.redfish.password import password_of
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import (
    DriverError,
    DriverPermanentError,
    DriverRetryableError,
    UnknownIdError,
)
from gigawatt.ids import DeviceId, NodeId
from gigawatt.interfaces.secrets import Secrets

UNKNOWN_SECRET = ""
"""Secret of an account that is not as we made it: nobody's, so it never is what was asked for."""

UNLISTED = "(unlisted) "
"""Begins the secret of an account that is on no list and let in: never what was asked for."""

Accounts = Mapping[str, BmcAccount]
"""Accounts by user name."""
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where work is done: a BMC with a session of the operator's, for a limited time."""

    node_id: NodeId
    connector: Connector
    service: AccountService
    deadline: Deadline


Work = Callable[[Place], T]


class BmcAccounts:
    """Accounts on all BMCs; calls on one BMC come one at a time."""

    def __init__(self, settings: RedfishSettings, secrets: Secrets, bounded: Bounded) -> None:
        """Keep passwords in ``secrets``."""
        self._settings = settings
        self._secrets = secrets
        self._bounded = bounded

    async def look(self, node_id: NodeId, noted: Accounts) -> tuple[BmcAccount, ...]:
        """Every account but the golden ones as they must be.

        One of ``noted`` that is on no list and is let in all the same is there.
        """

        def read(at: Place) -> tuple[AccountTable, list[BmcAccount]]:
            table = self._read(at)
            unlisted = (one for name, one in noted.items() if name not in table.by_name)
            return table, [one for one in unlisted if self._is_let_in(at, one)]

        table, hidden = await self._run(node_id, "read accounts", read)
        found = (self._entry(node_id, table, held, noted) for held in table.by_name.values())
        return (
            *(entry for entry in found if entry is not None),
            *(replace(one, secret_ref=f"{UNLISTED}{_ref_of(one)}") for one in hidden),
        )

    async def put(self, node_id: NodeId, held: Accounts, wanted: Accounts) -> None:
        """Make the accounts be there and log in, or leave all as it was.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused; the accounts are as they were.
        """
        try:
            await self._run(node_id, "set accounts", lambda at: self._put_or_undo(at, held, wanted))
        except DriverPermanentError:
            for name, entry in wanted.items():
                if name not in held:
                    self._secrets.forget(entry.secret_ref)
            raise
        for name, entry in wanted.items():
            before = held.get(name)
            if before and _ref_of(before) not in {UNKNOWN_SECRET, entry.secret_ref}:
                self._secrets.forget(_ref_of(before))

    async def take(self, node_id: NodeId, leaving: Accounts) -> None:
        """Take accounts out, and see that they are gone.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        await self._run(node_id, "take out accounts", lambda at: self._take(at, leaving))
        for entry in leaving.values():
            if entry.secret_ref != UNKNOWN_SECRET:
                self._secrets.forget(_ref_of(entry))

    async def rotate(self, account: BmcAccount) -> None:
        """Give an account another password; the former is gone at both ends when it returns.

        Raises:
            DriverRetryableError: may or may not have happened; the account may be closed to all
                until this is done again.
            DriverPermanentError: refused.
        """
        self._secrets.rotate(account.secret_ref)
        wanted = {account.username: account}
        stranger = BmcAccount(account.node_id, account.username, UNKNOWN_SECRET)
        await self.put(account.node_id, {account.username: stranger}, wanted)

    def _entry(
        self, node_id: NodeId, table: AccountTable, held: HeldAccount, noted: Accounts
    ) -> BmcAccount | None:
        golden = self._settings.golden_accounts
        if golden.get(held.username) == held.role:
            return None
        secret_ref = UNKNOWN_SECRET
        if held.is_enabled and held.role == table.tenant_role and held.username in noted:
            secret_ref = noted[held.username].secret_ref
        return BmcAccount(node_id, held.username, secret_ref)

    async def _run(self, node_id: NodeId, what: str, work: Work[T]) -> T:
        device, reach = DeviceId(f"bmc/{node_id}"), self._settings.reach

        def call(deadline: Deadline) -> T:
            password = operator_password(reach, node_id)
            connector = connector_to(reach.bmcs[node_id], reach, deadline)
            with (
                closing(connector),
                said(device, what, (password,)),
                session(connector, reach.username, password),
            ):
                return work(Place(node_id, connector, find_service(connector), deadline))

        return await self._bounded.run(device, reach.call_s_max, call)

    def _read(self, at: Place) -> AccountTable:
        return read_table(at.connector, at.service, self._settings.tenant_role)

    def _put(self, at: Place, held: Accounts, wanted: Accounts, passwords: dict[str, str]) -> None:
        role = self._read(at).tenant_role
        if role != self._settings.tenant_role:
            role = make_role(at.connector, at.service, self._settings.tenant_role)
        for name, entry in wanted.items():
            table = self._read(at)
            passwords[name] = password_of(self._secrets, entry.secret_ref, at.service.longest)
            set_account(at.connector, at.service, table, (name, passwords[name]), role)
        after = self._read(at).by_name
        for name in wanted:
            if name not in after or after[name].role != role or not after[name].is_enabled:
                raise DriverPermanentError(
                    f"bmc/{at.node_id}: took account {name} and does not have it as it was asked to"
                )
            self._log_in(at, name, passwords[name])

    def _put_or_undo(self, at: Place, held: Accounts, wanted: Accounts) -> None:
        passwords: dict[str, str] = {}
        device = DeviceId(f"bmc/{at.node_id}")
        try:
            # The passwords are known only after the first answers, so they are hidden by hand.
            with said(device, "set accounts", passwords.values()):
                self._put(at, held, wanted, passwords)
        except DriverPermanentError as error:
            try:
                self._undo(at, held, wanted)
            except (said_by_sushy.SushyError, ValueError, DriverError) as failure:
                raise DriverRetryableError(
                    f"{device}: accounts were not set, and could not be put back as they were",
                    device=device,
                ) from failure
            raise error from error.__cause__

    def _undo(self, at: Place, held: Accounts, wanted: Accounts) -> None:
        for name in wanted:
            table = self._read(at)
            now, before = table.by_name.get(name), held.get(name)
            if now is None:
                continue
            if before is None:
                clear_account(at.connector, now)
            elif before.secret_ref != UNKNOWN_SECRET:
                password = self._secrets.read(_ref_of(before))
                set_account(at.connector, at.service, table, (name, password), now.role)

    def _log_in(self, at: Place, username: str, password: str) -> None:
        """See that an account can be used: a BMC may say yes and do nothing."""
        reach = self._settings.reach
        connector = connector_to(reach.bmcs[at.node_id], reach, at.deadline)
        with closing(connector):
            try:
                with session(connector, username, password):
                    return
            except said_by_sushy.AccessError as error:
                raise DriverPermanentError(
                    f"bmc/{at.node_id}: took the password of {username} and does not let it in"
                ) from error

    def _is_let_in(self, at: Place, account: BmcAccount) -> bool:
        """Whether an account logs in with its password; not if we know none."""
        try:
            password = self._secrets.read(_ref_of(account))
        except UnknownIdError:
            return False
        reach = self._settings.reach
        connector = connector_to(reach.bmcs[at.node_id], reach, at.deadline)
        device = DeviceId(f"bmc/{at.node_id}")
        with closing(connector), said(device, "see who is let in", (password,)):
            try:
                with session(connector, account.username, password):
                    return True
            except said_by_sushy.HTTPError as error:
                if not 400 <= error.status_code < 500 or error.status_code in AGAIN:
                    raise
                return False

    def _take(self, at: Place, leaving: Accounts) -> None:
        golden = self._settings.golden_accounts
        for name, held in self._read(at).by_name.items():
            if name in leaving and name in golden:
                at.connector.patch(held.path, data={"RoleId": golden[name]}, etag=held.etag)
            elif name in leaving:
                clear_account(at.connector, held)
        for name in leaving:
            end_sessions(at.connector, name)
        after = self._read(at).by_name
        left = [n for n in leaving if n in after and golden.get(n) != after[n].role]
        if left:
            raise DriverPermanentError(
                f"bmc/{at.node_id}: says that {', '.join(left)} left, and still has it"
            )
        # A list is but what a BMC says.
        for name, account in leaving.items():
            if name not in golden and self._is_let_in(at, account):
                raise DriverPermanentError(
                    f"bmc/{at.node_id}: says that {name} left, and still lets it in",
                    device=DeviceId(f"bmc/{at.node_id}"),
                    next_step="Reset the BMC, look who is let in, then 'gw reconcile'.",
                )


def _ref_of(account: BmcAccount) -> str:
    """The name of an account's password."""
    return account.secret_ref.removeprefix(UNLISTED)
