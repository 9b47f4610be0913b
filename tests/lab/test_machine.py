"""Machines that stand in for bare-metal nodes.

Goal: a machine is what its seed says, tells the truth about itself whatever is killed, sees nothing
of the lab, and nothing of one tenant is left for the next after its disk was sanitised.
Method: in a lab room; real ssh, dnsmasq and xorriso judge. The power command is run as a BMC runs
it.
"""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from select import select

import pytest
from running_machines import RunningMachines, make_key, run

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.metal.seed import seed_files
from gigawatt.lab.machine.processes import first_process, wait_until

pytestmark = pytest.mark.lab

A, B = 0, 1
"""Machines of two tenants, in networks of their own."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machines")
    pool = folder / "pool0"
    pool.mkdir()
    run("mount", "--bind", str(pool), str(pool))
    run("mount", "--make-shared", str(pool))
    started = RunningMachines(folder, {A: 101, B: 102}, {"pool0": str(pool)}).start()
    yield started
    started.close()
    run("umount", "--recursive", str(pool), check=False)


@pytest.fixture(autouse=True)
def off(machines):
    yield
    for node in (A, B):
        machines.power("off", machines.node_id(node))
        machines.power("sanitise", machines.node_id(node))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in "ab"}


def boot(machines, node, hostname, public_key):
    """Power a machine on from a seed, as the host driver makes it."""
    entry = HostSlice(machines.node_id(node), 0xFF, False, hostname, "debian", (public_key,), "on")
    folder = machines.folder / f"seed-{hostname}"
    folder.mkdir(exist_ok=True)
    for name, text in seed_files(entry).items():
        (folder / name).write_text(text)
    image = machines.folder / f"{hostname}.iso"
    run(
        "xorriso",
        "-as",
        "mkisofs",
        "-quiet",
        "-V",
        "cidata",
        "-J",
        "-r",
        "-o",
        str(image),
        str(folder),
    )
    machines.power("on", machines.node_id(node), "--media", str(image))
    image.unlink()


def first_of(machines, node):
    return first_process(Path(machines.machine(node).netns))


def test_the_tenants_key_opens_its_machine_and_the_others_does_not(machines, keys):
    boot(machines, A, "a-0", keys["a"][1])
    own = machines.ssh(A, keys["a"][0], "hostname; id -un; sudo -n id -u", check=True)
    assert own.stdout.split() == ["a-0", "tenant", "0"]
    assert machines.ssh(A, keys["a"][0], "id -u", user="root", check=True).stdout == "0\n"
    for user in ("tenant", "root"):
        other = machines.ssh(A, keys["b"][0], "hostname", user=user)
        assert other.returncode == 255
        assert "Permission denied" in other.stderr


def test_a_machine_sees_nothing_of_the_lab_and_of_its_neighbour(machines, keys):
    boot(machines, A, "a-0", keys["a"][1])
    boot(machines, B, "b-0", keys["b"][1])
    machines.ssh(B, keys["b"][0], "echo secret > ~/of-b", check=True)
    look = (
        f"ls {machines.folder} {machines.machine(B).folder} 2>&1;"
        " ps -e -o comm= | sort -u | tr '\\n' ' '; sudo -n mount -t tmpfs x /mnt 2>&1;"
        " sudo -n nsenter -t 1 -m true 2>&1 && echo in; sudo -n find / -xdev -name of-b 2>/dev/null"
    )
    said = machines.ssh(A, keys["a"][0], look, check=True).stdout
    assert "machines.json" not in said
    assert "of-b" not in said
    assert "permission denied" in said
    assert "\nin\n" not in said
    for foreign in ("python", "dnsmasq", "opensm"):
        assert foreign not in said
    crossing = f"ping -c1 -W1 {machines.address(B)}"
    assert machines.ssh(A, keys["a"][0], crossing).returncode != 0
    # Control: the gateway of its own network answers the same command.
    assert machines.ssh(A, keys["a"][0], "ping -c1 -W1 10.101.0.1", check=True)


def test_etc_var_and_run_are_its_own_and_last_until_it_is_sanitised(machines, keys):
    boot(machines, A, "a-0", keys["a"][1])
    write = "for f in /etc/mark /var/mark /home/mark /opt/mark; do sudo -n touch $f; done"
    machines.ssh(A, keys["a"][0], f"{write}; sudo -n touch /run/mark /tmp/mark", check=True)
    for name in ("/etc/mark", "/var/mark", "/home/mark", "/opt/mark", "/run/mark", "/tmp/mark"):  # noqa: S108 - must not be there
        assert not Path(name).exists()
    machines.power("off", machines.node_id(A), "--graceful")
    machines.power("on", machines.node_id(A))
    kept = machines.ssh(A, keys["a"][0], "ls /etc/mark /var/mark /run/mark /tmp/mark; hostname")
    assert kept.stdout.split() == ["/etc/mark", "/var/mark", "a-0"]


@pytest.mark.parametrize("victim", ["init", "sshd", "everything"])
def test_the_state_is_what_the_kernel_says_after_any_kill(machines, keys, victim):
    boot(machines, A, "a-0", keys["a"][1])
    first = first_of(machines, A)
    inside = [
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdecimal() and (p / "ns/pid").exists() and same_space(p, first)
    ]
    assert first in inside
    assert len(inside) >= 3
    names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in inside}
    chosen = {
        "init": [first],
        "sshd": [pid for pid, name in names.items() if name == "sshd"],
        "everything": inside,
    }[victim]
    assert chosen
    for pid in chosen:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
    if victim == "sshd":
        assert machines.state(A) == "on"
        assert machines.ssh(A, keys["a"][0], "hostname", check=True).stdout == "a-0\n"
    else:
        assert wait_until(lambda: first_of(machines, A) is None, 10)
        assert machines.power("state", machines.node_id(A)).stdout == "off None\n"
        assert wait_until(lambda: not any(Path(f"/proc/{p}/ns/pid").exists() for p in inside), 10)


def same_space(process, first):
    try:
        return (process / "ns/pid").stat().st_ino == Path(f"/proc/{first}/ns/pid").stat().st_ino
    except OSError:
        return False


def test_processes_of_others_in_its_network_do_not_make_it_on(machines):
    with subprocess.Popen(
        ["nsenter", "--net=/run/netns/node0", "unshare", "--mount", "sleep", "60"]
    ) as other:
        try:
            assert machines.state(A) == "off"
        finally:
            other.kill()


def test_on_and_off_are_idempotent_and_reboot_is_a_power_off(machines, keys):
    assert machines.state(A) == "off"
    machines.power("off", machines.node_id(A))
    boot(machines, A, "a-0", keys["a"][1])
    first = first_of(machines, A)
    machines.power("on", machines.node_id(A))
    assert first_of(machines, A) == first
    assert machines.power("state", machines.node_id(A)).stdout.startswith("on OS")
    machines.ssh(A, keys["a"][0], "sudo -n /bin/busybox poweroff")
    assert wait_until(lambda: first_of(machines, A) is None, 15)


def test_wrong_words_and_media_are_refused_and_leave_it_off(machines, tmp_path):
    assert machines.power("state", "nowhere", check=False).returncode == 2
    assert machines.power("dance", machines.node_id(A), check=False).returncode == 2
    rubbish = tmp_path / "rubbish.iso"
    rubbish.write_bytes(b"no image" * 5000)
    refused = machines.power("on", machines.node_id(A), "--media", str(rubbish), check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert machines.state(A) == "off"


def test_a_machine_with_an_erased_disk_has_nothing_to_boot(machines, keys):
    boot(machines, A, "a-0", keys["a"][1])
    machines.power("off", machines.node_id(A))
    machines.power("sanitise", machines.node_id(A))
    for graceful in ((), ("--graceful",)):
        machines.power("on", machines.node_id(A))
        assert machines.power("state", machines.node_id(A)).stdout == "on None\n"
        machines.power("off", machines.node_id(A), *graceful)
        assert machines.state(A) == "off"
    assert machines.power("sample", machines.node_id(A)).stdout.startswith("found 0 files")


def test_nothing_of_a_tenant_is_left_for_the_next_after_cleaning(machines, keys):
    boot(machines, A, "a-0", keys["a"][1])
    folders = ("", "home/tenant/", "home/", "tmp/", "root/", "var/spool/cron/crontabs/", "etc/")
    places = [f"/{folder}" for folder in folders]
    plant = "; ".join(f"sudo -n mkdir -p {p}; sudo -n touch {p}planted-by-a" for p in places)
    plant += "; echo '* * * * * root touch /planted-by-a' | sudo -n tee /etc/cron.d/planted-by-a"
    plant += "; sudo -n rm -rf /usr/bin/tac; find / -name 'planted-by-a' 2>/dev/null | wc -l"
    planted = machines.ssh(A, keys["a"][0], plant, check=True)
    assert int(planted.stdout.split()[-1]) >= 6
    host_key = machines.ssh(A, keys["a"][0], "cat /etc/ssh/ssh_host_ed25519_key.pub").stdout

    assert "is on" in machines.power("sanitise", machines.node_id(A), check=False).stderr
    assert machines.power("prove-off", machines.node_id(A), check=False).returncode == 1
    machines.power("off", machines.node_id(A))
    machines.power("prove-off", machines.node_id(A))
    left = machines.power("sample", machines.node_id(A), check=False)
    assert left.returncode == 1
    assert "found 0" not in left.stdout
    assert "erased" in machines.power("sanitise", machines.node_id(A)).stdout
    found = machines.power("sample", machines.node_id(A)).stdout
    assert found == "found 0 files and folders, 0 bytes\n"

    boot(machines, A, "b-7", keys["b"][1])
    assert machines.ssh(A, keys["a"][0], "true").returncode == 255
    search = "sudo -n find / -name '*planted*' 2>/dev/null; ls /usr/bin/tac; hostname"
    seen = machines.ssh(A, keys["b"][0], search, check=True).stdout.split()
    assert seen == ["/usr/bin/tac", "b-7"]
    assert machines.ssh(A, keys["b"][0], "cat /etc/ssh/ssh_host_ed25519_key.pub").stdout != host_key


def test_exports_of_its_network_come_and_go_while_it_runs(machines, keys):
    pool = Path(machines.pools["pool0"])
    boot(machines, A, "a-0", keys["a"][1])
    boot(machines, B, "b-0", keys["b"][1])
    export = pool / "exports/101/7"
    export.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "export", str(export))
    (export / "hello").touch()
    look = "ls /mnt/pool0/7 2>&1"
    assert machines.ssh(A, keys["a"][0], look).stdout == "hello\n"
    assert "hello" not in machines.ssh(B, keys["b"][0], "ls -R /mnt/pool0").stdout
    run("umount", str(export))
    assert "hello" not in machines.ssh(A, keys["a"][0], look).stdout


def alive_processes() -> list[bytes]:
    """Command lines of the room's processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [line for line in found if line]


def test_boots_of_one_machine_leave_no_process(machines, keys):
    before = sum(p.name.isdecimal() for p in Path("/proc").iterdir())
    for _ in range(4):
        boot(machines, A, "a-0", keys["a"][1])
        machines.power("off", machines.node_id(A))
    # What was killed takes a moment to be gone.
    for _ in range(100):
        if len(alive_processes()) <= before:
            break
        select([], [], [], 0.05)
    assert len(alive_processes()) <= before, alive_processes()
