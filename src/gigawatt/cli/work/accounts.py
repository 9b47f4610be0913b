"""Projects, members, keys and the audit of calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import typer

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    console,
    moment,
    pairs,
    remarks,
    show_document,
    show_list,
    write,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.cli.work.profiles import place_now
from gigawatt.errors import UnknownIdError
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc
from gigawatt.units import DAY_S

KEEP_IT = "Keep it: it is not shown again, and only its hash is stored."


@dataclass(frozen=True, slots=True)
class NewMember:
    """An account that shall be made; of one's own organisation if none is named."""

    name: str
    role: str
    organisation: str | None
    is_service: bool


def _organisation(connection: Connection, named: str | None) -> str:
    return named or connection.client.who_am_i().organisation_id


def _project_of(connection: Connection, text: str) -> str:
    """Id of a project that is there; none is made by looking at it.

    Raises:
        UnknownIdError: there is none of this id or name.
    """
    found = connection.find_project(text)
    if found is None:
        raise UnknownIdError(f"no project {text!r}", next_step="See 'gw project list'.")
    return found


def _made(document: doc.Project | doc.Account | doc.SshKey, form: Format, *, quiet: bool) -> None:
    """Say what was made."""
    if quiet:
        typer.echo(document.id)
    elif form is not Format.TABLE:
        show_document(document, form)
    else:
        console.print(f"{document.name} is {document.id}")


def list_projects(form: Format, *, quiet: bool) -> None:
    """List the projects that the caller sees."""
    with connected() as connection:
        found = sorted(connection.projects().values(), key=lambda p: (p.organisation_id, p.name))
    listing: Listing[doc.Project] = Listing(
        ("project", "id", "gpus", "organisation"),
        lambda p: (p.name, p.id, f"{p.gpu_count_max:,}", p.organisation_id),
        "no projects; make one: gw project create NAME",
    )
    show_list(found, form, listing, quiet=quiet)


def create_project(name: str, organisation: str | None, form: Format, *, quiet: bool) -> None:
    """Make a project."""
    with connected() as connection:
        made = connection.client.create_project(_organisation(connection, organisation), name)
    _made(made, form, quiet=quiet)
    if form is Format.TABLE and not quiet:
        console.print(f"  next: gw project quota {name} --gpus 512")


def show_project(project: str, form: Format) -> None:
    """Show one project."""
    with connected() as connection:
        found = connection.client.get_project(_project_of(connection, project))
        if form is not Format.TABLE:
            show_document(found, form)
            return
        quota = connection.client.get_quota(found.id)
    lines = [
        ("organisation", found.organisation_id),
        ("GPUs", f"holds {quota.held_gpu_count:,} of {quota.granted_gpu_count:,} granted"),
        ("made", moment(found.created_at.timestamp())),
    ]
    pairs(f"{found.name} ({found.id})", lines)


def show_quota(project: str, gpu_count: int | None, form: Format) -> None:
    """Show a quota, after granting another one if a count is given."""
    with connected() as connection:
        project_id = _project_of(connection, project)
        if gpu_count is None:
            quota = connection.client.get_quota(project_id)
        else:
            quota = connection.client.set_quota(project_id, gpu_count)
        name = connection.project_name(project_id)
    if form is not Format.TABLE:
        show_document(quota, form)
        return
    console.print(
        f"{name} holds {quota.held_gpu_count:,} of {quota.granted_gpu_count:,} GPUs; "
        f"{quota.free_gpu_count_of_fleet:,} are free in the fleet"
    )


def _members(connection: Connection, organisation_id: str) -> Iterator[doc.Account]:
    make = partial(calls.list_accounts, organisation_id)
    return connection.client.pages(make, limit=PAGE_LIMIT)


def _member(connection: Connection, organisation: str | None, text: str) -> str:
    """Id of the account of this id or name.

    Raises:
        UnknownIdError: there is none.
    """
    if text.startswith("acc_"):
        return text
    for account in _members(connection, _organisation(connection, organisation)):
        if account.name == text:
            return account.id
    raise UnknownIdError(f"no member {text!r}", next_step="See 'gw member list'.")


def list_members(organisation: str | None, form: Format, *, quiet: bool) -> None:
    """List the accounts of an organisation."""
    with connected() as connection:
        found = list(_members(connection, _organisation(connection, organisation)))
    listing: Listing[doc.Account] = Listing(
        ("member", "role", "kind", "id"),
        lambda account: (account.name, account.role, account.kind, account.id),
        "no members; add one: gw member add NAME",
    )
    show_list(sorted(found, key=lambda account: account.name), form, listing, quiet=quiet)


