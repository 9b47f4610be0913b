"""Goal: a guest has the exports of its own network, and one that has others is not taken for it.

Method: definitions are read back as libvirt would give them, as they are and with one thing made
wrong; the seed is read as YAML; the servers' program is judged by the shell. What the shares do is
for the lab to show (tests/lab/test_guests_shares.py).
"""

import asyncio
import subprocess

import pytest
import yaml

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.guests.component import Guests
from gigawatt.drivers.guests.domain_xml import guest_xml
from gigawatt.drivers.guests.seed import seed_files
from gigawatt.drivers.guests.settings import (
    BoardSettings,
    FileSettings,
    HypervisorSettings,
    ImageSettings,
    NicSettings,
)
from gigawatt.drivers.guests.shares import Attachment, server_program
from gigawatt.drivers.guests.slots import BootLimits, Slots
from gigawatt.drivers.guests.spec import GuestSpec, Hypervisor
from gigawatt.drivers.guests.virtual_machines import parse_vm
from gigawatt.errors import DriverRetryableError
from gigawatt.fleet.demo import HGX_H100
from gigawatt.ids import ClusterId, NodeId

POOLS = {"fs0": "/srv/fs0", "fs1": "/srv/fs1"}
OURS, THEIRS = 4242, 4243
KERNEL = ImageSettings(kernel=FileSettings(path="/srv/vmlinuz", sha256="0" * 64))
ENTRY = HostSlice(NodeId("h0"), 0x0F, True, "train-0", "small", ("ssh-ed25519 AAAA ada",), "on")
NAME = "gw-h0-s0"


def slots(pools: dict[str, str]) -> Slots:
    settings = HypervisorSettings(
        node_id=NodeId("h0"),
        board="lab",
        folder="/var/g",
        nic_of_slot={0: NicSettings(mac="02:67:77:00:00:00", bridge="h0s0")},
        storage_pools=pools,
    )
    board = BoardSettings(accelerator="tcg")
    hypervisor = Hypervisor(settings, HGX_H100, board, {"small": KERNEL}, 64)
    limits = BootLimits(1.0, 1)
    # Nothing here makes or stops anything, so nothing that could is there.
    return Slots(hypervisor, None, None, limits, {}, None, None, 1.0)


def spec(*pools: str, vni: int = OURS) -> GuestSpec:
    attachment = Attachment(vni, pools) if pools else None
    return slots(POOLS).hypervisor.spec(ENTRY, ClusterId("clu_a"), attachment)


def read_back(text: str, pools: dict[str, str] = POOLS) -> HostSlice:
    return slots(pools).entry_of(parse_vm(NAME, text, "running"))


@pytest.mark.parametrize("pools", [(), ("fs0",), ("fs0", "fs1")])
def test_a_guest_has_the_exports_of_its_network_in_its_pools(pools):
    made = spec(*pools)
    found = parse_vm(NAME, guest_xml(made), "running")
    assert found.shares == set(made.shares)
    assert {one.source for one in found.shares} == {f"/srv/{p}/exports/{OURS}" for p in pools}
    assert {one.target for one in found.shares} == {f"/mnt/{p}" for p in pools}
    assert found.metadata.attachment == made.attachment
    assert read_back(guest_xml(made)) == ENTRY


def test_guests_of_two_networks_share_no_folder_and_no_server():
    one, other = spec(*POOLS), spec(*POOLS, vni=THEIRS)
    assert not {share.source for share in one.shares} & {share.source for share in other.shares}
    servers = [share.server for share in one.shares]
    assert len(set(servers)) == len(servers)
    assert all(server.startswith(f"{one.files}/") for server in servers)


EXTRA = "<filesystem type='mount'><source dir='/srv/fs0/exports/1'/><target dir='x'/></filesystem>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"/srv/fs0/exports/{OURS}", f"/srv/fs0/exports/{THEIRS}"),
        (f"/srv/fs0/exports/{OURS}", "/srv/fs0/exports"),
        (f"/srv/fs0/exports/{OURS}", f"/srv/fs1/exports/{OURS}"),
        ("/var/g/gw-h0-s0/share-fs0", "/usr/lib/qemu/virtiofsd"),
        ('<target dir="fs0" />', '<target dir="fs1" />'),
        ("</devices>", EXTRA + "</devices>"),
        (f'vni="{OURS}"', f'vni="{THEIRS}"'),
    ],
)
def test_a_guest_with_another_share_is_not_as_it_was_put(old, new):
    text = guest_xml(spec("fs0"))
    assert old in text
    seen = read_back(text.replace(old, new))
    assert (seen.image, seen.key) == ("", ENTRY.key)


def test_a_guest_that_lost_its_share_is_not_as_it_was_put():
    text = guest_xml(spec("fs0"))
    start, end = text.index("<filesystem"), text.index("</filesystem>") + len("</filesystem>")
    assert read_back(text[:start] + text[end:]).image == ""


def test_a_pool_that_comes_later_changes_no_guest_that_runs_and_one_that_goes_does():
    text = guest_xml(spec("fs0"))
    assert read_back(text, {**POOLS, "fs2": "/srv/fs2"}) == ENTRY
    assert read_back(text, {"fs1": "/srv/fs1"}).image == ""
    assert read_back(text, {"fs0": "/srv/elsewhere", "fs1": "/srv/fs1"}).image == ""


def test_the_seed_mounts_each_share_without_set_uid_and_devices():
    seed = yaml.safe_load(seed_files(spec("fs0", "fs1"))["user-data"])
    assert seed["ssh_authorized_keys"] == list(ENTRY.ssh_public_keys)
    for pool in ("fs0", "fs1"):
        assert f"mount /mnt/{pool}" in seed["runcmd"]
        (table,) = (line for line in seed["runcmd"] if line.startswith(f"echo '{pool} "))
        assert f" /mnt/{pool} virtiofs nosuid,nodev,nofail " in table
    assert "runcmd" not in yaml.safe_load(seed_files(spec())["user-data"])


def test_the_program_of_a_server_is_one_the_shell_reads(tmp_path):
    (share,) = spec("fs0").shares
    path = tmp_path / "server"
    path.write_text(server_program(share, "/usr/lib/qemu/virtiofsd"))
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
    assert f"remount,bind,ro,nosuid,nodev /srv/fs0/exports/{OURS}" in path.read_text()


def test_a_guest_whose_port_is_in_no_network_waits_for_it():
    guests = Guests(None, {ENTRY.device: slots(POOLS)}, has_whole_nodes=False)
    guests.networks = NoNetwork()
    with pytest.raises(DriverRetryableError, match="in no in-band network"):
        asyncio.run(guests.put(ENTRY.device, {}, {ENTRY.key: ENTRY}, ClusterId("clu_a")))


class NoNetwork:
    """Networks in which nobody is."""

    async def vni_of(self, endpoint) -> int | None:
        del endpoint
        return None


@pytest.mark.parametrize("pool_id", ["", "a b", "../x", "$(id)", "x" * 36, "-o"])
def test_a_pool_whose_name_would_be_read_as_something_else_is_refused(pool_id):
    with pytest.raises(ValueError, match="storage_pools"):
        slots({pool_id: "/srv/fs0"})
