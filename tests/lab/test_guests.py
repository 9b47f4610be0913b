"""Goal: a tenant's guest is the tenant's alone while it runs, and nothing of it is left after.

Method: the lab's small guest under a real libvirt and QEMU. Each slot's bridge gets DHCP from a
dnsmasq of the test's own; ssh judges who may log in, virsh, ``/proc`` and the file system what is
left. Crashes are real: processes are killed at the step in question.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Endpoint, Fence
from gigawatt.lab.guests.part import start_libvirtd
from running_guests import (
    RunningGuests,
    guest_processes,
    put,
    running_guests,
    seen,
    take,
    taps,
)

pytestmark = pytest.mark.lab

A, B = ClusterId("clu_a"), ClusterId("clu_b")
LOW, HIGH = 0x0F, 0xF0
SLOTS = (0, 4)
SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes"),
)


def address(slot: int) -> str:
    return f"10.77.{slot}.10"


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[RunningGuests]:
    with running_guests(tmp_path_factory.mktemp("guests")) as guests:
        for slot in SLOTS:
            bridge = guests.lab.layout.host_bridge(0, slot)
            guests.lab.run(["ip", "address", "add", f"10.77.{slot}.1/24", "dev", bridge])
        ranges = [f"--dhcp-range={address(slot)},{address(slot)}" for slot in SLOTS]
        leases = guests.lab.folder / "leases"
        files = ["--pid-file=", f"--dhcp-leasefile={leases}", "--conf-file=/dev/null"]
        words = ["--keep-in-foreground", "--port=0", "--user=root", "--dhcp-authoritative"]
        guests.lab.spawn("dnsmasq", ["dnsmasq", *words, *files, *ranges])
        yield guests


@pytest.fixture(autouse=True)
def _emptied(running, request) -> Iterator[None]:
    """Every test begins and ends with hypervisors that hold nothing, and notes of its own."""
    running.name = f"notes-{abs(hash(request.node.name))}"
    yield
    driver = running.open("emptying")
    for node in range(2):
        host = running.slice(1, node)
        held = seen(driver, host) or ()
        asyncio.run(driver.remove(host.device, sorted(held, key=str), Fence(OPERATOR, 99)))
    assert running.virsh("list", "--all", "--name").split() == []
    assert running.files() == []
    running.receipts.kept.clear()


@pytest.fixture(scope="module")
def key_paths(tmp_path_factory) -> dict[ClusterId, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in (A, B):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f'{name} "x"']
        subprocess.run([*words, "-f", folder / name], check=True)
    return {name: folder / name for name in (A, B)}


def public(path: Path) -> tuple[str]:
    return (path.with_suffix(".pub").read_text().strip(),)


def ssh(key: Path, slot: int, command: str) -> subprocess.CompletedProcess[str]:
    words = [*SSH, "-i", str(key), f"root@{address(slot)}", command]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def logged_in(running: RunningGuests, key: Path, slot: int, command: str) -> str:
    """What a command printed in a guest, once the guest has its address."""
    said = []

    def is_in() -> bool:
        done = ssh(key, slot, command)
        said.append(done.stdout.strip())
        return done.returncode == 0

    running.lab.until(is_in, f"ssh to slot {slot}")
    return said[-1]


def test_two_tenants_of_one_node_and_nothing_left_of_the_first(running, key_paths):
    driver = running.open()
    ours = running.slice(LOW, hostname="train-0", ssh_public_keys=public(key_paths[A]))
    theirs = running.slice(HIGH, hostname="infer-0", ssh_public_keys=public(key_paths[B]))
    put(driver, ours, Fence(A, 1))
    put(driver, theirs, Fence(B, 1))
    assert seen(driver, ours) == {ours, theirs}

    assert logged_in(running, key_paths[A], 0, "hostname") == "train-0"
    assert logged_in(running, key_paths[B], 4, "hostname") == "infer-0"
    for foreign, slot in ((key_paths[B], 0), (key_paths[A], 4)):
        refused = ssh(foreign, slot, "hostname")
        assert refused.returncode == 255
        assert "Permission denied" in refused.stderr
    leased = (running.lab.folder / "leases").read_text()
    assert "train-0" in leased
    assert "infer-0" in leased

    a, b = (Endpoint(NodeId(ours.node_id), slot) for slot in SLOTS)
    free = Endpoint(NodeId(ours.node_id), 1)
    elsewhere = Endpoint(NodeId(running.lab.fleet.nodes.ids[3]), 0)
    pairs = [(a, a), (a, b), (b, a), (free, a), (a, free), (elsewhere, a), (free, free)]
    assert asyncio.run(driver.probe(pairs)) == (True, *[False] * 6)

    written = "the weights of clu_a"
    logged_in(running, key_paths[A], 0, f"echo {written!r} | dd of=/dev/vda conv=fsync 2>/dev/null")
    assert written in logged_in(running, key_paths[A], 0, "dd if=/dev/vda count=1 2>/dev/null")
    take(driver, ours, Fence(A, 2))
    assert seen(driver, ours) == {theirs}
    assert running.virsh("list", "--all", "--name").split() == [f"gw-{ours.node_id}-s4"]
    assert running.files() == [f"gw-{ours.node_id}-s4"]
    assert len(guest_processes()) == len(taps()) == 1
    (receipt,) = running.receipts.of_node(ours.node_id)
    assert receipt.is_passed
    assert (receipt.cluster_id, receipt.gpu_mask) == (A, LOW)
    assert [step.name for step in receipt.steps] == ["power off", "discard disk, seed and console"]

    put(driver, replace(theirs, gpu_mask=LOW, hostname="infer-1"), Fence(B, 2))
    assert logged_in(running, key_paths[B], 0, "hostname; cat ~/.ssh/*").startswith("infer-1")
    found = logged_in(running, key_paths[B], 0, "dd if=/dev/vda bs=1M count=64 | tr -d '\\0'")
    assert found == ""
    assert ssh(key_paths[A], 0, "true").returncode == 255


def test_a_slice_that_is_held_runs_nothing_and_has_no_network(running):
    driver = running.open()
    on = running.slice(LOW)
    put(driver, replace(on, power="off"), Fence(A, 1))
    assert guest_processes() == taps() == running.files() == []
    put(driver, on, Fence(A, 1))
    assert len(guest_processes()) == len(taps()) == 1
    put(driver, replace(on, power="off"), Fence(A, 1))
    assert seen(driver, on) == {replace(on, power="off")}
    assert guest_processes() == taps() == running.files() == []
    take(driver, on, Fence(A, 1))
    assert running.receipts.kept, "a guest ran since the slice was clean"


def test_a_slice_that_never_ran_needs_no_cleaning(running):
    driver = running.open()
    held = running.slice(LOW, power="off")
    put(driver, held, Fence(A, 1))
    take(driver, held, Fence(A, 1))
    assert seen(driver, held) == frozenset()
    assert running.receipts.kept == []


@pytest.mark.slow
def test_a_guest_that_dies_is_seen_off_and_started_again(running):
    driver = running.open()
    entry = running.slice(LOW)
    put(driver, entry, Fence(A, 1))
    (pid,) = guest_processes()
    os.kill(pid, signal.SIGKILL)
    off = {replace(entry, power="off")}
    running.lab.until(lambda: seen(driver, entry) == off, "libvirt to notice")
    put(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == {entry}
    assert guest_processes() != [pid]


@pytest.mark.slow
@pytest.mark.parametrize("power", ["off", "on"])
def test_a_guest_that_was_paused_is_drift_whatever_is_wanted(running, power):
    driver = running.open()
    entry = running.slice(LOW)
    put(driver, entry, Fence(A, 1))
    running.virsh("suspend", f"gw-{entry.node_id}-s0")
    assert seen(driver, entry) == {replace(entry, image="")}
    wanted = replace(entry, power=power)
    put(driver, wanted, Fence(A, 1))
    assert seen(driver, entry) == {wanted}


@pytest.mark.slow
def test_a_guest_with_another_network_is_drift(running):
    driver = running.open()
    entry = running.slice(LOW)
    put(driver, entry, Fence(A, 1))
    name = f"gw-{entry.node_id}-s0"
    nic = re.search(r"<interface.*?</interface>", running.virsh("dumpxml", name), re.DOTALL)
    moved = nic[0].replace("bridge='h0s0'", "bridge='h0s4'")
    running.lab.run(["virsh", "update-device", name, "/dev/stdin", "--live"], stdin=moved)
    assert seen(driver, entry) == {replace(entry, image="")}
    put(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == {entry}
    assert len(taps()) == 1


@pytest.mark.slow
def test_guests_live_on_without_libvirt_and_are_found_again(running):
    driver = running.open()
    entry = running.slice(LOW)
    put(driver, entry, Fence(A, 1))
    before = guest_processes()
    daemon = running.lab.programs.pop("libvirtd")
    daemon.kill()
    daemon.wait()
    assert seen(driver, entry) is None
    with pytest.raises(DriverRetryableError, match="Failed to connect") as caught:
        put(driver, replace(entry, power="off"), Fence(A, 1))
    assert "libvirtd" in str(caught.value.next_step)
    assert guest_processes() == before
    start_libvirtd(running.lab)
    assert seen(driver, entry) == {entry}
    assert guest_processes() == before


@pytest.mark.slow
def test_a_libvirt_that_hangs_is_not_waited_for(running):
    driver = running.open(command_s_max=1.0)
    entry = running.slice(LOW, power="off")
    put(driver, entry, Fence(A, 1))
    daemon = running.lab.programs["libvirtd"]
    daemon.send_signal(signal.SIGSTOP)
    try:
        assert seen(driver, entry) is None
        with pytest.raises(DriverRetryableError, match="within 1 s"):
            take(driver, entry, Fence(A, 1))
    finally:
        daemon.send_signal(signal.SIGCONT)
    assert seen(driver, entry) == {entry}


KILLED_AT = 'case "$*" in *"$0"*) kill -9 $PPID; exit 1;; esac; exec "$@"'
"""A prefix of commands that kills the driver's process at the step in question."""
CHILD = """
import asyncio, sys
from pathlib import Path
from running_guests import RunningGuests, put, take
from gigawatt.drivers.guests.settings import GuestsSettings
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import Running
spec = LabSpec(node_count=4, hypervisor_count=2)
fleet = lab_fleet(spec)
lab = Running(fleet, Layout(spec, fleet), Path(sys.argv[1]))
running = RunningGuests(lab, GuestsSettings.model_validate_json(sys.stdin.read()))
running.name = sys.argv[3]
act = put if sys.argv[2] == "put" else take
act(running.open(), running.slice(0x0F), Fence("clu_a", 1))
"""


