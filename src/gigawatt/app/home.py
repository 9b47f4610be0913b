"""Where one embedded control plane keeps its files."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from gigawatt.errors import DataError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.yaml_format import load_fleet

DEMO_GPU_COUNT = 10_000
"""GPUs of the fleet that is there before one is imported."""

DATABASE_VARIABLE = "GIGAWATT_DATABASE_URL"
"""Environment variable that names a PostgreSQL database: postgresql://USER@HOST/DATABASE."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with the fleet, the store and the memory of the fake devices.

    Fields:
        path: the folder.
        database_url: PostgreSQL database that holds the store instead of a file in the folder,
            ``$GIGAWATT_DATABASE_URL`` unless given. It may hold a password, so it is not shown.
    """

    path: Path
    database_url: str | None = field(
        default_factory=lambda: os.environ.get(DATABASE_VARIABLE) or None, repr=False
    )

    @classmethod
    def default(cls) -> "Home":
        """``$GIGAWATT_HOME``, or the user's data folder (XDG base directory specification)."""
        named = os.environ.get("GIGAWATT_HOME")
        if named:
            return cls(Path(named))
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data) / "gigawatt")

    @property
    def fleet_path(self) -> Path:
        """YAML of the imported fleet; absent while the demo fleet is in use."""
        return self.path / "fleet.yaml"

    @property
    def login_path(self) -> Path:
        """YAML of how people log in; absent while API keys alone are used."""
        return self.path / "login.yaml"

    @property
    def payments_path(self) -> Path:
        """YAML of how invoices are paid; absent while transfers alone are written down."""
        return self.path / "payments.yaml"

    @property
    def site_path(self) -> Path:
        """YAML of the drivers of the site; absent while every device is fake."""
        return self.path / "site.yaml"

    @property
    def secrets_key_path(self) -> Path:
        """The key of the secrets in the store, unless the surroundings name another file."""
        return self.path / "secrets.key"

    @property
    def drivers_path(self) -> Path:
        """Folders of the drivers: their ledgers and files."""
        return self.path / "drivers"

    @property
    def store_path(self) -> Path:
        """The file that holds the store, unless a database does."""
        return self.path / "store.sqlite"

    @property
    def store_place(self) -> str | Path:
        """Where the store is: the database if there is one, else the file."""
        return self.database_url or self.store_path

    @property
    def devices_path(self) -> Path:
        """The memory of the fake devices: they live on when the control plane stops."""
        return self.path / "devices.sqlite"

    @property
    def log_path(self) -> Path:
        """What detached workers write."""
        return self.path / "worker.log"

    def make(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            DataError: it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the folder {self.path} cannot be made: {error.strerror}",
                next_step="Set GIGAWATT_HOME to a folder that you may write to.",
            ) from error

    def fleet(self) -> Fleet:
        """The imported fleet, or the demo fleet.

        Raises:
            InputError: the YAML is not a fleet.
        """
        if not self.fleet_path.exists():
            return hgx_fleet(DEMO_GPU_COUNT)
        return read_fleet(self.fleet_path)


def read_text(path: Path) -> str:
    """The text of a file that a person named.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path} cannot be read: {why}", next_step="Give a text file that you may read."
        ) from error


def read_fleet(path: Path) -> Fleet:
    """The fleet in a YAML file.

    Raises:
        InputError: the file cannot be read, or is not a fleet.
    """
    return load_fleet(read_text(path), path.name)
