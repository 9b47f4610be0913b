"""Files of a guest on its hypervisor: disk, seed, console, servers of shares; in one folder."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from gigawatt.drivers.guests.commands import Commands
from gigawatt.drivers.guests.seed import LABEL, seed_files
from gigawatt.drivers.guests.settings import ImageSettings
from gigawatt.drivers.guests.shares import server_program
from gigawatt.drivers.guests.spec import GuestSpec
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import DeviceId

DIGEST_S_MAX = 300.0
"""Longest that reading an image through may take. Ours: some GB from a slow disk."""
SEED_S_MAX = 30.0

_PUT = 'umask 077 && mkdir -p "$1" && cat > "$2.new" && mv "$2.new" "$2"'
_PUT_PROGRAM = _PUT + ' && chmod 0700 "$2"'
_GONE = 'rm -rf -- "$1" && if [ -e "$1" ]; then echo "$1 is still there" >&2; exit 1; fi'
_HEARD = 'until grep -qsF -e "$1" "$2"; do sleep 0.2; done'
"""Programs for ``sh -c``."""


class GuestFiles:
    """Makes and takes away the files of one hypervisor's guests."""

    def __init__(self, device: DeviceId, commands: Commands, disk_mib: int, virtiofsd: str) -> None:
        """Files on ``device``; an empty disk has ``disk_mib``, shares are ``virtiofsd``'s."""
        self._device = device
        self._virtiofsd = virtiofsd
        self._commands = commands
        self._disk_mib = disk_mib

    async def check_image(self, name: str, image: ImageSettings) -> None:
        """See that every file of an image is what the settings say.

        Raises:
            DriverPermanentError: one is missing or holds something else.
        """
        for file in image.files:
            command = ["sha256sum", "--binary", file.path]
            output = await self._commands.run(command, time_s_max=DIGEST_S_MAX)
            found = output.decode().partition(" ")[0]
            if found != file.sha256:
                raise DriverPermanentError(
                    f"{self._device}: {file.path} of image {name!r} has the SHA-256 {found[:16]}..,"
                    f" wanted {file.sha256[:16]}..",
                    device=self._device,
                    next_step="Put the image there again; nothing was started from it.",
                )

    async def lay_out(self, spec: GuestSpec) -> None:
        """Make the disk, the seed and what serves its shares anew."""
        seed = await asyncio.wait_for(_seed(spec), SEED_S_MAX)
        put = ["sh", "-c", _PUT, "sh", spec.files, spec.seed_path]
        await self._commands.run(put, stdin=seed)
        if spec.has_disk:
            await self._commands.run(["qemu-img", "create", "-q", *self._disk_words(spec)])
        for share in spec.shares:
            program = server_program(share, self._virtiofsd)
            put = ["sh", "-c", _PUT_PROGRAM, "sh", spec.files, share.server]
            await self._commands.run(put, stdin=program.encode())
            # It may be that nothing was exported there yet; libvirt wants to see the folder.
            await self._commands.run(["mkdir", "-p", share.source])

    def _disk_words(self, spec: GuestSpec) -> list[str]:
        if spec.image.disk is None:
            return ["-f", "qcow2", spec.disk_path, f"{self._disk_mib}M"]
        base = spec.image.disk.path
        return ["-f", "qcow2", "-F", "qcow2", "-b", base, spec.disk_path]

    async def discard(self, folder: str) -> str:
        """Take a guest's folder away, and see that it is gone; says so."""
        await self._commands.run(["sh", "-c", _GONE, "sh", folder])
        return f"{folder} is gone"

    async def hear(self, spec: GuestSpec, wait_s_max: float) -> bool:
        """Whether the guest says its ready line within ``wait_s_max``; at once if it has none."""
        line = spec.image.ready_line
        if not line:
            return True
        limit = ["timeout", f"{wait_s_max:g}", "sh", "-c", _HEARD, "sh", line, spec.console_path]
        try:
            await self._commands.run(limit, time_s_max=wait_s_max + SEED_S_MAX)
        except DriverPermanentError:
            return False
        return True

    async def last_words(self, spec: GuestSpec) -> str:
        """The last line on the console."""
        tail = ["sh", "-c", 'tail -c 300 "$1" | tail -n 1', "sh", spec.console_path]
        said = (await self._commands.run(tail)).decode(errors="replace")
        return "".join(letter for letter in said if letter.isprintable()).strip() or "nothing"


async def _seed(spec: GuestSpec) -> bytes:
    """The seed as an ISO 9660 image, made on this machine."""
    with TemporaryDirectory(prefix="gigawatt-seed-") as scratch:
        folder = Path(scratch) / "seed"
        folder.mkdir()
        for name, text in seed_files(spec).items():
            (folder / name).write_text(text, encoding="utf-8")
        iso = Path(scratch) / "seed.iso"
        words = ["xorriso", "-as", "mkisofs", "-quiet", "-V", LABEL, "-J", "-r"]
        process = await asyncio.create_subprocess_exec(
            *words,
            "-o",
            str(iso),
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise DriverPermanentError(
                f"xorriso made no seed for {spec.name}: {output.decode(errors='replace')[-300:]}",
                next_step="Install xorriso on the control plane's machine, or make room on /tmp.",
            )
        return iso.read_bytes()
