"""The out-of-band driver, ready for use."""

from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish.accounts import BmcAccounts
from gigawatt.drivers.redfish.bounded import Bounded
from gigawatt.drivers.redfish.component import OutOfBand
from gigawatt.drivers.redfish.routes import BmcRoutes
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import DriverPermanentError


class RedfishDriver(FencedDriver):
    """The driver of the out-of-band plane, and what only it can do."""

    def __init__(
        self, component: OutOfBand, ledger: Ledger, accounts: BmcAccounts, routes: BmcRoutes
    ) -> None:
        """See ``open_redfish``."""
        super().__init__(component, ledger)
        self._notes = ledger
        self._bmc_accounts = accounts
        self.routes = routes

    async def rotate(self, account: BmcAccount) -> None:
        """Give an account that is held another password; the former opens nothing any more.

        Raises:
            DriverRetryableError: may or may not have happened; do it again.
            DriverPermanentError: refused, or nobody holds the account.
        """
        async with self._notes.turn(account.device):
            kept = self._notes.read(account.device).keys.get(account.key)
            if kept is None or kept.entry != account:
                raise DriverPermanentError(
                    f"{account.device}: nobody holds {account.key} with {account.secret_ref!r}",
                    device=account.device,
                )
            await self._bmc_accounts.rotate(account)


def open_redfish(settings: RedfishSettings, opening: Opening) -> RedfishDriver:
    """Drive the BMCs and out-of-band switches that ``settings`` describe."""
    accounts = BmcAccounts(settings, opening.secrets, Bounded())
    routes = BmcRoutes(settings)
    component = OutOfBand(settings, opening.fleet, accounts, routes)
    return RedfishDriver(component, Ledger(opening.folder, opening.clock), accounts, routes)
