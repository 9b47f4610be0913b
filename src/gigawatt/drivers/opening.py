"""What every driver is opened with, beside its own settings."""

from dataclasses import dataclass
from pathlib import Path

from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.receipts import Receipts
from gigawatt.interfaces.secrets import Secrets


@dataclass(frozen=True)
class Opening:
    """The surroundings of a driver.

    Fields: folder is the driver's own, for its ledger and files, not there before first use.
    """

    fleet: Fleet
    clock: Clock
    secrets: Secrets
    receipts: Receipts
    folder: Path
