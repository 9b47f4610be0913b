"""File systems and firewall rulesets."""

import re
from collections.abc import Collection

from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    ask,
    bytes_words,
    console,
    remarks,
    show_document,
    show_list,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.cli.work.watch import watch
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

_RULE = re.compile(r"(tcp|udp|icmp|all):(?:(\d{1,5})(?:-(\d{1,5}))?)?:([0-9./]+)")


def list_file_systems(form: Format, *, quiet: bool) -> None:
    """List file systems, newest first."""
    with connected() as connection:
        found = list(connection.client.pages(calls.list_file_systems, limit=PAGE_LIMIT))
        listing: Listing[doc.FileSystem] = Listing(
            ("name", "tenant", "state", "size", "site", "clusters", "id"),
            lambda f: (
                f.name,
                connection.project_name(f.project_id),
                f.state,
                bytes_words(f.quota_bytes or 0),
                f.site_id or "-",
                len(f.cluster_ids),
                f.id,
            ),
            "no file systems; make one: gw file-system create data --size 1TiB",
        )
        show_list(found, form, listing, quiet=quiet)


def _file_system(connection: Connection, text: str, project: str | None) -> doc.FileSystem:
    """The live file system of this id or name.

    Raises:
        UnknownIdError: there is none, or there are several.
    """
    if text.startswith("fsy_"):
        return connection.client.get_file_system(text)
    project_id = connection.find_project(project) if project else None
    pages = connection.client.pages(calls.list_file_systems, name=text, limit=PAGE_LIMIT)
    found = [f for f in pages if project_id is None or f.project_id == project_id]
    if len(found) != 1:
        count = len(found) or "no"
        raise UnknownIdError(
            f"{count} file systems are called {text!r}", next_step="See 'gw file-system list'."
        )
    return connection.client.get_file_system(found[0].id)


def _ended(connection: Connection, started: doc.FileSystem, form: Format) -> None:
    """Watch what was started to its end and say so."""
    if started.operation_id is not None:
        again = f"gw operation show {started.operation_id}"
        watch(connection, started.operation_id, again)
    found = connection.client.get_file_system(started.id)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    size = f", {bytes_words(found.quota_bytes)}" if found.quota_bytes else ""
    console.print(f"{found.name} ({found.id}) is {found.state}{size}")


def create(
    name: str, quota_bytes: int, site: str | None, project: str | None, form: Format
) -> None:
    """Make a file system.

    Raises:
        InputError: its size is 0.
    """
    if not quota_bytes:
        raise InputError("the size is 0", next_step="Write a size such as 50TiB.")
    with connected() as connection:
        wanted = doc.FileSystemRequest(
            project_id=connection.project_id(project),
            name=name,
            quota_bytes=quota_bytes,
            site_id=site,
        )
        _ended(connection, connection.client.create_file_system(wanted), form)


def resize(text: str, quota_bytes: int, project: str | None, form: Format) -> None:
    """Give a file system another quota."""
    with connected() as connection:
        found = _file_system(connection, text, project)
        call = calls.resize_file_system(found.id, quota_bytes, version=found.version)
        _ended(connection, connection.client.send(call), form)


def delete(text: str, project: str | None, *, yes: bool) -> None:
    """Delete a file system."""
    with connected() as connection:
        found = _file_system(connection, text, project)
        if not yes and not ask(f"Delete {found.name} ({found.id}) with all its data?"):
            remarks.print("nothing was changed")
            return
        call = calls.delete_file_system(found.id, version=found.version)
        _ended(connection, connection.client.send(call), Format.TABLE)
        pages = connection.client.pages(calls.list_file_systems, limit=PAGE_LIMIT)
        others = {f.id for f in pages if f.project_id == found.project_id and f.id != found.id}
        say_still_billing(connection, others)


def show_s3(text: str, project: str | None, form: Format) -> None:
    """Say where the objects of a file system are reached."""
    with connected() as connection:
        found = _file_system(connection, text, project)
        door = connection.client.get_s3_door(found.id)
    if form is not Format.TABLE:
        show_document(door, form)
        return
    if not door.is_open:
        console.print(f"{found.name} has no key for objects; make one: gw file-system s3-key")
        return
    console.print(f"endpoint    {door.endpoint}")
    console.print(f"access key  {door.access_key_id}")
    console.print(f"objects     {bytes_words(door.used_bytes)} of {bytes_words(door.quota_bytes)}")


def rotate_s3_key(text: str, project: str | None, form: Format) -> None:
    """Make a key for the objects of a file system, and show it."""
    with connected() as connection:
        found = _file_system(connection, text, project)
        key = connection.client.rotate_s3_key(found.id)
    if form is not Format.TABLE:
        show_document(key, form)
        return
    console.print(f"endpoint    {key.endpoint}")
    console.print(f"access key  {key.access_key_id}")
    console.print(f"secret key  {key.secret_access_key or 'shown before'}")
    remarks.print("the secret is shown this once; the former key ended")


