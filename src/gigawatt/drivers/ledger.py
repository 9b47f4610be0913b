"""What no component can keep: who holds each key of a device, and which fences it has seen.

One file for each device. The component stays the truth about what is there; the ledger tells
whose it is. A lost ledger makes keys nobody's: the reconciler then finds them as strangers.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gigawatt.drivers.files import replace_files, try_lock
from gigawatt.errors import DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.codec import TaggedEntry

POLL_S = 0.02
"""Pause between two looks whether it is one's turn. Ours."""


@dataclass(frozen=True, slots=True)
class KeyNote:
    """What is noted of one key: the cluster that holds it, and the entry as it was asked for."""

    owner: ClusterId
    entry: TaggedEntry


@dataclass(frozen=True, slots=True)
class DeviceNote:
    """What is noted of one device.

    Fields: generations is the newest generation seen of each cluster; keys is by entry key;
    unsure are keys of a change whose end was not seen, so that the device may hold them as
    noted, as before, or not at all.
    """

    generations: Mapping[ClusterId, int] = field(default_factory=dict)
    keys: Mapping[str, KeyNote] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()


@cache
def _adapter() -> TypeAdapter[DeviceNote]:
    return TypeAdapter(DeviceNote)


class Ledger:
    """The notes of all devices of one driver, in one folder."""

    def __init__(self, folder: Path, clock: Clock, turn_s_max: float = 300.0) -> None:
        """Keep the notes in ``folder``; a turn is waited for ``turn_s_max`` at most."""
        self._folder = folder
        self._clock = clock
        self._turn_s_max = turn_s_max

    @asynccontextmanager
    async def turn(self, device: DeviceId) -> AsyncIterator[None]:
        """Have a device to oneself among all processes.

        Raises:
            DriverRetryableError: others kept it all the while, or the disk takes no lock.
        """
        path = self._path(device).with_suffix(".lock")
        until_s = self._clock.now_s() + self._turn_s_max
        while True:
            with ExitStack() as stack:
                try:
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    is_ours = stack.enter_context(try_lock(path))
                except OSError as error:
                    raise _not_written(device, path, error) from error
                if is_ours:
                    yield
                    return
            if self._clock.now_s() >= until_s:
                raise DriverRetryableError(
                    f"{device}: others changed it for {self._turn_s_max:g} s", device=device
                )
            await self._clock.sleep(POLL_S)

    def read(self, device: DeviceId) -> DeviceNote:
        """What is noted; nothing if there was never a note.

        Raises:
            DriverRetryableError: the note is damaged or cannot be read.
        """
        path = self._path(device)
        try:
            digest, _, body = path.read_text(encoding="utf-8").partition("\n")
            if digest != _digest(body):
                raise _damaged(device, path, "its checksum is wrong")
            return _adapter().validate_json(body)
        except FileNotFoundError:
            return DeviceNote()
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise _damaged(device, path, str(error).partition("\n")[0]) from error

    def write(self, device: DeviceId, note: DeviceNote) -> None:
        """Note this instead; on the disk when it returns.

        Raises:
            DriverRetryableError: the disk does not take it; the note is as it was.
        """
        body = _adapter().dump_json(note).decode()
        path = self._path(device)
        try:
            replace_files((path,), f"{_digest(body)}\n{body}")
        except OSError as error:
            raise _not_written(device, path, error) from error

    def _path(self, device: DeviceId) -> Path:
        return self._folder / f"{device.replace('/', '__')}.json"


def _digest(body: str) -> str:
    return blake2b(body.encode(), digest_size=16).hexdigest()


def _not_written(device: DeviceId, path: Path, error: OSError) -> DriverRetryableError:
    return DriverRetryableError(
        f"{device}: {path} was not changed: {error.strerror}",
        device=device,
        next_step=f"Make room on, or mend, the disk of {path.parent}, then try again.",
    )


def _damaged(device: DeviceId, path: Path, why: str) -> DriverRetryableError:
    return DriverRetryableError(
        f"{device}: the note {path} does not read back: {why}",
        device=device,
        next_step=f"Move {path} away and run 'gw reconcile': what the device holds is then nobody's"
        " and is taken back or taken out by what the store says.",
    )
