"""The host plane's driver of hypervisors."""

from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.guests.component import Guests
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.storage.networks import Networks


class GuestsDriver(FencedDriver):
    """``Driver`` of guests. Those with storage pools need ``know_networks`` first."""

    def __init__(self, guests: Guests, ledger: Ledger) -> None:
        """Serve ``guests``; whose is what is noted in ``ledger``."""
        super().__init__(guests, ledger)
        self._guests = guests

    def know_networks(self, networks: Networks) -> None:
        """Say where to read in which in-band network a guest is."""
        self._guests.networks = networks
