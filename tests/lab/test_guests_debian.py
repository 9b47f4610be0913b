"""Goal: what the driver tells a guest is understood by cloud-init itself, on a whole Debian.

Method: the guests' driver boots the Debian image under libvirt; the guest gets its address by
DHCP from a dnsmasq of the test's own. ssh and what cloud-init says of itself are the judges.
"""

import subprocess
from pathlib import Path

import pytest

from gigawatt.errors import InputError
from gigawatt.ids import ClusterId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.guests.debian import debian_image
from gigawatt.lab.guests.image import cache_folder
from running_guests import put, running_guests, seen, take

# Where the processor is emulated and busy, systemd and cloud-init take minutes.
pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

ADDRESS = "10.77.0.10"
SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "IdentitiesOnly=yes"),
)


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    try:
        debian_image(cache_folder())
    except InputError as error:
        pytest.skip(f"{error}; {error.next_step}")


def ssh(key: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*SSH, "-i", str(key), f"root@{ADDRESS}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_cloud_init_does_what_the_seed_says(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    for key in (own, other):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(key)], check=True)
    with running_guests(tmp_path / "guests", "debian") as guests:
        bridge = guests.lab.layout.host_bridge(0, 0)
        guests.lab.run(["ip", "address", "add", "10.77.0.1/24", "dev", bridge])
        files = ["--pid-file=", f"--dhcp-leasefile={tmp_path / 'leases'}", "--conf-file=/dev/null"]
        words = ["--keep-in-foreground", "--port=0", "--user=root", "--dhcp-authoritative"]
        given = f"--dhcp-range={ADDRESS},{ADDRESS}"
        guests.lab.spawn("dnsmasq", ["dnsmasq", *words, *files, given])
        driver = guests.open()
        public = own.with_suffix(".pub").read_text().strip()
        host = guests.slice(0x0F, hostname="train-7", ssh_public_keys=(public,))
        put(driver, host, Fence(ClusterId("clu_a"), 1))

        assert ssh(own, "hostname").stdout == "train-7\n"
        assert "Debian" in ssh(own, "cat", "/etc/os-release").stdout
        said = ssh(own, "cloud-init", "status", "--long").stdout
        assert "status: done" in said, said
        assert "NoCloud" in said, said
        assert ssh(other, "true").returncode == 255, "a key that nobody named opens it"

        assert seen(driver, host) == {host}
        take(driver, host, Fence(ClusterId("clu_a"), 1))
        assert guests.virsh("list", "--all", "--name").split() == []
        assert guests.files() == []