def add_member(wanted: NewMember, form: Format, *, quiet: bool) -> None:
    """Add an account."""
    kind = "service_account" if wanted.is_service else "user"
    account = doc.CreateAccount.model_validate(
        {"name": wanted.name, "role": wanted.role, "kind": kind}
    )
    with connected() as connection:
        owner = _organisation(connection, wanted.organisation)
        made = connection.client.create_account(owner, account)
    _made(made, form, quiet=quiet)
    if form is Format.TABLE and not quiet:
        console.print(f"  next: gw key create {wanted.name} --for {wanted.name}")


def change_role(member: str, role: str, organisation: str | None) -> None:
    """Give an account another role."""
    with connected() as connection:
        account_id = _member(connection, organisation, member)
        wanted = doc.ChangeAccount.model_validate({"role": role})
        made = connection.client.change_account(account_id, wanted.role)
    console.print(f"{made.name} is {made.role} now")


def remove_member(member: str, organisation: str | None, *, yes: bool) -> None:
    """Remove an account."""
    with connected() as connection:
        account_id = _member(connection, organisation, member)
        account = connection.client.get_account(account_id)
        if not yes and not ask(f"Remove {account.name} and end their keys?"):
            remarks.print("nothing was changed")
            return
        connection.client.delete_account(account_id)
    console.print(f"{account.name} is removed; their keys have ended")


def create_key(name: str, member: str | None, project: str | None, days: int | None) -> None:
    """Make a key; where nobody has one yet, the first operator with it."""
    place = place_now()
    if not place.server and member is None and _make_first_key(name):
        return
    with connected(place) as connection:
        account_id = (
            connection.client.who_am_i().account_id
            if member is None
            else _member(connection, None, member)
        )
        wanted = doc.CreateApiKey(
            name=name,
            project_id=_project_of(connection, project) if project else None,
            lifetime_s=None if days is None else days * DAY_S,
        )
        made = connection.client.create_api_key(account_id, wanted)
    typer.echo(made.key)
    typer.echo(KEEP_IT, err=True)


def _make_first_key(name: str) -> bool:
    """Whether there was no account yet, so that the first operator and their key were made."""
    from gigawatt.app.home import Home  # noqa: PLC0415 - a command of a server needs none of it
    from gigawatt.app.service import make_first_key, open_service  # noqa: PLC0415

    with open_service(Home.default()) as service:
        if not service.directory.is_empty():
            return False
        typer.echo(make_first_key(service, name))
    typer.echo(KEEP_IT, err=True)
    return True


def _key_cells(key: doc.ApiKey) -> tuple[str, ...]:
    ends = "never" if key.expires_at is None else moment(key.expires_at.timestamp())
    return key.id, key.account_id, key.name, key.state, ends


def list_keys(form: Format, *, quiet: bool) -> None:
    """List keys."""
    with connected() as connection:
        found = list(connection.client.pages(calls.list_api_keys, limit=PAGE_LIMIT))
    columns = ("key", "account", "name", "state", "ends")
    empty = "no keys; make the first one: gw key create"
    show_list(found, form, Listing(columns, _key_cells, empty), quiet=quiet)


def revoke_key(key_id: str) -> None:
    """End a key."""
    with connected() as connection:
        found = connection.client.revoke_api_key(key_id)
    console.print(f"{found.name} ({found.id}) has ended")


def list_ssh_keys(project: str | None, form: Format, *, quiet: bool) -> None:
    """List the SSH keys of a project."""
    with connected() as connection:
        make = partial(calls.list_ssh_keys, connection.project_id(project))
        found = list(connection.client.pages(make, limit=PAGE_LIMIT))
    listing: Listing[doc.SshKey] = Listing(
        ("name", "id", "key"),
        lambda key: (key.name, key.id, key.public_key.partition(" ")[0]),
        "no SSH keys; add one: gw ssh-key add NAME FILE",
    )
    show_list(found, form, listing, quiet=quiet)


def add_ssh_key(name: str, text: str, project: str | None, form: Format, *, quiet: bool) -> None:
    """Keep an SSH key with a project."""
    with connected() as connection:
        made = connection.client.create_ssh_key(connection.project_id(project), name, text)
    _made(made, form, quiet=quiet)


def remove_ssh_key(ssh_key_id: str) -> None:
    """Forget an SSH key."""
    with connected() as connection:
        connection.client.delete_ssh_key(ssh_key_id)
    console.print(f"{ssh_key_id} is forgotten; clusters that have it keep it")


def show_audit(organisation: str | None, limit: int, form: Format) -> None:
    """Show calls, newest first."""
    with connected() as connection:
        make = partial(calls.list_audit, _organisation(connection, organisation))
        found = list(islice(connection.client.pages(make, limit=min(limit, PAGE_LIMIT)), limit))
    if form is not Format.TABLE:
        write([entry.model_dump(mode="json") for entry in found], form)
        return
    listing: Listing[doc.AuditEntry] = Listing(
        ("at", "account", "operation", "status", "path"),
        lambda e: (moment(e.at.timestamp()), e.account_id, e.operation, e.status, e.path),
        "nobody has called anything yet",
    )
    show_list(found, form, listing)
