"""The fleet of this computer: checked, and taken from a file. What it looks like: ``floor``."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gigawatt.app.fleet_views import untouched
from gigawatt.app.home import Home, read_fleet, read_text
from gigawatt.app.wiring import open_control
from gigawatt.cli.options import Format
from gigawatt.cli.output import ask, console, count_of, pairs, remarks, write
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.cli.work.floor import summary
from gigawatt.cli.work.views import cannot_write
from gigawatt.errors import ConflictError, InputError
from gigawatt.fleet.catalogue import node_type as catalogue_type
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import fleet_by_name
from gigawatt.fleet.discovery.ibnetdiscover import fleet_from_ibnetdiscover
from gigawatt.fleet.discovery.slurm_topology import fleet_from_slurm_topology
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.fleet.yaml_format import load_fleet
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

NOTES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a person says of a file that a fleet comes from; see the options of the command."""

    source: str
    name: str
    site: str
    country: str
    node_type: str


def _refuse(name: str, notes: Sequence[doc.FleetNote], next_step: str) -> InputError:
    for note in notes[:NOTES_SHOWN_MAX]:
        remarks.print(f"  {note.place}: {note.sentence} [{note.rule}]")
    if len(notes) > NOTES_SHOWN_MAX:
        remarks.print(f"  and {len(notes) - NOTES_SHOWN_MAX:,} more")
    return InputError(
        f"fleet {name!r} contradicts itself in {count_of(len(notes), 'place')}",
        next_step=next_step,
    )


def check(file: Path | None, form: Format) -> None:
    """Look for contradictions in a fleet.

    Raises:
        InputError: there are some.
    """
    summed_up, notes = _own_fleet() if file is None else _fleet_in(file)
    if form is not Format.TABLE:
        write([note.model_dump(mode="json") for note in notes], form)
    if notes:
        raise _refuse(summed_up.name, notes, "Mend the file where it is named above.")
    if form is Format.TABLE:
        pairs(f"Fleet {summed_up.name!r} is sound", summary(summed_up))


def _own_fleet() -> tuple[doc.Fleet, list[doc.FleetNote]]:
    """The fleet in use, and what contradicts itself in it."""
    with connected() as connection:
        notes = list(connection.client.pages(calls.list_fleet_notes, limit=PAGE_LIMIT))
        return connection.client.get_fleet(), notes


def _fleet_in(file: Path) -> tuple[doc.Fleet, list[doc.FleetNote]]:
    """The fleet in a file, and what contradicts itself in it."""
    fleet = read_fleet(file)
    return untouched(fleet), _notes_of(fleet)


def _notes_of(fleet: Fleet) -> list[doc.FleetNote]:
    found = check_fleet(fleet)
    return [doc.FleetNote(rule=n.rule, place=n.place, sentence=n.sentence) for n in found]


def _read(file: Path, found: Found) -> tuple[Fleet, str]:
    """The fleet in a file, and the YAML that will be kept: a YAML file as it is."""
    text = read_text(file)
    if found.source == "yaml":
        return load_fleet(text, file.name), text
    node_type = catalogue_type(found.node_type)
    if found.source == "slurm":
        fleet = fleet_from_slurm_topology(
            text,
            name=found.name,
            site_id=found.site,
            country=found.country,
            node_type=node_type,
        )
    else:
        fleet = fleet_from_ibnetdiscover(
            text,
            name=found.name,
            site_id=found.site,
            country=found.country,
            node_type_of=lambda _name, _nic_count: node_type,
        )
    return fleet, dump_fleet(fleet)


def _refuse_if_in_use(home: Home) -> None:
    """Refuse to change the fleet under what is held.

    Raises:
        ConflictError: something is held.
    """
    with open_control(home) as control:
        snapshot = control.around.store.snapshot(control.around.clock.now_s())
    if snapshot.clusters or snapshot.allocations or snapshot.tombstones:
        names = ", ".join(sorted({record.name for record in snapshot.clusters.values()})[:5])
        raise ConflictError(
            f"the fleet cannot be changed while clusters hold parts of it: {names or 'tombstones'}",
            next_step="Release them first, or use another folder: set GIGAWATT_HOME.",
        )


def _keep(home: Home, text: str) -> None:
    """Put a fleet's YAML in place, whole or not at all.

    Raises:
        InputError: it cannot be written.
        StorageFullError: the disk is full.
    """
    home.make()
    try:
        handle, name = tempfile.mkstemp(dir=home.path, prefix="fleet.", suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(home.fleet_path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(home.fleet_path, error) from error


def import_file(file: Path, found: Found, *, yes: bool, allow_notes: bool) -> None:
    """Take a fleet from a file.

    Raises:
        InputError: the file holds no fleet, or one that contradicts itself.
        ConflictError: clusters hold parts of the fleet in use.
    """
    home = Home.default()
    fleet, text = _read(file, found)
    notes = _notes_of(fleet)
    if notes and (found.source == "yaml" or not allow_notes):
        raise _refuse(fleet.name, notes, "Mend the fabric or the file, or add --allow-notes.")
    _refuse_if_in_use(home)
    pairs(f"Fleet {fleet.name!r} from {file}", summary(untouched(fleet)))
    if not yes and not ask(f"Use it in {home.path} from now on?"):
        remarks.print("nothing was changed")
        return
    _keep(home, text)
    console.print("done; see it: gw fleet map")


def use(which: str, *, yes: bool) -> None:
    """Use one of the made-up fleets.

    Raises:
        ConflictError: clusters hold parts of the fleet in use.
    """
    home = Home.default()
    fleet = fleet_by_name(which)
    _refuse_if_in_use(home)
    pairs(f"Fleet {fleet.name!r}, made up", summary(untouched(fleet)))
    if not yes and not ask(f"Use it in {home.path} from now on?"):
        remarks.print("nothing was changed")
        return
    _keep(home, dump_fleet(fleet))
    console.print("done; see it: gw fleet map")