def killed_at(running: RunningGuests, step: str, what: str) -> None:
    """Run a call in a process that is killed at ``step``."""
    settings = running.settings.model_copy(
        update={
            "hypervisors": tuple(
                one.model_copy(update={"prefix": ("sh", "-c", KILLED_AT, step)})
                for one in running.settings.hypervisors
            )
        }
    )
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(running.lab.folder), what, running.name],
        input=settings.model_dump_json(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("step", [" define ", "qemu-img", " start ", "until grep"])
def test_a_driver_that_is_killed_on_the_way_on_leaves_what_can_be_carried_on(running, step):
    killed_at(running, step, "put")
    driver = running.open()
    entry = running.slice(LOW)
    held = seen(driver, entry)
    assert held in (set(), {replace(entry, power="off")}, {entry})
    with pytest.raises(DriverPermanentError, match="clu_a") if held else nullcontext():
        put(driver, replace(entry, power="off"), Fence(B, 1))
        take(driver, entry, Fence(B, 1))
    put(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == {entry}
    assert len(guest_processes()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [" destroy ", "rm -rf", " undefine "])
def test_a_driver_that_is_killed_on_the_way_off_still_holds_what_is_not_clean(running, step):
    driver = running.open()
    entry = running.slice(LOW)
    put(driver, entry, Fence(A, 1))
    killed_at(running, step, "take")
    assert {one.key for one in seen(driver, entry)} == {entry.key}
    with pytest.raises(DriverPermanentError, match="clu_a"):
        put(driver, replace(entry, power="off"), Fence(B, 1))
    take(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == frozenset()
    assert running.receipts.of_node(entry.node_id)[0].is_passed


@pytest.mark.parametrize("fault", ["missing", "corrupt"])
def test_an_image_that_is_not_whole_starts_nothing(running, tmp_path, fault):
    images = running.settings.model_dump()["images"]
    kernel = tmp_path / "vmlinuz"
    if fault == "corrupt":
        kernel.write_bytes(b"not a kernel")
    images["debian-12-gpu"]["kernel"]["path"] = str(kernel)
    driver = running.open(images=images)
    entry = running.slice(LOW)
    with pytest.raises(DriverPermanentError, match="vmlinuz"):
        put(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == frozenset()
    with pytest.raises(DriverPermanentError, match="there is no image 'plan-9'"):
        put(driver, replace(entry, image="plan-9"), Fence(A, 1))


@pytest.mark.slow
def test_a_guest_that_never_comes_up_is_given_up_after_its_tries(running):
    images = running.settings.model_dump()["images"]
    images["debian-12-gpu"]["ready_line"] = "a line that no guest says"
    driver = running.open(images=images, boot_s_max=2.0)
    entry = running.slice(LOW)
    held = replace(entry, power="off")
    put(driver, held, Fence(A, 1))
    with pytest.raises(DriverPermanentError, match="in 2 tries of 2 s; its console ended with"):
        put(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == {held}
    assert guest_processes() == running.files() == []


@pytest.mark.slow
def test_a_slice_that_was_not_cleaned_is_given_to_nobody(running):
    entry = running.slice(LOW)
    driver = running.open(cleaning={"reset GPUs": {"command": ["sh", "-c", "echo Xid 79; exit 3"]}})
    put(driver, entry, Fence(A, 1))
    with pytest.raises(DriverPermanentError, match=r"'reset GPUs' did not pass.*Xid 79"):
        take(driver, entry, Fence(A, 1))
    assert seen(driver, entry) == {replace(entry, power="off")}
    assert not running.receipts.of_node(entry.node_id)[0].is_passed
    with pytest.raises(DriverPermanentError, match="clu_a"):
        put(driver, replace(entry, power="off"), Fence(B, 1))
    take(running.open(), entry, Fence(A, 1))
    assert seen(driver, entry) == frozenset()


def test_a_virtual_machine_in_our_place_that_is_not_ours_is_seen_and_goes(running):
    entry = running.slice(LOW)
    xml = (
        f"<domain type='qemu'><name>gw-{entry.node_id}-s0</name><memory>65536</memory>"
        "<os><type machine='q35'>hvm</type></os></domain>"
    )
    running.lab.run(["virsh", "define", "/dev/stdin"], stdin=xml)
    driver = running.open()
    (stranger,) = seen(driver, entry)
    assert stranger == replace(entry, gpu_mask=1, hostname="", image="", power="off")
    take(driver, stranger, Fence(OPERATOR, 1))
    assert seen(driver, entry) == frozenset()
