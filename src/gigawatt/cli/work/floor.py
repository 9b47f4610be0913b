"""The fleet as it is shown: in numbers, node by node, drawn."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rich.text import Text

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    console,
    count_of,
    pairs,
    remarks,
    show_document,
    table,
    width_of,
    write,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.cli.work.views import cannot_write
from gigawatt.errors import InputError
from gigawatt.fleet.drawing.paint import CLUSTER_COLOURS
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

MAP_WIDTH = 100
"""Where nobody looks, the map is this wide."""

NODE_COLUMNS = ("node", "state", "cluster", "rack", "leaf group", "pod", "type", "site")

STYLES = {
    "free": "dim",
    "spare": "bold",
    "drained": "bold yellow",
    "quarantined": "bold red",
    "title": "bold",
    "label": "",
    **{f"held-{i}": f"bold {colour}" for i, colour in enumerate(CLUSTER_COLOURS)},
}
"""How a terminal shows the styles of the map; the greys of paper are hard to tell on black."""


def summary(fleet: doc.Fleet) -> list[tuple[str, str]]:
    """What a fleet is made of, in words."""
    places = ", ".join(f"{site.site_id} ({site.country})" for site in fleet.sites)
    halls, racks = count_of(fleet.hall_count, "hall"), count_of(fleet.rack_count, "rack")
    return [
        ("GPUs", f"{fleet.gpu_count:,} in {count_of(fleet.node_count, 'node')}"),
        ("places", f"{places}; {halls}, {racks}"),
        *(("nodes", line) for line in _type_lines(fleet)),
        *(("fabrics", line) for line in _fabric_lines(fleet)),
    ]


def _type_lines(fleet: doc.Fleet) -> Iterator[str]:
    for kind in fleet.node_types:
        price = format_usd(kind.price_micro_usd_per_gpu_hour)
        nics = count_of(kind.nic_count_per_node, "NIC")
        has = f"{kind.gpu_count_per_node} {kind.gpu_type} and {nics} each"
        yield f"{kind.node_count:,} {kind.name}: {has}, {price} a GPU-hour (list price)"


def _fabric_lines(fleet: doc.Fleet) -> Iterator[str]:
    for fabric in fleet.fabrics:
        yield (
            f"{fabric.fabric_id} ({fabric.kind}): {count_of(fabric.pod_count, 'pod')}, "
            f"{count_of(fabric.leaf_group_count, 'leaf group')}, "
            f"{count_of(fabric.switch_count, 'switch', 'switches')}"
        )


def _state_of(node: doc.Node) -> str:
    """The worst that is true of a node."""
    if node.state != "available":
        return node.state
    if not node.status.holders:
        return "free"
    return "spare" if node.status.holders[0].role == "spare" else "held"


def _node_cells(connection: Connection, node: doc.Node) -> list[str]:
    at, holders = node.config, node.status.holders
    owner = holders[0] if holders else None
    label = f"{owner.cluster_name} of {connection.project_name(owner.project_id)}" if owner else "-"
    places = [at.rack_id, at.leaf_group_id, at.pod_id, at.node_type, at.site_id]
    return [node.id, _state_of(node), label, *places]


def node_listing(connection: Connection, empty: str) -> Listing[doc.Node]:
    """How a list of nodes is shown, and what is said where there is none."""
    return Listing(NODE_COLUMNS, lambda node: tuple(_node_cells(connection, node)), empty)


def lint_fabric(form: Format) -> None:
    """Show what is wrong with how the fabrics are kept.

    Raises:
        InputError: something is.
    """
    with connected() as connection:
        found = connection.client.lint_fabric()
    if form is not Format.TABLE:
        write(found.model_dump(mode="json"), form)
    count = sum(len(fabric.findings) for fabric in found.fabrics)
    if form is Format.TABLE:
        for fabric in found.fabrics:
            _show_linted(fabric)
    if count:
        raise InputError(
            f"{count_of(count, 'finding')} about how the fabrics are kept",
            next_step="Do what is said beside each; then run 'gw fleet lint-fabric' again.",
        )


def _show_linted(fabric: doc.LintedFabric) -> None:
    if not fabric.is_judged:
        console.print(f"Fabric {fabric.fabric_id}: its driver cannot be judged; nothing is known.")
    elif not fabric.findings:
        console.print(f"Fabric {fabric.fabric_id} is kept well.")
    for finding in fabric.findings:
        pairs(
            f"Fabric {fabric.fabric_id}: {finding.rule}",
            [("where", finding.where), ("what", finding.reason), ("next", finding.next_step)],
        )


def show(form: Format, *, nodes: bool) -> None:
    """Show the fleet and how much of it is free."""
    with connected() as connection:
        if not nodes:
            _show_numbers(connection.client.get_fleet(), form)
            return
        wanted = doc.NodeFilter(limit=PAGE_LIMIT)
        found = list(connection.client.pages(partial(calls.list_nodes, wanted)))
        if form is not Format.TABLE:
            write([node.model_dump(mode="json") for node in found], form)
            return
        table(NODE_COLUMNS, [_node_cells(connection, node) for node in found])


def _show_numbers(fleet: doc.Fleet, form: Format) -> None:
    if form is not Format.TABLE:
        show_document(fleet, form)
        return
    use = ", ".join(f"{count:,} {state}" for state, count in fleet.node_states.items() if count)
    free = f"{fleet.free_gpu_count:,} GPUs"
    pairs(f"Fleet {fleet.name!r}", [*summary(fleet), ("in use", f"{use} nodes"), ("free", free)])


def draw(svg: Path | None, png: Path | None) -> None:
    """Draw the floor in the terminal, and into files."""
    with connected() as connection:
        draw_with(connection, svg, png)


def draw_with(connection: Connection, svg: Path | None, png: Path | None) -> None:
    """Draw the floor over one connection.

    Raises:
        InputError: a file cannot be written.
    """
    width = max(40, width_of(console) or MAP_WIDTH)
    for row in connection.client.get_fleet_drawing(width=width).rows:
        line = Text()
        for cell in row:
            line.append(cell.text, style=STYLES.get(cell.style, ""))
        console.print(line)
    if svg is not None:
        _write(svg, connection.client.get_fleet_picture(picture_format="svg"))
    if png is not None:
        _write(png, connection.client.get_fleet_picture(picture_format="png"))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error) from error
    remarks.print(f"wrote {path}")
