"""The site file: which drivers serve the planes of a site, and their settings.

``site.yaml`` in the home has each plane with a list of drivers:

    fabric:
    - driver: opensm
      fabrics: [...]
    host:
    - driver: fake

The settings of a driver are its own model, ``gigawatt.drivers.NAME.settings``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.errors import InputError
from gigawatt.fleet.yaml_tree import YamlTree, read_yaml

FAKE = "fake"
"""Name of the driver behind which nothing is real; it takes what no other of its plane has."""

DRIVERS: Mapping[str, Plane] = MappingProxyType(
    {
        "opensm": Plane.FABRIC,
        "ufm": Plane.FABRIC,
        "evpn": Plane.IN_BAND,
        "redfish": Plane.OUT_OF_BAND,
        "btrfs": Plane.STORAGE,
        "cephfs": Plane.STORAGE,
        "guests": Plane.HOST,
        "metal": Plane.HOST,
    }
)
"""Plane of each driver by its name; EVPN serves a RoCE fabric as well as the in-band network."""

_FURTHER_PLANES: Mapping[str, frozenset[Plane]] = {"evpn": frozenset({Plane.FABRIC})}


class FakeSettings(BaseModel):
    """The fake devices of one plane: nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["fake"] = "fake"


@dataclass(frozen=True, slots=True)
class DriverPart:
    """One driver of the site file.

    Fields: number is its place in its plane's list; settings are of the driver's own model.
    """

    plane: Plane
    number: int
    driver: str
    settings: BaseModel

    @property
    def name(self) -> str:
        """What it is called, e.g. ``fabric-0``."""
        return f"{self.plane}-{self.number}"


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site file that was read; ``tree`` tells lines."""

    tree: YamlTree
    parts: tuple[DriverPart, ...]

    def wrong(self, part: DriverPart, sentence: str) -> InputError:
        """An error at the place of a driver."""
        return self.tree.wrong((part.plane, part.number), sentence)

    def of_plane(self, plane: Plane) -> tuple[DriverPart, ...]:
        """The drivers of a plane, in their order."""
        return tuple(part for part in self.parts if part.plane is plane)


def parse_site(text: str, source: str = "site.yaml") -> SiteFile:
    """The site file in a text.

    Raises:
        InputError: it is none; says the line, the field, and what is wanted.
    """
    tree = read_yaml(text, source)
    if not isinstance(tree.data, dict):
        raise tree.wrong((), f"wanted a mapping of {', '.join(PLANES)}")
    for name in tree.data:
        if name not in PLANES:
            raise tree.wrong((name,), f"no such plane; wanted {', '.join(PLANES)}")
    parts: list[DriverPart] = []
    for plane in PLANES:
        drivers = tree.data.get(plane)
        if plane not in tree.data:
            raise tree.wrong((), f"plane {plane} has no driver; 'driver: fake' if nothing is real")
        if not isinstance(drivers, list) or not drivers:
            raise tree.wrong((plane,), "wanted a list of one driver or more")
        parts += [_part(tree, plane, number, own) for number, own in enumerate(drivers)]
        fakes = [p for p in parts if p.plane is plane and p.driver == FAKE]
        if len(fakes) > 1:
            raise tree.wrong((plane, fakes[1].number), "a second 'fake' would have nothing to do")
    return SiteFile(tree, tuple(parts))


def _part(tree: YamlTree, plane: Plane, number: int, own: object) -> DriverPart:
    place = (plane, number)
    name = own.get("driver") if isinstance(own, dict) else None
    if not isinstance(own, dict) or not isinstance(name, str):
        raise tree.wrong(place, "wanted a mapping with 'driver' and that driver's settings")
    if name == FAKE:
        model: type[BaseModel] = FakeSettings
    else:
        if plane not in planes_of(name):
            fitting = [other for other in DRIVERS if plane in planes_of(other)]
            raise tree.wrong(
                (*place, "driver"),
                f"no driver {name!r} of plane {plane}; wanted {', '.join([*fitting, FAKE])}",
            )
        try:
            model = settings_model(name)
        except ModuleNotFoundError as error:
            raise tree.wrong(
                (*place, "driver"), f"driver {name!r} cannot be loaded here: {error}"
            ) from error
    try:
        return DriverPart(plane, number, name, model.model_validate(own))
    except ValidationError as error:
        first, *more = error.errors(include_url=False, include_input=False)
        rest = f" (and {len(more)} more)" if more else ""
        raise tree.wrong((*place, *first["loc"]), first["msg"] + rest) from error


def planes_of(driver: str) -> frozenset[Plane]:
    """Planes that a driver can serve; empty if there is no such driver."""
    own = {DRIVERS[driver]} if driver in DRIVERS else set()
    return frozenset(own) | _FURTHER_PLANES.get(driver, frozenset())


def settings_model(driver: str) -> type[BaseModel]:
    """The settings of a driver of ``DRIVERS``: the model whose field ``driver`` names it.

    Raises:
        ModuleNotFoundError: it is not installed, or something that it needs is not.
    """
    module = import_module(f"gigawatt.drivers.{driver}.settings")
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get("driver")
            if field is not None and driver in get_args(field.annotation):
                return found
    raise AssertionError(f"{module.__name__} has no settings with driver {driver!r}")
