"""The small guest's image: Debian's cloud kernel and an initrd, built once and kept.

``python -m gigawatt.lab.guests.image`` fetches the kernel's package and builds; it needs the
Debian mirror, so it is run outside a room. Afterwards nothing needs a network.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gigawatt.errors import InputError
from gigawatt.lab.guests.initrd import MODULES, common_members, small_initrd
from gigawatt.lab.running import SAID_MAX, tool_environment

KERNEL_PACKAGE = "linux-image-cloud-amd64"
"""Debian's kernel for guests; it depends on the package of its newest version."""

SUMS = "SHA256SUMS"
"""File beside an image with what it was when it was built."""

READY_LINE = "gigawatt-guest ready"
"""What the guest prints on its console when SSH answers and its seed was applied."""

COMMAND_LINE = "console=ttyS0 quiet no_timer_check panic=1 net.ifnames=0"
"""``no_timer_check``: without it one guest of twelve hung ("8254 timer not connected") where
processors are emulated and busy. MEASURED"""


@dataclass(frozen=True, slots=True)
class SmallImage:
    """Where the image lies, and the SHA-256 of each file."""

    kernel: Path
    initrd: Path
    kernel_sha256: str
    initrd_sha256: str


def cache_folder() -> Path:
    """Where images are kept between labs."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "gigawatt" / "guests"


def build_image(cache: Path) -> SmallImage:
    """The image of what this machine has now; built and kept if it is not yet.

    The kernel's package is fetched only if the cache has none. A kept image that is not as it was
    built is built again.

    Raises:
        InputError: a package cannot be fetched, or a part is missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    package = _kernel_package(cache)
    folder = cache / f"small-{_digest_of_parts(package)}"
    if (folder / SUMS).exists() and (folder / SUMS).read_text() == _sums(_image(folder)):
        return _image(folder)
    with TemporaryDirectory(dir=cache) as scratch:
        root, fresh = Path(scratch) / "package", Path(scratch) / "image"
        run_tool(["dpkg", "-x", str(package), str(root)], cache)
        fresh.mkdir()
        next(root.glob("boot/vmlinuz-*")).rename(fresh / "vmlinuz")
        modules = next(root.glob("lib/modules/*/kernel"))
        (fresh / "initrd.gz").write_bytes(small_initrd(modules))
        (fresh / SUMS).write_text(_sums(_image(fresh)))
        if folder.exists():
            folder.rename(Path(scratch) / "damaged")
        fresh.rename(folder)
    return _image(folder)


def _digest_of_parts(package: Path) -> str:
    """What tells one image from another: kernel package, modules of it, programs, script."""
    digest = hashlib.sha256(package.read_bytes())
    digest.update(" ".join(MODULES).encode())
    for path, member in sorted(common_members().items()):
        digest.update(path.encode() + member.content)
    return digest.hexdigest()[:16]


def _sums(image: SmallImage) -> str:
    return f"{image.kernel_sha256}  vmlinuz\n{image.initrd_sha256}  initrd.gz\n"


def _kernel_package(cache: Path) -> Path:
    """The kernel's package file; fetched if the cache has none."""
    kept = sorted(cache.glob("linux-image-[0-9]*.deb"))
    if kept:
        return kept[-1]
    said = run_tool(["apt-cache", "depends", "--important", KERNEL_PACKAGE], cache)
    names = [line.split()[-1] for line in said.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise InputError(f"apt knows no kernel that {KERNEL_PACKAGE} depends on: {said!r}")
    run_tool(["apt-get", "download", names[0]], cache)
    return max(cache.glob("linux-image-[0-9]*.deb"))


def _image(folder: Path) -> SmallImage:
    kernel, initrd = folder / "vmlinuz", folder / "initrd.gz"
    return SmallImage(kernel, initrd, sha256_of(kernel), sha256_of(initrd))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex; empty if there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def run_tool(command: Sequence[str], cwd: Path) -> str:
    """What a tool printed.

    Raises:
        InputError: it is missing or failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            command, cwd=cwd, capture_output=True, text=True, env=tool_environment(), check=False
        )
    except FileNotFoundError as error:
        raise InputError(f"there is no {command[0]} on this machine") from error
    if done.returncode:
        raise InputError(
            f"'{' '.join(command)}' failed with {done.returncode}: {done.stderr[-SAID_MAX:]}",
            next_step="Build where the Debian mirror is reached, after 'apt-get update'.",
        )
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{build_image(cache_folder()).initrd.parent}\n")