def shut_s3(text: str, project: str | None, *, yes: bool) -> None:
    """Shut the door for objects of a file system."""
    with connected() as connection:
        found = _file_system(connection, text, project)
        if not yes and not ask(f"Delete all objects of {found.name} ({found.id})?"):
            remarks.print("nothing was changed")
            return
        connection.client.shut_s3_door(found.id)
    console.print(f"{found.name} has no objects any more; its files are as they were")


def say_still_billing(connection: Connection, file_system_ids: Collection[str]) -> None:
    """Say of file systems that they outlive what just ended, and go on to cost."""
    for file_system_id in sorted(file_system_ids):
        found = connection.client.get_file_system(file_system_id)
        size = bytes_words(found.quota_bytes or 0)
        remarks.print(f"  still billing: storage {found.name}, {size}; see 'gw usage'")


def _rule_words(rule: doc.FirewallRule) -> str:
    ends = rule.port_range
    numbers = "" if ends is None else str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"
    return f"{rule.protocol}:{numbers}:{rule.source_network}"


def rule_of(text: str) -> doc.FirewallRule:
    """A rule from ``PROTOCOL:PORTS:NETWORK``; ports may be left out.

    Raises:
        InputError: not a rule.

    Example:
        >>> rule_of("tcp:22:198.51.100.0/24").port_range
        (22, 22)
    """
    match = _RULE.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a rule", next_step="Write e.g. tcp:22:198.51.100.0/24.")
    protocol, first, last, network = match.groups()
    ends = None if first is None else (int(first), int(last or first))
    try:
        return doc.FirewallRule.model_validate(
            {"protocol": protocol, "port_range": ends, "source_network": network}
        )
    except ValueError as error:
        raise InputError(f"{text!r} is not a rule: its ports are 1 to 65535") from error


def list_rulesets(form: Format, *, quiet: bool) -> None:
    """List firewall rulesets."""
    with connected() as connection:
        found = list(connection.client.pages(calls.list_firewall_rulesets, limit=PAGE_LIMIT))
        listing: Listing[doc.FirewallRuleset] = Listing(
            ("name", "tenant", "site", "lets in", "clusters", "id"),
            lambda r: (
                r.name,
                connection.project_name(r.project_id),
                r.site_id,
                ", ".join(_rule_words(rule) for rule in r.rules) or "nothing",
                len(r.cluster_ids),
                r.id,
            ),
            "no rulesets; make one: gw firewall create NAME --site SITE",
        )
        show_list(found, form, listing, quiet=quiet)


def _ruleset(connection: Connection, text: str) -> doc.FirewallRuleset:
    """The ruleset of this id or name.

    Raises:
        UnknownIdError: there is none, or there are several.
    """
    pages = connection.client.pages(calls.list_firewall_rulesets, limit=PAGE_LIMIT)
    found = [ruleset for ruleset in pages if text in {ruleset.id, ruleset.name}]
    if len(found) != 1:
        count = len(found) or "no"
        raise UnknownIdError(
            f"{count} rulesets are called {text!r}", next_step="See 'gw firewall list'."
        )
    return found[0]


def _say(ruleset: doc.FirewallRuleset, form: Format) -> None:
    if form is not Format.TABLE:
        show_document(ruleset, form)
        return
    lets_in = ", ".join(_rule_words(rule) for rule in ruleset.rules) or "nothing"
    console.print(f"{ruleset.name} ({ruleset.id}) lets in {lets_in}")


def create_ruleset(
    name: str, site: str, allowed: list[str], project: str | None, form: Format
) -> None:
    """Make a ruleset."""
    rules = [rule_of(text) for text in allowed]
    with connected() as connection:
        wanted = doc.CreateFirewallRuleset(
            project_id=connection.project_id(project), name=name, site_id=site, rules=rules
        )
        _say(connection.client.create_firewall_ruleset(wanted), form)


def set_rules(text: str, allowed: list[str], form: Format) -> None:
    """Give a ruleset other rules; refused when it was changed after it was looked at."""
    wanted = doc.ChangeFirewallRuleset(rules=[rule_of(rule) for rule in allowed])
    with connected() as connection:
        found = _ruleset(connection, text)
        call = calls.change_firewall_ruleset(found.id, wanted, version=found.version)
        _say(connection.client.send(call), form)


def delete_ruleset(text: str) -> None:
    """Forget a ruleset."""
    with connected() as connection:
        found = _ruleset(connection, text)
        connection.client.delete_firewall_ruleset(found.id)
    console.print(f"{found.name} is forgotten")
