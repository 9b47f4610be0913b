"""Where the states of all devices live: the interface, and the one in memory."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from gigawatt.drivers.fake.state import Delta, DeviceState
from gigawatt.ids import DeviceId

HISTORY_MAX = 16
"""Writes by which a device can be set back."""


class DeviceStates(Protocol):
    """States of all devices. Everything happens inside ``transaction``, one at a time."""

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside happens wholly or not at all, also against other processes."""
        ...

    def load(self, devices: Collection[DeviceId]) -> Mapping[DeviceId, DeviceState]:
        """True states of ``devices``, to be read only; a device never written is empty."""
        ...

    def written(self) -> frozenset[DeviceId]:
        """Devices that were ever written."""
        ...

    def apply(self, device: DeviceId, delta: Delta) -> None:
        """Change one device, and remember how to turn the change around."""
        ...

    def rewind(self, device: DeviceId, write_count: int) -> None:
        """Turn the last writes around, newest first, as far as they are remembered."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class MemoryStates:
    """States in this process's memory."""

    def __init__(self) -> None:
        """Start with every device empty."""
        self._states: defaultdict[DeviceId, DeviceState] = defaultdict(DeviceState)
        self._history: defaultdict[DeviceId, deque[Delta]] = defaultdict(
            lambda: deque(maxlen=HISTORY_MAX)
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing to do: the world's lock keeps others out and checks come before changes."""
        yield

    def load(self, devices: Collection[DeviceId]) -> Mapping[DeviceId, DeviceState]:
        """See ``DeviceStates.load``."""
        empty = DeviceState()
        return {device: self._states.get(device, empty) for device in devices}

    def written(self) -> frozenset[DeviceId]:
        """See ``DeviceStates.written``."""
        return frozenset(self._states)

    def apply(self, device: DeviceId, delta: Delta) -> None:
        """See ``DeviceStates.apply``."""
        undo = self._states[device].apply(delta)
        if delta.held:
            self._history[device].append(undo)

    def rewind(self, device: DeviceId, write_count: int) -> None:
        """See ``DeviceStates.rewind``."""
        history = self._history[device]
        for _ in range(min(write_count, len(history))):
            self._states[device].apply(history.pop())

    def close(self) -> None:
        """Nothing to release."""
