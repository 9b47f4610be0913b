"""What can be done to a host: power, boot override, virtual media, restart of the BMC."""

import urllib.parse
import urllib.request
from pathlib import Path
from threading import Thread

from gigawatt.lab.redfish.answer import NO_CONTENT, Answer, RefusedError
from gigawatt.lab.redfish.namespace import enter
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.simulated import BootOverride, Drive, SimulatedBmc
from gigawatt.lab.redfish.tree import BOOT_TARGETS, OVERRIDES, RESETS

MEDIA_S_MAX = 60.0
"""Time to fetch an image. Ours."""
MEDIA_BYTES_MAX = 8 << 30
CHUNK_BYTES = 1 << 20


def reset_system(request: Request) -> Answer:
    """On, off, or both.

    Raises:
        RefusedError: an unknown type, or the power command failed.
    """
    bmc, how = request.bmc, request.value("ResetType", str)
    if how not in RESETS:
        raise RefusedError(400, "ActionParameterValueNotInList", f"ResetType {how!r}")
    if how not in {"On", "ForceOn"}:
        bmc.machine.power_off(is_graceful=how.startswith("Graceful"))
    if how not in {"ForceOff", "GracefulShutdown"}:
        bmc.machine.power_on(bmc.media_to_boot())
    bmc.tell("ResourceEvent.1.3.ResourceChanged", f"the host was reset: {how}")
    return NO_CONTENT


def change_system(request: Request) -> Answer:
    """Where to boot from.

    Raises:
        RefusedError: something else, or a source that there is not.
    """
    boot = request.value("Boot", dict)
    target = boot.get("BootSourceOverrideTarget", request.bmc.boot.target)
    enabled = boot.get("BootSourceOverrideEnabled", request.bmc.boot.enabled)
    if target not in BOOT_TARGETS or enabled not in OVERRIDES:
        raise RefusedError(400, "PropertyValueNotInList", f"cannot boot {enabled} from {target}")
    if boot.get("BootSourceOverrideMode", "UEFI") != "UEFI":
        raise RefusedError(400, "PropertyValueNotInList", "boots by UEFI only")
    request.bmc.boot = BootOverride(target, enabled)
    return NO_CONTENT


def insert_media(request: Request) -> Answer:
    """Fetch an image into the virtual drive.

    Raises:
        RefusedError: the drive is full, or the image cannot be fetched.
    """
    bmc, url = request.bmc, request.value("Image", str)
    if bmc.drive.url is not None:
        raise RefusedError(400, "ResourceInUse", "the virtual drive is full")
    if urllib.parse.urlsplit(url).scheme != "http":
        raise RefusedError(400, "ActionParameterValueFormatError", "only http:// is fetched")
    path = bmc.simulator.folder / f"{bmc.config.node_id}.iso"
    fetch(bmc, url, path)
    bmc.drive = Drive(url, path)
    bmc.tell("ResourceEvent.1.3.ResourceChanged", f"{url} was inserted")
    return NO_CONTENT


def eject_media(request: Request) -> Answer:
    """Empty the virtual drive; nothing to do if it is."""
    request.bmc.eject()
    return NO_CONTENT


def restart(request: Request) -> Answer:
    """Restart the BMC.

    Raises:
        RefusedError: an unknown type.
    """
    how = request.value("ResetType", str)
    if how not in {"ForceRestart", "GracefulRestart"}:
        raise RefusedError(400, "ActionParameterValueNotInList", f"ResetType {how!r}")
    request.bmc.restart()
    return NO_CONTENT


def fetch(bmc: SimulatedBmc, url: str, path: Path) -> None:
    """Fetch ``url`` to ``path`` from the BMC's own namespace.

    Raises:
        RefusedError: it could not be fetched; nothing is left.
    """
    failures: list[Exception] = []

    def work() -> None:
        try:
            enter(bmc.config.namespace)
            _download(url, path)
        except (OSError, ValueError) as error:
            path.unlink(missing_ok=True)
            failures.append(error)

    # A thread of its own, because it stays in the namespace that it entered.
    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise RefusedError(400, "CouldNotEstablishConnection", f"{url}: {failures[0]}")


def _download(url: str, path: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    size_bytes = 0
    with opener.open(url, timeout=MEDIA_S_MAX) as source, path.open("wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > MEDIA_BYTES_MAX:
                raise OSError(f"more than {MEDIA_BYTES_MAX} bytes")
            file.write(chunk)
