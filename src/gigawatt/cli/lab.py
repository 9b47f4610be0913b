"""``gw lab``: real components of a site on this machine, and a control plane over them."""

from enum import StrEnum
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, bytes_of, new_group

app = new_group("Run the five planes for real on this machine, at once, and leave nothing behind.")


class Engine(StrEnum):
    """What holds the lab's file systems."""

    BTRFS = "btrfs"
    CEPHFS = "cephfs"


class Manager(StrEnum):
    """Who is asked for partitions of the compute fabric."""

    OPENSM = "opensm"
    UFM = "ufm"


class Guests(StrEnum):
    """What the lab's guests boot."""

    SMALL = "small"
    DEBIAN = "debian"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the lab.")]
LabOption = Annotated[str, typer.Option("--lab", metavar="NAME", help="Name of the lab.")]
Nodes = Annotated[int, typer.Option("--nodes", help="Nodes of 8 GPUs and 8 NICs.", min=2)]
Hypervisors = Annotated[
    int, typer.Option("--hypervisors", help="Of these, how many run guests.", min=0)
]
Spines = Annotated[int, typer.Option("--spines", help="Spines of the in-band network.", min=1)]
Leaves = Annotated[int, typer.Option("--leaves", help="Leaves of the in-band network.", min=1)]
Storage = Annotated[Engine, typer.Option("--storage", help="What holds file systems.")]
StorageSize = Annotated[
    str, typer.Option("--storage-size", metavar="SIZE", help="What the storage holds, e.g. 4GiB.")
]
S3 = Annotated[bool, typer.Option("--s3", help="Doors for objects; with --storage cephfs.")]
Fabric = Annotated[
    Manager, typer.Option("--fabric", help="OpenSM alone, or our emulator of UFM over it.")
]
GuestsOption = Annotated[
    Guests,
    typer.Option("--guests", help="What guests boot: a few MB in seconds, or Debian in minutes."),
]
FabricOnly = Annotated[
    bool, typer.Option("--fabric-only", help="The compute fabric alone, up to 1,250 nodes.")
]
Standby = Annotated[bool, typer.Option("--standby", help="A second subnet manager on each subnet.")]


@app.command()
def up(
    name: NameArgument = "lab",
    nodes: Nodes = 16,
    hypervisors: Hypervisors = 2,
    spines: Spines = 2,
    leaves: Leaves = 4,
    storage: Storage = Engine.BTRFS,
    storage_size: StorageSize = "4GiB",
    s3: S3 = False,
    fabric: Fabric = Manager.OPENSM,
    guests: GuestsOption = Guests.SMALL,
    fabric_only: FabricOnly = False,
    standby: Standby = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Start a lab and a control plane over it, and say how to talk to it; needs root.

    Example: sudo -E gw lab up
    """
    wish = {
        "node_count": nodes,
        "hypervisor_count": hypervisors,
        "spine_count": spines,
        "leaf_count": leaves,
        "storage": storage.value,
        "storage_bytes": bytes_of(storage_size),
        "has_s3": s3,
        "fabric": fabric.value,
        "guest_image": guests.value,
        "is_fabric_only": fabric_only,
        "has_standby": standby,
    }
    backend.labs.up(name, wish, output)


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the lab; all if left out.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the labs of this machine, their parts, and what ails them.

    Example: gw lab status
    """
    backend.labs.show(name, output)


@app.command()
def down(
    name: NameArgument = "lab",
    keep_logs: Annotated[
        bool, typer.Option("--keep-logs", help="Leave what its programs said.")
    ] = False,
) -> None:
    """Take a lab down, and leave nothing of it; needs root.

    Example: sudo -E gw lab down
    """
    backend.labs.down(name, keep_logs=keep_logs)


@app.command()
def logs(
    part: Annotated[
        str, typer.Argument(metavar="PART", help="Only programs whose name starts so.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lab: LabOption = "lab",
) -> None:
    """Show the last lines of what a lab's programs say.

    Example: gw lab logs control -f
    """
    backend.labs.show_logs(lab, part, is_followed=follow)


@app.command()
def audit(
    name: NameArgument = "lab",
    expect_empty: Annotated[
        bool, typer.Option("--expect-empty", help="Fail unless nothing is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --output json.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List what of any tenant is in a lab, by the components' own tools; needs root.

    Example: sudo -E gw lab audit --expect-empty
    """
    form = Format.JSON if as_json else output
    backend.labs.show_audit(name, is_empty_expected=expect_empty, form=form)


@app.command(context_settings={"ignore_unknown_options": True})
def shell(
    where: Annotated[
        str,
        typer.Argument(
            metavar="WHERE",
            help="A node's id, a switch, 'management', 'outside', 'fabric', or any other place.",
        ),
    ] = "management",
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="Run this instead of a shell.")
    ] = None,
    lab: LabOption = "lab",
) -> None:
    """Go to a place in a lab, or run a command there; needs root.

    Example: sudo -E gw lab shell fabric -- ibnetdiscover
    """
    backend.labs.enter(lab, where, command or [])
