"""The state of one simulated BMC, and what it tells of what happens."""

import queue
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, RLock
from time import monotonic
from uuid import NAMESPACE_URL, uuid5

from gigawatt.lab.redfish.accounts import Accounts
from gigawatt.lab.redfish.answer import Json
from gigawatt.lab.redfish.config import BmcConfig, SimulatorConfig
from gigawatt.lab.redfish.faults import Failing
from gigawatt.lab.redfish.machine import HostPower

LOG_LENGTH = 200
"""Entries of the log; the oldest goes first. Ours."""
LISTENERS_MAX = 4
EVENTS_WAITING_MAX = 100


@dataclass
class BootOverride:
    """Where the host boots from next; for Redfish's words see ``ComputerSystem.Boot``."""

    target: str = "None"
    enabled: str = "Disabled"


@dataclass
class Drive:
    """The virtual CD drive: address and file of what is in it."""

    url: str | None = None
    path: Path | None = None


@dataclass
class LogEntry:
    """One entry of the log."""

    number: int
    at: str
    message_id: str
    message: str


@dataclass(eq=False)
class SimulatedBmc:
    """One BMC.

    Fields: turn is held by whoever changes accounts or settings; away_until_s ends a restart.
    """

    config: BmcConfig
    simulator: SimulatorConfig
    boot: BootOverride = field(default_factory=BootOverride)
    drive: Drive = field(default_factory=Drive)
    failing: Failing = field(default_factory=Failing)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    listeners: list["queue.Queue[Json]"] = field(default_factory=list)
    turn: RLock = field(default_factory=RLock)
    ended: Event = field(default_factory=Event)
    away_until_s: float = 0.0
    request_count: int = 0

    def __post_init__(self) -> None:
        """As it left the factory, its host remembered as off."""
        self.accounts = Accounts(self.config)
        self.firmware_versions = dict(self.config.firmware_versions)
        own = self.config
        self.machine = HostPower(own.node_id, own.power_command, own.machine_namespace)
        self._event_count = 0

    @property
    def uuid(self) -> str:
        """The same for the same node, always."""
        return str(uuid5(NAMESPACE_URL, f"gigawatt-lab:{self.config.node_id}"))

    @property
    def is_away(self) -> bool:
        """Whether it restarts right now."""
        return monotonic() < self.away_until_s

    def restart(self) -> None:
        """Be away for a while; sessions end and virtual media are ejected, accounts stay."""
        self.accounts.end_sessions()
        self.eject()
        self.away_until_s = monotonic() + self.simulator.seconds_to_reboot
        self.tell("ResourceEvent.1.3.ResourceChanged", "the BMC restarted")

    def eject(self) -> None:
        """Empty the virtual drive."""
        if self.drive.path is not None:
            self.drive.path.unlink(missing_ok=True)
        self.drive = Drive()

    def media_to_boot(self) -> Path | None:
        """What the host boots from at this power on; an override for once is spent."""
        path = self.drive.path if self.is_cd_next else None
        if self.boot.enabled == "Once":
            self.boot = BootOverride()
        return path

    @property
    def is_cd_next(self) -> bool:
        """Whether the boot override says CD."""
        return self.boot.enabled != "Disabled" and self.boot.target == "Cd"

    def tell(self, message_id: str, message: str) -> None:
        """Log it, and send it to those who listen; who is too slow misses it."""
        self._event_count += 1
        entry = LogEntry(self._event_count, now_text(), message_id, message)
        self.log.append(entry)
        for listener in list(self.listeners):
            if listener.qsize() < EVENTS_WAITING_MAX:
                listener.put(event_of(entry))


def event_of(entry: LogEntry) -> Json:
    """The event that tells of a log entry."""
    record = {
        "MemberId": "0",
        "EventType": "Other",
        "EventId": str(entry.number),
        "EventTimestamp": entry.at,
        "MessageId": entry.message_id,
        "Message": entry.message,
    }
    return {
        "@odata.type": "#Event.v1_7_0.Event",
        "Id": str(entry.number),
        "Name": "Event",
        "Events": [record],
    }


def now_text() -> str:
    """The time, as Redfish writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a machine's own clock
