"""Whether this machine runs virtual machines itself (KVM), or their processor is emulated (TCG).

``/dev/kvm`` proves nothing: where a machine is itself virtual, firmware may start under KVM and
the kernel never come up. So a guest is booted, in bounded time, and its own word counts.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gigawatt.lab.guests.image import COMMAND_LINE, READY_LINE, SmallImage
from gigawatt.lab.running import tool_environment

KVM = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROOF_S_MAX = 20.0
"""Where KVM works the guest is up in a few seconds; emulated it takes 3 to 7. MEASURED"""


@dataclass(frozen=True, slots=True)
class Acceleration:
    """The choice, and why."""

    accelerator: Literal["kvm", "tcg"]
    reason: str


def chosen_acceleration(image: SmallImage, cache: Path) -> Acceleration:
    """KVM if a guest boots with it; found out once for each start of this machine."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Acceleration("tcg", f"{KVM} is not there for us")
    kept = cache / f"kvm-{BOOT_ID.read_text().strip()}"
    if not kept.exists():
        verdict = "works" if boots_with(image, "kvm", PROOF_S_MAX) else "fails"
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(verdict)
        fresh.rename(kept)
    if kept.read_text() == "works":
        return Acceleration("kvm", "a guest booted with it")
    return Acceleration("tcg", f"with {KVM} no guest came up within {PROOF_S_MAX:g} s")


def boots_with(image: SmallImage, accelerator: str, wait_s_max: float) -> bool:
    """Whether a guest says that it is ready in time."""
    words = [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", accelerator, "-m", "128"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", COMMAND_LINE),
    ]
    with subprocess.Popen(  # noqa: S603 - fixed words
        ["timeout", f"{wait_s_max:g}", *words],  # noqa: S607 - Debian's folders come first
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=tool_environment(),
    ) as process:
        assert process.stdout is not None, "opened with a pipe"
        is_ready = any(READY_LINE.encode() in line for line in process.stdout)
        process.terminate()
    return is_ready
