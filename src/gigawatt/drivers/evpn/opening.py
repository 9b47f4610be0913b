"""The driver of an EVPN-VXLAN network, ready for use."""

from gigawatt.drivers.evpn.component import EvpnNetwork
from gigawatt.drivers.evpn.settings import EvpnSettings
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening


def open_evpn(settings: EvpnSettings, opening: Opening) -> FencedDriver:
    """Drive the network that ``settings`` describe."""
    turns = Ledger(opening.folder / "switches", opening.clock)
    network = EvpnNetwork(settings, opening.fleet, turns)
    return FencedDriver(network, Ledger(opening.folder / "notes", opening.clock))
