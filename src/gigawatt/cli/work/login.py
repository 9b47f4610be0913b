"""Logging in and out, and saying who one is."""

import getpass
import sys
from pathlib import Path
from urllib.parse import urlsplit

from gigawatt.cli.options import Format
from gigawatt.cli.output import console, pairs, remarks, write
from gigawatt.cli.settings import config_path, flags
from gigawatt.cli.work.connect import Connection, connected
from gigawatt.cli.work.profiles import (
    DEFAULT_NAME,
    Place,
    Profile,
    Profiles,
    checked_address,
    place_now,
    read_profiles,
    write_profiles,
)
from gigawatt.errors import InputError
from gigawatt.sdk import documents as doc

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
KEY_LENGTH_MAX = 1_000


def _key_from(key_file: Path | None) -> str:
    """The key: from a file, from a pipe, or typed where nobody sees it.

    Raises:
        InputError: there is none.
    """
    try:
        if key_file is not None:
            text = key_file.read_text(encoding="ascii")
        elif sys.stdin.isatty():
            text = getpass.getpass("API key (it is not shown): ")
        else:
            text = sys.stdin.readline(KEY_LENGTH_MAX)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError("no key could be read") from error
    if not text.strip():
        raise InputError("no key was given", next_step="Type the key, or pipe it in.")
    return text.strip()


def login(url: str, key_file: Path | None, project: str | None) -> None:
    """Keep a key for a server after the server has agreed to it."""
    server = checked_address(url)
    parts = urlsplit(server)
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        remarks.print("warning: the key goes over the network unencrypted; better use https://")
    name, key = flags.profile or DEFAULT_NAME, _key_from(key_file)
    with connected(Place(server, key, project or "", "")) as connection:
        me = connection.client.who_am_i()
        kept = connection.project_id(project) if project else ""
    before = read_profiles()
    profile = Profile(server, key, kept)
    write_profiles(Profiles(name, {**before.by_name, name: profile}))
    console.print(f"You are {me.name} ({me.role}) at {server}.")
    console.print(f"Kept as profile {name!r} in {config_path()}.", soft_wrap=True)
    console.print("  next: gw cluster list")


def logout() -> None:
    """Forget a profile.

    Raises:
        InputError: there is none.
    """
    before = read_profiles()
    name = flags.profile or before.current
    if name not in before.by_name:
        raise InputError("you are not logged in", next_step="gw login URL")
    rest = {other: profile for other, profile in before.by_name.items() if other != name}
    write_profiles(Profiles("" if before.current == name else before.current, rest))
    console.print(f"Forgot profile {name!r}. Commands use this computer's own state now.")


def _words(me: doc.Me, connection: Connection, place: Place) -> list[tuple[str, str]]:
    where = place.server or "this computer's own state (embedded)"
    lines = [("account", f"{me.name} ({me.account_id})"), ("role", me.role)]
    lines += [("organisation", me.organisation_id), ("key", me.key_id)]
    if me.project_id is not None:
        lines.append(("project", connection.project_name(me.project_id)))
    lines.append(("server", where))
    return [*lines, ("profile", place.profile)] if place.profile else lines


def who_am_i(form: Format) -> None:
    """Show who the caller is."""
    place = place_now()
    with connected(place) as connection:
        me = connection.client.who_am_i()
        if form is Format.TABLE:
            pairs("", _words(me, connection, place))
        else:
            found = {"server": place.server or None, "profile": place.profile or None}
            write(me.model_dump(mode="json") | found, form)
