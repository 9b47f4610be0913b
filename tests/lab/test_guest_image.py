"""Goal: the small guest's image is the same for the same parts, and a damaged one is not used.

Method: archives are unpacked again by busybox's own cpio; images are built in a cache of the
test's own around a package that holds a kernel in name only.
"""

import shutil
import subprocess

import pytest

from gigawatt.errors import InputError
from gigawatt.lab.guests import acceleration, image
from gigawatt.lab.guests.initrd import MODULES, Member, archive
from gigawatt.lab.running import missing_packages

TOOLS = {"busybox": "busybox-static", "dropbear": "dropbear-bin", "dpkg-deb": "dpkg"}
needs_tools = pytest.mark.skipif(
    bool(missing_packages(TOOLS)), reason=f"not installed: {missing_packages(TOOLS)}"
)


@needs_tools
def test_an_archive_holds_its_files_and_their_folders(tmp_path):
    made = archive({"a/b": Member(0o100755, b"12345"), "init": Member(0o100644, b"")})
    subprocess.run(["busybox", "cpio", "-idm"], input=made, cwd=tmp_path, check=True)
    assert (tmp_path / "a/b").read_bytes() == b"12345"
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "init").read_bytes() == b""
    assert (tmp_path / "proc").is_dir()


@pytest.fixture
def cache(tmp_path):
    """A cache with a kernel package that needs no mirror."""
    root = tmp_path / "root"
    for path in ("boot/vmlinuz-6", *(f"lib/modules/6/kernel/{name}" for name in MODULES)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "DEBIAN").mkdir()
    words = "Package: linux-image-6\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n"
    (root / "DEBIAN/control").write_text(words)
    cache = tmp_path / "cache"
    cache.mkdir()
    deb = cache / "linux-image-6_1_all.deb"
    command = ["dpkg-deb", "--build", "-z0", str(root), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    return cache


@needs_tools
def test_an_image_is_built_once_and_again_when_it_is_damaged(cache):
    first = image.build_image(cache)
    assert first.kernel.read_text() == "boot/vmlinuz-6"
    stamp = first.initrd.stat().st_mtime_ns
    assert image.build_image(cache) == first
    assert first.initrd.stat().st_mtime_ns == stamp
    first.initrd.write_bytes(b"cut short")
    assert image.build_image(cache) == first
    assert first.initrd.stat().st_mtime_ns != stamp
    shutil.rmtree(first.initrd.parent)
    assert image.build_image(cache) == first


def test_a_package_that_cannot_be_fetched_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "KERNEL_PACKAGE", "no-such-kernel-anywhere")
    with pytest.raises(InputError, match="no-such-kernel-anywhere") as caught:
        image.build_image(tmp_path)
    assert caught.value.next_step or "knows no kernel" in str(caught.value)


def test_kvm_counts_only_after_a_guest_has_booted_with_it(tmp_path, monkeypatch):
    asked = []

    def boots(*_: object) -> bool:
        asked.append(1)
        return False

    monkeypatch.setattr(acceleration, "KVM", tmp_path)
    monkeypatch.setattr(acceleration, "boots_with", boots)
    small = image.SmallImage(tmp_path, tmp_path, "", "")
    for _ in range(2):
        choice = acceleration.chosen_acceleration(small, tmp_path)
        assert choice.accelerator == "tcg"
        assert "no guest came up" in choice.reason
    assert asked == [1], "found out once for each start of the machine"
    monkeypatch.setattr(acceleration, "KVM", tmp_path / "absent")
    assert "is not there" in acceleration.chosen_acceleration(small, tmp_path).reason
