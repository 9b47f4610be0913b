"""Goal: what is done in a room stays there, and nothing of it is left when it ends or is killed.

Method: rooms inside the test's own room are looked at from outside: interfaces, mounts, processes.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from gigawatt.lab.room import is_in_room

ROOM = [sys.executable, "-m", "gigawatt.lab.room"]
STAYS = (
    "ip netns add hidden && mount -t tmpfs inside /mnt && (sleep 300 & sleep 300 & echo up; wait)"
)


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(*command: str):
    return subprocess.run(
        [*ROOM, *command], env=environment(), capture_output=True, text=True, check=False
    )


def outside():
    """What a room could leave: network namespaces, mounts, interfaces."""
    words = (["ip", "-br", "link"], ["ip", "netns"], ["cat", "/proc/mounts"])
    return [subprocess.run(w, capture_output=True, text=True, check=True).stdout for w in words]


def sleepers():
    found = []
    for stat in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if stat.read_bytes() == b"sleep\x00300\x00":
                found.append(stat.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_who_is_not_root_is_told_what_to_type():
    done = run("true")
    assert done.returncode == 1
    assert "sudo -E" in done.stderr


@pytest.mark.lab
def test_a_room_sees_itself_only_and_ends_as_its_command_does():
    done = run("sh", "-c", "ip -br link; ip netns; ls /run/netns; exit 7")
    assert done.returncode == 7
    assert done.stdout.split()[0] == "lo"
    assert len(done.stdout.splitlines()) == 1
    assert run("sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.lab
def test_a_command_that_does_not_exist_is_named():
    done = run("no-such-command")
    assert (done.returncode, "no-such-command does not start" in done.stderr) == (1, True)


@pytest.mark.lab
@pytest.mark.parametrize("victim", ["outermost", "first", "command"])
def test_whoever_is_killed_nothing_is_left(victim):
    assert is_in_room()
    before = outside()
    room = subprocess.Popen(
        [*ROOM, "sh", "-c", STAYS], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert room.stdout.readline() == "up\n"
    assert outside() == before
    children = Path(f"/proc/{room.pid}/task/{room.pid}/children")
    first = int(children.read_text())
    command = int(Path(f"/proc/{first}/task/{first}/children").read_text().split()[0])
    os.kill({"outermost": room.pid, "first": first, "command": command}[victim], signal.SIGKILL)
    room.communicate()
    for _ in range(250):
        if not sleepers():
            break
        select([], [], [], 0.02)
    assert not sleepers()
    assert outside() == before
