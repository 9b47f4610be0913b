"""Devices that are not there: the embedded default, and the device side of the digital twin."""

from gigawatt.drivers.fake.driver import FakeDriver, fake_drivers
from gigawatt.drivers.fake.faults import FaultKind, FaultRule, Faults, dead, unreachable
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.latency import NO_LATENCY, Latency, site_latency
from gigawatt.drivers.fake.world import DeviceWorld

__all__ = [
    "NO_LATENCY",
    "DeviceWorld",
    "FakeDriver",
    "FaultKind",
    "FaultRule",
    "Faults",
    "FileStates",
    "Latency",
    "dead",
    "fake_drivers",
    "site_latency",
    "unreachable",
]
