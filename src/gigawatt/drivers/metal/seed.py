"""The seed that a node boots with: a NoCloud medium of our own words, for one boot.

Source of the form: cloud-init's documentation, "NoCloud" (label ``cidata``) and "Network config
version 2".
"""

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path

from gigawatt.artefacts.access import LOGIN_USER
from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.metal.settings import MediaSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError

BUILD_S_MAX = 60.0
"""A medium of some kilobytes; measured: 20 ms."""


def seed_digest(wanted: HostSlice) -> str:
    """Tells apart what a node was booted with: name, image and keys."""
    words = [wanted.hostname, wanted.image, *wanted.ssh_public_keys]
    return blake2b(json.dumps(words).encode(), digest_size=16).hexdigest()


def seed_files(wanted: HostSlice) -> dict[str, str]:
    """Content by name of the medium's files. JSON, which is YAML too."""
    keys = list(wanted.ssh_public_keys)
    user = {
        "name": LOGIN_USER,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": True,
        "ssh_authorized_keys": keys,
    }
    root = {"name": "root", "ssh_authorized_keys": keys}
    cloud = {
        "hostname": wanted.hostname,
        "disable_root": False,
        "ssh_pwauth": False,
        "users": [user, root],
    }
    meta = {
        "instance-id": f"{wanted.node_id}-{seed_digest(wanted)}",
        "local-hostname": wanted.hostname,
        "gigawatt-image": wanted.image,
    }
    ethernets = {"inband": {"match": {"name": "e*"}, "dhcp4": True}}
    return {
        "meta-data": json.dumps(meta, indent=1) + "\n",
        "user-data": "#cloud-config\n" + json.dumps(cloud, indent=1) + "\n",
        "network-config": json.dumps({"version": 2, "ethernets": ethernets}, indent=1) + "\n",
    }


@asynccontextmanager
async def served_seed(wanted: HostSlice, media: MediaSettings) -> AsyncIterator[str]:
    """Address of the medium for a slice; nobody can guess it, and it is gone at the end.

    Raises:
        DriverRetryableError: it cannot be written.
        DriverPermanentError: ``xorriso`` is missing or refuses.
    """
    media.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = media.folder / f"{secrets.token_urlsafe(32)}.iso"
    try:
        with tempfile.TemporaryDirectory(prefix="gigawatt-seed-") as folder:
            _write_files(Path(folder), seed_files(wanted))
            await _build(folder, path, wanted)
        yield f"{media.url}/{path.name}"
    except OSError as error:
        raise DriverRetryableError(
            f"{wanted.device}: its boot medium was not written: {error}", device=wanted.device
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _write_files(folder: Path, text_of: Mapping[str, str]) -> None:
    for name, text in text_of.items():
        (folder / name).write_text(text, encoding="utf-8")


async def _build(folder: str, path: Path, wanted: HostSlice) -> None:
    words = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r"]
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            "-o",
            str(path),
            folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise DriverPermanentError(
            "xorriso is not on this machine",
            device=wanted.device,
            next_step="apt-get install xorriso",
        ) from error
    try:
        _, said = await asyncio.wait_for(process.communicate(), BUILD_S_MAX)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise DriverPermanentError(
            f"{wanted.device}: xorriso failed: {said.decode(errors='replace').strip()[-300:]}",
            device=wanted.device,
        )
