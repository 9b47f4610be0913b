"""``gw file-system``: file systems that outlive clusters."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    ProjectOption,
    QuietOption,
    WhoseOption,
    YesOption,
    bytes_of,
    new_group,
)

app = new_group("Make file systems that outlive clusters, resize them, delete them.")

FileSystemArgument = Annotated[str, typer.Argument(help="Name or id (fsy_...).")]
Size = Annotated[str, typer.Option("--size", help="Its quota, e.g. 50TiB.", metavar="SIZE")]


@app.command("list")
def list_(output: OutputOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List file systems, newest first.

    Example: gw file-system list
    """
    backend.storage.list_file_systems(output, quiet=quiet)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    size: Size,
    site: Annotated[str | None, typer.Option("--site", help="Site that it is at.")] = None,
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a file system.

    Example: gw file-system create data --size 50TiB
    """
    backend.storage.create(name, bytes_of(size), site, project, output)


@app.command()
def resize(
    file_system: FileSystemArgument,
    size: Size,
    project: WhoseOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give a file system another quota; it never falls below what is in it.

    Example: gw file-system resize data --size 100TiB
    """
    backend.storage.resize(file_system, bytes_of(size), project, output)


@app.command()
def delete(
    file_system: FileSystemArgument, project: WhoseOption = None, yes: YesOption = False
) -> None:
    """Delete a file system that no cluster mounts, with all its data.

    Example: gw file-system delete data
    """
    backend.storage.delete(file_system, project, yes=yes)


@app.command("s3")
def s3(
    file_system: FileSystemArgument,
    project: WhoseOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say where the objects of a file system are reached, and with which key.

    Example: gw file-system s3 data
    """
    backend.storage.show_s3(file_system, project, output)


@app.command("s3-key")
def s3_key(
    file_system: FileSystemArgument,
    project: WhoseOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Open the door for objects, and make its key; shown once, and the former key ends.

    Example: gw file-system s3-key data
    """
    backend.storage.rotate_s3_key(file_system, project, output)


@app.command("s3-shut")
def s3_shut(
    file_system: FileSystemArgument, project: WhoseOption = None, yes: YesOption = False
) -> None:
    """Shut the door for objects, and delete all of them.

    Example: gw file-system s3-shut data
    """
    backend.storage.shut_s3(file_system, project, yes=yes)
