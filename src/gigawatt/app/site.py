"""Opens the drivers of a site from its site file, each for the devices that are its own."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

from gigawatt.app.home import Home, read_text
from gigawatt.app.site_file import FAKE, DriverPart, SiteFile, parse_site
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.drivers.by_device import DriverByDevice, DriverShare
from gigawatt.drivers.fake.driver import FakeDriver
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.shadow import ShadowedDriver
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.drivers.opening import Opening
from gigawatt.errors import DataError, GigawattError, InputError
from gigawatt.executor.reconcile import devices_of
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId
from gigawatt.interfaces.driver import Driver

_KIND_FILE = "driver"
"""File in a driver's folder that names the driver to whom the notes beside it belong."""


@dataclass(frozen=True, slots=True)
class DriverInUse:
    """One driver of a plane, as people are told: its name and how many devices it has."""

    plane: Plane
    driver: str
    device_count: int


def drivers_in_use(fleet: Fleet, drivers: Mapping[Plane, Driver]) -> tuple[DriverInUse, ...]:
    """What drives the planes of a fleet, in the order of the planes."""
    found: list[DriverInUse] = []
    for plane in PLANES:
        driver = drivers[plane]
        if isinstance(driver, DriverByDevice):
            found += [DriverInUse(plane, share.name, len(share.devices)) for share in driver.shares]
        else:
            found.append(DriverInUse(plane, FAKE, len(_devices(fleet, plane))))
    return tuple(found)


@contextmanager
def open_site(home: Home, opening: Opening) -> Iterator[dict[Plane, Driver]]:
    """The drivers that the site file of ``home`` names, closed at the end.

    ``opening`` is what all of them get, but for the folder: each has its own.

    Raises:
        InputError: the file is no site file; a driver cannot be opened with its settings; or a
            device has no driver, or two.
    """
    site = parse_site(read_text(home.site_path), str(home.site_path))
    with ExitStack() as stack:
        world: DeviceWorld | None = None
        if any(part.driver == FAKE for part in site.parts):
            states = FileStates(home.devices_path)
            stack.callback(states.close)
            world = DeviceWorld(opening.fleet, states)
        opened: dict[str, Driver] = {}
        for part in site.parts:
            if part.driver == FAKE:
                assert world is not None, "opened above"
                opened[part.name] = FakeDriver(part.plane, world, Faults(), opening.clock)
            else:
                opened[part.name] = _open(home, site, part, opening, stack)
        drivers: dict[Plane, Driver] = {
            plane: _plane(site, plane, opened, opening.fleet, world) for plane in PLANES
        }
        _introduce(opened, drivers)
        yield drivers


def _devices(fleet: Fleet, plane: Plane) -> tuple[DeviceId, ...]:
    return tuple(device for own, device in devices_of(fleet) if own is plane)


def _open(
    home: Home, site: SiteFile, part: DriverPart, opening: Opening, stack: ExitStack
) -> Driver:
    folder = home.drivers_path / part.name
    _keep_apart(site, part, folder)
    try:
        module = import_module(f"gigawatt.drivers.{part.driver}.opening")
    except ModuleNotFoundError as error:
        raise site.wrong(part, f"driver {part.driver!r} cannot be loaded here: {error}") from error
    try:
        opener = getattr(module, f"open_{part.driver}")
        driver = opener(part.settings, replace(opening, folder=folder))
    except GigawattError as error:
        raise InputError(str(site.wrong(part, str(error))), next_step=error.next_step) from error
    close = getattr(driver, "close", None)
    if close is not None:
        stack.callback(close)
    if driver.plane is not part.plane:
        raise site.wrong(part, f"these settings of {part.driver!r} serve plane {driver.plane}")
    return cast("Driver", driver)


def _keep_apart(site: SiteFile, part: DriverPart, folder: Path) -> None:
    """See that a driver does not take another one's notes for its own.

    Raises:
        DataError: the folder cannot be written.
        InputError: the folder is another driver's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / _KIND_FILE
        former = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
        if not former:
            mark.write_text(f"{part.driver}\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"the folder {folder} of driver {part.driver!r} cannot be used: {error.strerror}"
        ) from error
    if former not in {"", part.driver}:
        raise site.wrong(
            part,
            f"here was driver {former!r}, whose notes are in {folder}; add drivers at the end of"
            " the list, or move that folder away when its devices hold nothing",
        )


def _plane(
    site: SiteFile,
    plane: Plane,
    opened: Mapping[str, Driver],
    fleet: Fleet,
    world: DeviceWorld | None,
) -> DriverByDevice:
    """The drivers of one plane, every device in the hands of one.

    Raises:
        InputError: a device has no driver, or two.
    """
    rest = dict.fromkeys(_devices(fleet, plane))
    real = [part for part in site.of_plane(plane) if part.driver != FAKE]
    shares: list[DriverShare] = []
    holder: dict[DeviceId, DriverPart] = {}
    for part in real:
        driver = opened[part.name]
        own = frozenset(device for device in rest if _claims(driver, device))
        twice = [device for device in own if device in holder]
        if twice:
            raise site.wrong(
                part,
                f"{min(twice)} is a device of {holder[min(twice)].name} already"
                + (f", and {len(twice) - 1} more are" if len(twice) > 1 else ""),
            )
        if not own:
            raise site.wrong(part, f"driver {part.driver!r} has no device of the fleet")
        holder |= dict.fromkeys(own, part)
        if world is not None:
            driver = ShadowedDriver(driver, world)
        shares.append(DriverShare(part.driver, driver, own))
    left = [device for device in rest if device not in holder]
    fakes = [part for part in site.of_plane(plane) if part.driver == FAKE]
    if fakes:
        if not left:
            raise site.wrong(fakes[0], "'fake' has nothing to do: real drivers have every device")
        shares.append(DriverShare(FAKE, opened[fakes[0].name], frozenset(left)))
    elif left:
        raise site.wrong(
            real[-1],
            f"no driver of plane {plane} has {left[0]}"
            + (f", nor {len(left) - 1} more" if len(left) > 1 else "")
            + "; add them to the settings, or a driver 'fake' for them",
        )
    return DriverByDevice(plane, fleet, shares)


def _claims(driver: Driver, device: DeviceId) -> bool:
    """Whether a device is a driver's own; a driver that cannot tell has its whole plane."""
    knows = getattr(driver, "knows", None)
    return True if knows is None else bool(knows(device))


def _introduce(opened: Mapping[str, Driver], drivers: Mapping[Plane, Driver]) -> None:
    """Let drivers that judge by another plane ask its driver."""
    for driver in opened.values():
        know = getattr(driver, "know_networks", None)
        if know is not None:
            networks = import_module("gigawatt.drivers.storage.networks")
            know(networks.PortNetworks(drivers[Plane.IN_BAND]))
