"""Labs: starting, showing and ending them, and their profiles."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from select import select
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from gigawatt.app.clock import SystemClock
from gigawatt.cli.options import Format
from gigawatt.cli.output import bytes_words, console, count_of, pairs, remarks, span, table, write
from gigawatt.cli.settings import config_path
from gigawatt.cli.work.profiles import Profile, Profiles, read_profiles, write_profiles
from gigawatt.errors import ConflictError, GigawattError, InputError, UnknownIdError
from gigawatt.lab.audit import read_audit
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.folder import LabFolder, LabKeys, LabStatus, PartStatus, lab_folders
from gigawatt.lab.launch import follow, refuse_other, start, stop
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.places import enter as enter_place
from gigawatt.lab.processes import pids_of
from gigawatt.sdk import Client

LINES_SHOWN = 20
"""Last lines of each log that are shown. Ours."""
LOOK_S = 0.2
SIGNS = {"waiting": " ", "starting": "…", "up": "✓", "ailing": "!", "failed": "✗"}
COLOURS = {"ailing": "yellow", "failed": "red", "up": "green"}

Kinds = tuple[Literal["btrfs", "cephfs"], int]


def _profiles_of(name: str) -> tuple[str, str]:
    """Names of the operator's and of the tenant's profile."""
    own = "lab" if name == "lab" else f"lab-{name}"
    return own, f"{own}:tenant"


def _spec(name: str, wish: Mapping[str, Any]) -> LabSpec:
    spec = LabSpec(name, **wish)
    Layout(spec, lab_fleet(spec))
    if spec.hypervisor_count > spec.node_count:
        raise InputError(
            f"{spec.hypervisor_count} of {spec.node_count} nodes cannot be hypervisors"
        )
    return spec


def _line(part: PartStatus) -> str:
    took = f"{part.took_s:6.1f} s" if part.state in {"up", "ailing", "failed"} else ""
    return f"  {SIGNS[part.state]} {part.name:<18} {part.state:<9}{took}  {part.said}".rstrip()


def _picture(status: LabStatus) -> RenderableType:
    return Group(*(Text(_line(part), style=COLOURS.get(part.state, "")) for part in status.parts))


def _show_live(looks: Iterator[LabStatus]) -> LabStatus | None:
    status = None
    with Live(console=remarks, auto_refresh=False) as live:
        for status in looks:
            live.update(_picture(status), refresh=True)
    return status


def _show_lines(looks: Iterator[LabStatus]) -> LabStatus | None:
    """One line for each part, once it is up or has failed."""
    said: set[str] = set()
    status = None
    for status in looks:
        for part in status.parts:
            if part.state not in {"waiting", "starting"} and part.name not in said:
                said.add(part.name)
                remarks.print(_line(part))
    return status


def up(name: str, wish: Mapping[str, Any], form: Format) -> None:
    """Start a lab, show how it comes up, and say how to talk to it; ``wish``: see ``LabSpec``.

    Raises:
        InputError: it cannot be started here, or did not come up.
        ConflictError: it runs with other settings.
    """
    folder, spec = LabFolder.of(name), _spec(name, wish)
    if not start(folder, spec):
        status = folder.read_status()
        if status is not None:
            refuse_other(status, spec)
    show_looks = _show_live if remarks.is_terminal else _show_lines
    try:
        status = show_looks(follow(folder))
    except KeyboardInterrupt:
        remarks.print(f"\nIt goes on starting; see 'gw lab status {name}' or 'gw lab down {name}'.")
        raise SystemExit(130) from None
    assert status is not None, "a lab that is followed has a status"
    keys = folder.read_keys()
    _await_answer(status.url, keys)
    _keep_profiles(name, status.url, keys)
    _tell(name, status, keys, form)


def _await_answer(url: str, keys: LabKeys) -> None:
    """Ask the control plane who we are, which it answers as soon as it serves."""
    with Client(url, keys.operator) as client:
        client.who_am_i()


def _tell(name: str, status: LabStatus, keys: LabKeys, form: Format) -> None:
    own, tenant = _profiles_of(name)
    if form is not Format.TABLE:
        document = _document(name, status)
        write({**document, "keys": asdict(keys), "profiles": [own, tenant]}, form)
        return
    spec = status.spec
    fleet = lab_fleet(spec)
    size = f"{count_of(spec.node_count, 'node')}, {fleet.gpu_count:,} GPUs"
    pairs(
        f"Lab {name!r} is up after {status.took_s:.0f} s: {size}.",
        [
            ("control plane", status.url),
            ("operator key", f"{keys.operator}  (profile {own!r}, used from now on)"),
            ("tenant key", f"{keys.tenant}  (profile {tenant!r})"),
            *_drivers(status),
        ],
    )
    where = "" if name == "lab" else f" --lab {name}"
    console.print(
        f"  next: gw fleet map\n"
        f"        gw cluster create train --gpus 16 --profile {tenant} --yes\n"
        f"        gw lab shell{where} management"
    )


def _drivers(status: LabStatus) -> list[tuple[str, str]]:
    found = (status.drivers or {}).items()
    return [(plane.replace("_", "-"), ", ".join(names)) for plane, names in found]


def _change_profiles(change: Callable[[Profiles], Profiles]) -> None:
    """Change the file of profiles; it stays the person's who called ``sudo``."""
    write_profiles(change(read_profiles()))
    owner = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if all(number.isdecimal() for number in owner) and os.geteuid() == 0:
        for path in (config_path(), config_path().parent):
            os.chown(path, int(owner[0]), int(owner[1]))


