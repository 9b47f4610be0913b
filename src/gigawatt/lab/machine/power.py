"""Powers a machine on: its namespaces, its root file system, its init."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from gigawatt.drivers.storage.exports import attach_commands
from gigawatt.errors import InputError
from gigawatt.lab.machine.config import MachineConfig, MachinesConfig
from gigawatt.lab.machine.disk import furnish, is_installed
from gigawatt.lab.machine.processes import WAITING, first_process, is_init_running, wait_until
from gigawatt.lab.machine.seed import read_medium, write_seed
from gigawatt.lab.room import TOOL_PATH
from gigawatt.lab.running import tool_environment

START_S_MAX = 30.0
"""Longest time from power to init; measured: half a second. Ours."""

NSENTER = "/usr/bin/nsenter"
NAMESPACES = (
    "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--propagation", "slave",
)  # fmt: skip

NOTHING_TO_BOOT = f"""\
echo 'no bootable device'
exec /bin/busybox {WAITING} -c 'trap "exit 0" USR2; while :; do sleep 3600 & wait $!; done'
"""
"""A machine's firmware that found neither a medium nor a system on the disk; the button works."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

TAKEN_CAPABILITIES = "-sys_admin,-sys_module,-sys_rawio,-sys_time,-mknod,-sys_ptrace,-syslog"
"""What the machine's root may not: mount or join namespaces, load modules, touch memory or clock of
the machine that the lab runs on, make devices, trace."""

_BRIDGE = re.compile(r"^br(\d+)$")


def power_on(config: MachinesConfig, host: MachineConfig, medium: Path | None) -> None:
    """Start a machine and wait until its init runs; nothing to do if it is on.

    Without a medium and with an erased disk there is nothing to boot: it is on, and no more.

    Raises:
        InputError: it does not start, or the medium does not read; it is off then.
    """
    netns = Path(host.netns)
    if first_process(netns) is not None:
        return
    folder = Path(host.folder)
    seed = read_medium(medium, folder / "medium") if medium else None
    script = NOTHING_TO_BOOT
    if seed is not None or is_installed(host):
        furnish(host, config.hidden)
        if seed is not None:
            write_seed(seed, host.disk)
        vni = _vni_of(host)
        script = boot_script(host, config.storage_pools if vni is not None else {}, vni or 0)
        (folder / "work").mkdir(exist_ok=True)
        (folder / "root").mkdir(exist_ok=True)
    with host.console.open("ab") as console:
        process = subprocess.Popen(  # noqa: S603 - the lab's own words
            [NSENTER, f"--net={netns}", "--", *NAMESPACES, "sh", "-eu", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            env={"PATH": TOOL_PATH, "TERM": "linux", "HOME": "/"},
            start_new_session=True,
        )

    def is_up() -> bool:
        first = first_process(netns)
        return process.poll() is not None or (first is not None and is_init_running(first))

    is_in_time = wait_until(is_up, START_S_MAX)
    if not is_in_time or process.poll() is not None:
        process.kill()
        first = first_process(netns)
        assert first is None or not is_in_time, "its starter ended before it"
        said = host.console.read_text(errors="replace").strip()[-300:]
        raise InputError(f"{host.node_id} does not start: {said}")


def boot_script(host: MachineConfig, storage_pools: Mapping[str, str], vni: int) -> str:
    """Shell words that the first process runs before it becomes init.

    ``storage_pools`` are their folders; what ``vni`` may mount of one comes to ``/mnt/POOL``.
    """
    root = f"{host.folder}/root"
    layers = f"lowerdir=/,upperdir={host.disk},workdir={host.folder}/work"
    commands = [
        ("mount", "-t", "overlay", "-o", layers, "gigawatt-disk", root),
        ("hostname", "-F", f"{host.disk}/etc/hostname"),
        ("mount", "-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "gigawatt", f"{root}/tmp"),  # noqa: S108 - the machine's own
        ("mount", "-t", "tmpfs", "-o", "mode=0755,nosuid,nodev", "gigawatt", f"{root}/run"),
        *_devices(root),
        ("mount", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{root}/proc"),
        ("mount", "--bind", f"{root}/proc/sys", f"{root}/proc/sys"),
        ("mount", "-o", "remount,bind,ro", f"{root}/proc/sys"),
        ("mount", "-t", "sysfs", "-o", "ro,nosuid,nodev,noexec", "sysfs", f"{root}/sys"),
    ]
    for name, folder in storage_pools.items():
        commands += attach_commands(Path(folder), vni, Path(root) / "mnt" / name)
    lines = [shlex.join(command) for command in commands]
    # The old root goes below the new one, and then away: nothing of the lab is left in sight.
    lines += [
        f"cd {shlex.quote(root)}",
        "pivot_root . .",
        "umount -l .",
        "cd /",
        f"exec setpriv --bounding-set={TAKEN_CAPABILITIES} --inh-caps=-all /bin/busybox init",
    ]
    return "\n".join(lines)


def _devices(root: str) -> Iterator[tuple[str, ...]]:
    dev = f"{root}/dev"
    yield ("mount", "-t", "tmpfs", "-o", "mode=0755,nosuid", "gigawatt", dev)
    yield ("mkdir", f"{dev}/pts", f"{dev}/shm")
    yield (
        "mount",
        "-t",
        "devpts",
        "-o",
        "newinstance,ptmxmode=0666,mode=0620",
        "devpts",
        f"{dev}/pts",
    )
    yield ("mount", "-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "gigawatt", f"{dev}/shm")
    yield ("ln", "-s", "pts/ptmx", f"{dev}/ptmx")
    yield ("ln", "-s", "/proc/self/fd", f"{dev}/fd")
    for name in DEVICES:
        yield ("touch", f"{dev}/{name}")
        yield ("mount", "--bind", f"/dev/{name}", f"{dev}/{name}")


def _vni_of(host: MachineConfig) -> int | None:
    """The network that the machine's switch port is in now; None if in none."""
    if not host.leaf_netns:
        return None
    master = Path(f"/sys/class/net/{host.leaf_port}/master")
    # /sys shows the interfaces of the namespace that mounted it, so the leaf's own is mounted.
    look = f"mount -t sysfs sysfs /sys && readlink {shlex.quote(str(master))} || true"
    done = subprocess.run(  # noqa: S603 - the lab's own words
        [NSENTER, f"--net={host.leaf_netns}", "unshare", "--mount", "sh", "-c", look],
        capture_output=True,
        text=True,
        env=tool_environment(),
        check=False,
        timeout=10,
    )
    found = _BRIDGE.match(Path(done.stdout.strip()).name)
    return int(found[1]) if found else None
