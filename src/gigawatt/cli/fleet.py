"""``gw fleet``: what exists, who holds it, and how it comes in."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, QuietOption, YesOption, new_group

app = new_group("Show, draw, check and import the fleet.")


class Source(StrEnum):
    """Formats that a fleet is imported from."""

    YAML = "yaml"
    IBNETDISCOVER = "ibnetdiscover"
    SLURM = "slurm"


class Demo(StrEnum):
    """Made-up fleets that ship with the product."""

    DEMO = "demo"
    SMALL = "small"
    MIXED = "mixed"
    NVL72 = "nvl72"


@app.command()
def show(
    nodes: Annotated[bool, typer.Option("--nodes", help="One line a node.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what there is, and how much of it is free.

    Example: gw fleet show --nodes -o json
    """
    backend.floor.show(output, nodes=nodes)


@app.command("map")
def map_(
    svg: Annotated[Path | None, typer.Option("--svg", help="Also write an SVG file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Also write a PNG file.")] = None,
) -> None:
    """Draw the floor, and who holds what, in the terminal or as a picture.

    Example: gw fleet map --png fleet.png
    """
    backend.floor.draw(svg, png)


@app.command()
def power(output: OutputOption = Format.TABLE) -> None:
    """Show feeds and the fullest racks: limit, what held nodes may draw, what GPUs report.

    Example: gw fleet power
    """
    backend.rooms.show_power(output)


@app.command()
def stranded(output: OutputOption = Format.TABLE) -> None:
    """Show which sizes still fit, which free GPUs are of no use to them, what would free more.

    Example: gw fleet stranded
    """
    backend.rooms.show_stranded(output)


@app.command()
def find(
    text: Annotated[str, typer.Argument(help="Node, rack, tenant, cluster, state, address, GUID.")],
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List the nodes that have something to do with a text.

    Example: gw fleet find XID
    """
    backend.rooms.find(text, output, quiet=quiet)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A fleet in YAML; left out: yours.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Look for contradictions: wiring, power, addresses. Exit status 2 if there are any.

    Example: gw fleet check site.yaml
    """
    backend.fleets.check(file, output)


@app.command("lint-fabric")
def lint_fabric(output: OutputOption = Format.TABLE) -> None:
    """Judge how the real fabrics are kept: keys, managers' files, ports. Status 2 if badly.

    Example: gw fleet lint-fabric -o json
    """
    backend.floor.lint_fabric(output)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What was discovered, or a fleet in YAML.")],
    source: Annotated[Source, typer.Option("--format", help="What the file is.")] = Source.YAML,
    site: Annotated[str, typer.Option("--site", help="Site of a discovered fabric.")] = "site-a",
    country: Annotated[str, typer.Option("--country", help="Its country, two letters.")] = "US",
    node_type: Annotated[
        str, typer.Option("--node-type", help="Its nodes, by their name in the catalogue.")
    ] = "hgx-h100",
    name: Annotated[str, typer.Option("--name", help="Name of the fleet.")] = "site",
    allow_notes: Annotated[
        bool, typer.Option("--allow-notes", help="Import although the check has notes.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Take a fleet from a file: check it, show it, ask, and use it from then on.

    For this computer's own control plane, also when a server is configured.

    Example: gw fleet import ib.txt --format ibnetdiscover --node-type hgx-h100
    """
    place = backend.fleets.Found(source.value, name, site, country, node_type)
    backend.fleets.import_file(file, place, yes=yes, allow_notes=allow_notes)


@app.command()
def use(
    which: Annotated[Demo, typer.Argument(help="Which made-up fleet.")],
    yes: YesOption = False,
) -> None:
    """Use one of the made-up fleets: demo has 10,000 GPUs, small 512, mixed three types.

    For this computer's own control plane, also when a server is configured.

    Example: gw fleet use mixed
    """
    backend.fleets.use(which.value, yes=yes)