def _keep_profiles(name: str, url: str, keys: LabKeys) -> None:
    own, tenant = _profiles_of(name)
    fresh = {own: Profile(url, keys.operator), tenant: Profile(url, keys.tenant)}
    _change_profiles(lambda before: Profiles(own, {**before.by_name, **fresh}))


def _drop_profiles(name: str) -> None:
    ours = set(_profiles_of(name))
    before = read_profiles()
    if not ours & before.by_name.keys():
        return
    rest = {key: profile for key, profile in before.by_name.items() if key not in ours}
    current = before.current if before.current in rest else ""
    _change_profiles(lambda now: replace(now, current=current, by_name=rest))


def down(name: str, *, keep_logs: bool) -> None:
    """Take a lab down with all that belongs to it.

    Raises:
        InputError: not root, or something does not end.
        ConflictError: another command is starting or stopping it.
    """
    folder = LabFolder.of(name)
    was_there = stop(folder, keep_logs=keep_logs)
    _drop_profiles(name)
    if not was_there:
        console.print(f"There is no lab {name!r}; nothing to do.")
    elif keep_logs:
        console.print(f"Lab {name!r} is gone; its logs are in {folder.logs_path}.")
    else:
        console.print(f"Lab {name!r} is gone.")


def _now(folder: LabFolder) -> LabStatus | None:
    """The status of a lab, which a lab that was killed cannot say itself."""
    status = folder.read_status()
    if status is None or status.state == "failed" or pids_of(folder.path):
        return status
    said = "it was killed, or this machine was started again"
    return replace(status, state="failed", said=said, next_step=f"gw lab up {folder.name}")


def _document(name: str, status: LabStatus) -> dict[str, Any]:
    return {"name": name, **asdict(status)}


def _existing(name: str | None) -> list[tuple[str, LabStatus]]:
    folders = lab_folders() if name is None else (LabFolder.of(name),)
    found = [(folder.name, status) for folder in folders if (status := _now(folder)) is not None]
    if name is not None and not found:
        raise UnknownIdError(f"there is no lab {name!r}", next_step=f"Start it: gw lab up {name}")
    return found


def show(name: str | None, form: Format) -> None:
    """Show one lab with its parts, or all labs.

    Raises:
        UnknownIdError: there is none of this name.
    """
    found = _existing(name)
    if form is not Format.TABLE:
        documents = [_document(*one) for one in found]
        write(documents if name is None else documents[0], form)
    elif not found:
        console.print("No lab runs here. Start one: gw lab up")
    elif len(found) == 1:
        _show_one(*found[0])
    else:
        columns = ("name", "state", "nodes", "control plane", "ailing")
        rows = [
            (lab, s.state, s.spec.node_count, s.url, ", ".join(_ailing(s)) or "nothing")
            for lab, s in found
        ]
        table(columns, rows)


