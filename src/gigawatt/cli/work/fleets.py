"""The fleet: shown, drawn, checked, and taken from a file."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigawatt.app.control import Control
from gigawatt.app.fleet_png import write_fleet_png
from gigawatt.app.home import Home, read_fleet, read_text
from gigawatt.app.wiring import open_control
from gigawatt.cli.options import Format
from gigawatt.cli.output import ask, console, count_of, pairs, remarks, table, write
from gigawatt.cli.work.fleetmap import node_views, show_map
from gigawatt.cli.work.views import cannot_write
from gigawatt.errors import ConflictError, InputError
from gigawatt.fleet.catalogue import node_type as catalogue_type
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import fleet_by_name
from gigawatt.fleet.discovery.ibnetdiscover import fleet_from_ibnetdiscover
from gigawatt.fleet.discovery.slurm_topology import fleet_from_slurm_topology
from gigawatt.fleet.drawing.paint import NodeState, paint_nodes
from gigawatt.fleet.drawing.svg import fleet_svg
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.note import Note
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.fleet.yaml_format import load_fleet
from gigawatt.money import format_usd

NOTES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a person says of a file that a fleet comes from; see the options of the command."""

    source: str
    name: str
    site: str
    country: str
    node_type: str


def summary(fleet: Fleet) -> list[tuple[str, str]]:
    """What a fleet is made of, in words."""
    sites = zip(fleet.sites.ids, fleet.sites.country, strict=True)
    places = ", ".join(f"{site} ({country})" for site, country in sites)
    halls, racks = count_of(len(fleet.halls), "hall"), count_of(len(fleet.racks), "rack")
    return [
        ("GPUs", f"{fleet.gpu_count:,} in {count_of(len(fleet.nodes), 'node')}"),
        ("places", f"{places}; {halls}, {racks}"),
        *(("nodes", line) for line in _type_lines(fleet)),
        *(("fabrics", line) for line in _fabric_lines(fleet)),
    ]


def _type_lines(fleet: Fleet) -> Iterator[str]:
    nodes = Counter(fleet.nodes.type.tolist())
    for index, kind in enumerate(fleet.node_types):
        price = format_usd(kind.price_micro_usd_per_gpu_hour)
        has = f"{kind.gpu_count} {kind.gpu_type} and {count_of(kind.nic_count, 'NIC')} each"
        yield f"{nodes[index]:,} {kind.name}: {has}, {price} a GPU-hour (list price)"


def _fabric_lines(fleet: Fleet) -> Iterator[str]:
    pods = Counter(fleet.pods.fabric.tolist())
    groups = Counter(fleet.pods.fabric[fleet.leaf_groups.pod].tolist())
    switches = Counter(fleet.switches.fabric.tolist())
    for index, fabric_id in enumerate(fleet.fabrics.ids):
        yield (
            f"{fabric_id} ({fleet.fabrics.kind[index].value}): {count_of(pods[index], 'pod')}, "
            f"{count_of(groups[index], 'leaf group')}, "
            f"{count_of(switches[index], 'switch', 'switches')}"
        )


def _node_rows(control: Control) -> list[dict[str, Any]]:
    fleet = control.around.fleet
    return [
        {
            "node_id": node_id,
            "type": fleet.node_type(row).name,
            "state": view.state.value,
            "cluster": view.cluster_id or None,
            "site": fleet.sites.ids[int(fleet.site_of_node[row])],
            "rack": fleet.racks.ids[int(fleet.nodes.rack[row])],
            "leaf_group": fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])],
            "pod": fleet.pods.ids[int(fleet.pod_of_node[row])],
        }
        for row, (node_id, view) in enumerate(
            zip(fleet.nodes.ids, node_views(control), strict=True)
        )
    ]


