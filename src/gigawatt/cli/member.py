"""``gw member``: the people and programs of an organisation."""

from enum import StrEnum
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, QuietOption, YesOption, new_group
from gigawatt.cli.project import OrganisationOption

app = new_group("Add people and programs, give them roles, remove them.")


class Role(StrEnum):
    """What an account is for."""

    OWNER = "owner"
    OPERATOR = "operator"
    MEMBER = "member"
    BILLING = "billing"
    READ_ONLY = "read_only"


MemberArgument = Annotated[str, typer.Argument(help="Name or id (acc_...).")]
RoleArgument = Annotated[Role, typer.Argument(help="What it may do.")]


@app.command("list")
def list_(
    organisation: OrganisationOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List the accounts of an organisation.

    Example: gw member list
    """
    backend.accounts.list_members(organisation, output, quiet=quiet)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Its name.")],
    role: Annotated[Role, typer.Option("--role", "-r", help="What it may do.")] = Role.MEMBER,
    service: Annotated[bool, typer.Option("--service", help="A program, not a person.")] = False,
    organisation: OrganisationOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Add an account; make its key with 'gw key create --for'.

    Example: gw member add mia --role read_only
    """
    wanted = backend.accounts.NewMember(name, role.value, organisation, is_service=service)
    backend.accounts.add_member(wanted, output, quiet=quiet)


@app.command()
def role(
    member: MemberArgument, role: RoleArgument, organisation: OrganisationOption = None
) -> None:
    """Give an account another role.

    Example: gw member role mia owner
    """
    backend.accounts.change_role(member, role.value, organisation)


@app.command()
def remove(
    member: MemberArgument, organisation: OrganisationOption = None, yes: YesOption = False
) -> None:
    """Remove an account; its keys end at once.

    Example: gw member remove mia
    """
    backend.accounts.remove_member(member, organisation, yes=yes)