def _ailing(status: LabStatus) -> list[str]:
    return [part.name for part in status.parts if part.state in {"ailing", "failed"}]


def _show_one(name: str, status: LabStatus) -> None:
    age = span(SystemClock().now_s() - status.started_s)
    rows: list[tuple[str, str]] = [
        ("state", status.state + (f": {status.said}" if status.said else "")),
        ("started", f"{age} ago, took {status.took_s:.1f} s"),
        ("control plane", status.url),
        ("nodes", f"{status.spec.node_count:,}, storage {bytes_words(status.spec.storage_bytes)}"),
        *_drivers(status),
    ]
    if status.next_step:
        rows.append(("next", status.next_step))
    pairs(f"Lab {name}", rows)
    console.print(_picture(status))


def _log_paths(folder: LabFolder, part: str) -> list[Path]:
    return sorted(folder.logs_path.glob(f"{part}*.log"))


def show_logs(name: str, part: str, *, is_followed: bool) -> None:
    """Show the last lines of a lab's logs, and what comes after them.

    Raises:
        UnknownIdError: there is no such lab, or no such part.
    """
    folder = LabFolder.of(name)
    paths = _log_paths(folder, part)
    if not paths:
        known = ", ".join(path.stem for path in _log_paths(folder, "")) or "none"
        raise UnknownIdError(
            f"lab {name!r} has no log {part!r}; there is {known}",
            next_step=f"gw lab status {name}",
        )
    seen: dict[Path, int] = {}
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        seen[path] = len(text.encode(errors="replace"))
        _say_lines(path.stem, text.splitlines()[-LINES_SHOWN:], len(paths))
    with suppress(KeyboardInterrupt):
        while is_followed and folder.path.exists():
            select([], [], [], LOOK_S)
            for path in _log_paths(folder, part):
                seen[path] = _say_more(path, seen.get(path, 0), len(paths))


def _say_more(path: Path, start: int, of: int) -> int:
    """Show the whole lines after byte ``start``; where they end."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            fresh = file.read()
    except OSError:
        return start
    whole = fresh[: fresh.rfind(b"\n") + 1]
    _say_lines(path.stem, whole.decode(errors="replace").splitlines(), of)
    return start + len(whole)


def _say_lines(program: str, lines: Sequence[str], of: int) -> None:
    for line in lines:
        console.print(line if of == 1 else f"{program} | {line}")


def show_audit(name: str, *, is_empty_expected: bool, form: Format) -> None:
    """Show what of any tenant is in a lab.

    Raises:
        GigawattError: there is no such lab, not root, or a component does not answer.
        ConflictError: something is there, and nothing should be.
    """
    folder = LabFolder.of(name)
    if folder.read_status() is None:
        raise UnknownIdError(f"there is no lab {name!r}", next_step=f"Start it: gw lab up {name}")
    found = read_audit(folder)
    if form is not Format.TABLE:
        write([asdict(leftover) for leftover in found], form)
    elif found:
        table(("plane", "what", "where"), [(one.plane, one.what, one.where) for one in found])
    else:
        console.print(f"Nothing of any tenant is left in lab {name!r}.")
    if found and is_empty_expected:
        raise ConflictError(f"{count_of(len(found), 'thing')} of tenants in lab {name!r}")


def enter(name: str, where: str, command: Sequence[str]) -> None:
    """Become a shell or a command at a place of a lab.

    Raises:
        GigawattError: there is no such lab or place, or not root.
    """
    folder = LabFolder.of(name)
    if folder.read_status() is None:
        raise UnknownIdError(f"there is no lab {name!r}", next_step=f"Start it: gw lab up {name}")
    try:
        enter_place(folder, where, command)
    except OSError as error:
        raise GigawattError(f"cannot go to {where!r}: {error.strerror}") from error