def show(form: Format, *, nodes: bool) -> None:
    """Show the fleet and how much of it is free."""
    with open_control(Home.default()) as control:
        fleet = control.around.fleet
        rows = _node_rows(control)
        free = int(sum(int(mask).bit_count() for mask in control.snapshot().free_gpu_mask.tolist()))
    states = Counter(row["state"] for row in rows)
    if nodes and form is Format.TABLE:
        columns = ("node", "state", "cluster", "rack", "leaf group", "pod", "type", "site")
        keys = ("node_id", "state", "cluster", "rack", "leaf_group", "pod", "type", "site")
        table(columns, [[row[key] or "-" for key in keys] for row in rows])
    elif nodes:
        write(rows, form)
    elif form is Format.TABLE:
        use = ", ".join(f"{states[s]:,} {s.value}" for s in NodeState if states[s])
        lines = [*summary(fleet), ("in use", f"{use} nodes"), ("free", f"{free:,} GPUs")]
        pairs(f"Fleet {fleet.name!r}", lines)
    else:
        document = {
            "name": fleet.name,
            "gpus": fleet.gpu_count,
            "free_gpus": free,
            "nodes": len(fleet.nodes),
            "node_states": {state.value: states[state] for state in NodeState},
            "racks": len(fleet.racks),
            "leaf_groups": len(fleet.leaf_groups),
            "pods": len(fleet.pods),
            "fabrics": list(fleet.fabrics.ids),
            "sites": list(fleet.sites.ids),
        }
        write(document, form)


def draw(svg: Path | None, png: Path | None) -> None:
    """Draw the floor in the terminal, and into files."""
    with open_control(Home.default()) as control:
        draw_with(control, svg, png)


def draw_with(control: Control, svg: Path | None, png: Path | None) -> None:
    """Draw the floor of one control plane.

    Raises:
        InputError: a file cannot be written.
    """
    fleet = control.around.fleet
    paint = paint_nodes(fleet.nodes.ids, node_views(control))
    show_map(fleet, paint)
    title = f"{fleet.name}: {fleet.gpu_count:,} GPUs"
    colours = paint.colour_of_node
    writers: list[tuple[Path | None, Callable[[Path], object]]] = [
        (
            svg,
            lambda path: path.write_text(
                fleet_svg(fleet, colours, paint.legend, title, paint.tooltip_of_node),
                encoding="utf-8",
            ),
        ),
        (png, lambda path: write_fleet_png(fleet, colours, paint.legend, title, path)),
    ]
    for path, draw_to in writers:
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_to(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        remarks.print(f"wrote {path}")


def _refuse(fleet: Fleet, notes: Sequence[Note], next_step: str) -> InputError:
    for note in notes[:NOTES_SHOWN_MAX]:
        remarks.print(f"  {note.place}: {note.sentence} [{note.rule}]")
    if len(notes) > NOTES_SHOWN_MAX:
        remarks.print(f"  and {len(notes) - NOTES_SHOWN_MAX:,} more")
    return InputError(
        f"fleet {fleet.name!r} contradicts itself in {count_of(len(notes), 'place')}",
        next_step=next_step,
    )


def check(file: Path | None, form: Format) -> None:
    """Look for contradictions in a fleet.

    Raises:
        InputError: there are some.
    """
    fleet = Home.default().fleet() if file is None else read_fleet(file)
    notes = check_fleet(fleet)
    if form is not Format.TABLE:
        write([{"rule": n.rule, "place": n.place, "sentence": n.sentence} for n in notes], form)
    if notes:
        raise _refuse(fleet, notes, "Mend the file where it is named above.")
    if form is Format.TABLE:
        pairs(f"Fleet {fleet.name!r} is sound", summary(fleet))


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
    notes = check_fleet(fleet)
    if notes and (found.source == "yaml" or not allow_notes):
        raise _refuse(fleet, notes, "Mend the fabric or the file, or add --allow-notes.")
    _refuse_if_in_use(home)
    pairs(f"Fleet {fleet.name!r} from {file}", summary(fleet))
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
    pairs(f"Fleet {fleet.name!r}, made up", summary(fleet))
    if not yes and not ask(f"Use it in {home.path} from now on?"):
        remarks.print("nothing was changed")
        return
    _keep(home, dump_fleet(fleet))
    console.print("done; see it: gw fleet map")
