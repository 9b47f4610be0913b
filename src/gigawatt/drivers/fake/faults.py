"""Faults on purpose: which call of a fake driver goes wrong, and how.

A plan of faults is a list of rules. Which call a rule hits follows from the seed, the device and
the number of the call on that device, so that a run repeats whatever ran beside it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Literal

from gigawatt.boundary.entries import Entry
from gigawatt.ids import DeviceId

CallKind = Literal["ensure", "remove", "observe", "probe"]

WRITES: frozenset[CallKind] = frozenset({"ensure", "remove"})
CALLS: frozenset[CallKind] = frozenset({"ensure", "remove", "observe", "probe"})


class FaultKind(StrEnum):
    """What happens to a call that is hit."""

    REFUSED = "refused"
    """Permanent error, no effect."""
    BUSY = "busy"
    """Retryable error, no effect."""
    TIMEOUT = "timeout"
    """Retryable error, no effect; the caller cannot tell it from a lost reply."""
    LOST_REPLY = "lost_reply"
    """The effect is there, the caller gets a retryable error."""
    SLOW = "slow"
    """The effect comes ``delay_s`` later, also when the caller has given up by then."""
    LIE = "lie"
    """Success without effect, and read-back pretends: shows what is not there, hides what is."""
    REBOOT = "reboot"
    """Success, then the device restarts and loses what it does not keep on disk."""
    OLD_STATE = "old_state"
    """Success, then the device comes back as it was ``write_count`` writes ago."""
    UNREACHABLE = "unreachable"
    """Read-back leaves the device out, calls time out."""
    DEAD = "dead"
    """Permanent error for every call, read-back leaves the device out."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """Which calls are hit by what.

    Fields:
        kind: what happens.
        device: shell pattern of device ids, e.g. ``bmc/*``.
        calls: kinds of call; probes match the device ``probe/PLANE``.
        skip: matching calls let through first.
        count: matching calls hit after that; None for all.
        chance: probability that a matching call beyond ``skip`` is hit, 0 to 1.
        delay_s: of "slow", seconds.
        write_count: of "old_state", writes lost.
    """

    kind: FaultKind
    device: str = "*"
    calls: frozenset[CallKind] = WRITES
    skip: int = 0
    count: int | None = 1
    chance: float = 1.0
    delay_s: float = 60.0
    write_count: int = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """One call that was hit: its ordinal among all calls of the plan's drivers, from 0."""

    ordinal: int
    call: CallKind
    device: DeviceId
    kind: FaultKind


def unreachable(device: str) -> FaultRule:
    """Rule: the devices that match answer nothing, until the rule is taken away."""
    return FaultRule(FaultKind.UNREACHABLE, device, CALLS, count=None)


def dead(device: str) -> FaultRule:
    """Rule: the devices that match are broken for good."""
    return FaultRule(FaultKind.DEAD, device, CALLS, count=None)


class Faults:
    """The fault plan in force, and what it did so far.

    Attributes:
        hits: calls that were hit, in order.
        call_count: calls seen; a read-back counts once for each of its devices.
    """

    def __init__(self, rules: Iterable[FaultRule] = (), *, seed: int = 0) -> None:
        """Start with ``rules``; the first that hits a call decides."""
        self.hits: list[Hit] = []
        self.call_count = 0
        self._seed = seed
        self._rules: list[FaultRule] = list(rules)
        self._matched: list[int] = [0] * len(self._rules)
        self._hit: list[int] = [0] * len(self._rules)
        self._calls_on: Counter[tuple[DeviceId, CallKind]] = Counter()
        self._shown: dict[DeviceId, dict[str, Entry]] = {}
        self._hidden: dict[DeviceId, set[str]] = {}

    def add(self, rule: FaultRule) -> None:
        """Put a rule behind those in force."""
        self._rules.append(rule)
        self._matched.append(0)
        self._hit.append(0)

    def clear(self) -> None:
        """Take all rules away and end all lies; what already happened stays."""
        self._rules, self._matched, self._hit = [], [], []
        self._shown, self._hidden = {}, {}

    def draw(self, call: CallKind, device: DeviceId) -> FaultRule | None:
        """Count one call, and the rule that hits it if any."""
        ordinal = self.call_count
        self.call_count += 1
        if not self._rules:
            return None
        number = self._calls_on[device, call]
        self._calls_on[device, call] += 1
        for index, rule in enumerate(self._rules):
            if call in rule.calls and fnmatchcase(device, rule.device):
                self._matched[index] += 1
                if self._does_hit(index, rule, f"{call} {device} {number}"):
                    self._hit[index] += 1
                    self.hits.append(Hit(ordinal, call, device, rule.kind))
                    return rule
        return None

    def _does_hit(self, index: int, rule: FaultRule, name: str) -> bool:
        if self._matched[index] <= rule.skip:
            return False
        if rule.count is not None and self._hit[index] >= rule.count:
            return False
        if rule.chance >= 1.0:
            return True
        draw = Random(f"{self._seed} {index} {name}").random()  # noqa: S311 - repeats on purpose
        return draw < rule.chance

    def lie(self, call: CallKind, device: DeviceId, entries: Iterable[Entry]) -> None:
        """From now on read-back pretends that the call on these entries was done."""
        self.tell_truth(device, entries)
        if call == "ensure":
            shown = self._shown.setdefault(device, {})
            shown.update((entry.key, entry) for entry in entries)
        else:
            self._hidden.setdefault(device, set()).update(entry.key for entry in entries)

    def tell_truth(self, device: DeviceId, entries: Iterable[Entry]) -> None:
        """End the lies about the keys of ``entries``: a later call really did something."""
        for entry in entries:
            self._shown.get(device, {}).pop(entry.key, None)
            self._hidden.get(device, set()).discard(entry.key)

    def seen(self, device: DeviceId, entries: frozenset[Entry]) -> frozenset[Entry]:
        """What read-back says of a device that really holds ``entries``."""
        shown = self._shown.get(device)
        hidden = self._hidden.get(device)
        if not shown and not hidden:
            return entries
        by_key = {entry.key: entry for entry in entries} | (shown or {})
        return frozenset(entry for key, entry in by_key.items() if key not in (hidden or ()))
