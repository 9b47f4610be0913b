"""What breaks in a replay: nodes for good until repaired, single calls now and then.

Every draw follows from the seed and from what it is for, never from what ran before it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType

import numpy as np
from typing_extensions import override

from gigawatt.drivers.fake.faults import WRITES, CallKind, FaultKind, FaultRule, Faults, Hit, dead
from gigawatt.errors import InputError
from gigawatt.ids import DeviceId, NodeId
from gigawatt.units import DAY_S, HOUR_S

NODE_FAILURES_PER_DAY = 419 / (54 * 16_384 / 8)
"""3.8 failures in 1,000 node-days: 419 unexpected interruptions in 54 days of one job on 16,384
H100, 8 a node. Source: The Llama 3 Herd of Models, arXiv 2407.21783, section 3.3.4."""

CALL_FAULT_CHANCES: Mapping[FaultKind, float] = MappingProxyType(
    {
        FaultKind.BUSY: 2e-3,
        FaultKind.LOST_REPLY: 1e-3,
        FaultKind.TIMEOUT: 5e-4,
        FaultKind.SLOW: 5e-4,
        FaultKind.REFUSED: 1e-4,
        FaultKind.REBOOT: 1e-4,
        FaultKind.OLD_STATE: 5e-5,
    }
)
"""Chance that a call which changes a device goes wrong, by how. Illustrative.

Lies (success without effect that read-back hides) are left out: nothing that reads devices can
find them, and the executor promises nothing about them.
"""


@dataclass(frozen=True, slots=True)
class FailureRates:
    """How often things break. All illustrative but the rate of node failures.

    Fields:
        node_failures_per_day: of one node, >= 0.
        whole_node_ratio: share of failures that take BMC and in-band port along with the host.
        repair_s: from a failure to the mended node, and from a quarantine to the end of its check.
        call_chances: by kind of fault, of every call that changes a device; they sum to < 1.
        crash_chance: that the worker which carries an operation dies on the way.
    """

    node_failures_per_day: float = NODE_FAILURES_PER_DAY
    whole_node_ratio: float = 0.2
    repair_s: float = 12.0 * HOUR_S
    call_chances: Mapping[FaultKind, float] = field(default_factory=lambda: CALL_FAULT_CHANCES)
    crash_chance: float = 2e-3

    def __post_init__(self) -> None:
        """Refuse what is no rate.

        Raises:
            InputError: a field is out of range.
        """
        shares = (self.whole_node_ratio, self.crash_chance, *self.call_chances.values())
        if not all(0.0 <= share <= 1.0 for share in shares) or self.node_failures_per_day < 0:
            raise InputError("failure rates: every chance is 0 to 1 and every rate 0 or more")
        if sum(self.call_chances.values()) >= 1.0:
            raise InputError("failure rates: the chances of all faults of a call sum to 1 or more")

    def times(self, factor: float) -> "FailureRates":
        """Everything ``factor`` (>= 0) times as often."""
        return FailureRates(
            self.node_failures_per_day * factor,
            self.whole_node_ratio,
            self.repair_s,
            {kind: chance * factor for kind, chance in self.call_chances.items()},
            self.crash_chance * factor,
        )


def no_failures() -> FailureRates:
    """Nothing ever breaks."""
    return FailureRates().times(0.0)


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """One node that breaks at ``at_s``; with its BMC and port if ``is_whole``."""

    at_s: float
    node_id: NodeId
    is_whole: bool

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """Devices that stop answering."""
        owners = ("host", "bmc", "port") if self.is_whole else ("host",)
        return tuple(DeviceId(f"{owner}/{self.node_id}") for owner in owners)


def node_failures(
    node_ids: tuple[str, ...], rates: FailureRates, seed: int, span_s: float
) -> tuple[NodeFailure, ...]:
    """Failures of all nodes over ``span_s`` seconds: a Poisson process, nodes drawn evenly."""
    random = np.random.default_rng([seed, 0x6E6F6465])
    mean_count = rates.node_failures_per_day * len(node_ids) * span_s / DAY_S
    count = int(random.poisson(mean_count))
    times = np.sort(random.random(count) * span_s).tolist()
    rows = random.integers(len(node_ids), size=count).tolist()
    whole = (random.random(count) < rates.whole_node_ratio).tolist()
    return tuple(
        NodeFailure(at_s, NodeId(node_ids[row]), is_whole)
        for at_s, row, is_whole in zip(times, rows, whole, strict=True)
    )


def draw(seed: int, name: str) -> float:
    """A number in [0, 1) that follows from seed and name alone."""
    digest = blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64


class TwinFaults(Faults):
    """Faults of the twin's devices: broken ones stay dead until mended, single calls go wrong.

    One draw a call, so that a replay can afford it.

    Attributes:
        upset: devices that were rebooted or set back since somebody cleared it.
    """

    def __init__(self, rates: FailureRates, seed: int) -> None:
        """Break calls as often as ``rates`` says."""
        super().__init__(seed=seed)
        self.upset: set[DeviceId] = set()
        self._twin_seed = seed
        self._dead: set[DeviceId] = set()
        self._rules: list[FaultRule] = []
        self._limits: list[tuple[float, FaultRule]] = []
        self._number: dict[tuple[CallKind, DeviceId], int] = {}
        limit = 0.0
        for kind, chance in rates.call_chances.items():
            limit += chance
            self._limits.append((limit, FaultRule(kind)))
        self._any_chance = limit

    def kill(self, devices: Iterable[DeviceId]) -> None:
        """Let devices be dead from now on."""
        self._dead.update(devices)

    def mend(self, devices: Iterable[DeviceId]) -> None:
        """Let devices work again."""
        self._dead.difference_update(devices)

    def calm(self) -> None:
        """No single call goes wrong any more; dead devices stay dead."""
        self._limits, self._any_chance = [], 0.0

    @override
    def draw(self, call: CallKind, device: DeviceId) -> FaultRule | None:
        """Count one call, and the rule that hits it if any."""
        ordinal = self.call_count
        self.call_count += 1
        if device in self._dead:
            return self._struck(ordinal, call, device, _DEAD)
        if call not in WRITES or not self._any_chance:
            return None
        number = self._number.get((call, device), 0)
        self._number[call, device] = number + 1
        at = draw(self._twin_seed, f"{call} {device} {number}")
        if at >= self._any_chance:
            return None
        rule = next(rule for limit, rule in self._limits if at < limit)
        if rule.kind in {FaultKind.REBOOT, FaultKind.OLD_STATE}:
            self.upset.add(device)
        return self._struck(ordinal, call, device, rule)

    def _struck(self, ordinal: int, call: CallKind, device: DeviceId, rule: FaultRule) -> FaultRule:
        self.hits.append(Hit(ordinal, call, device, rule.kind))
        return rule


_DEAD = dead("*")


def survival_s(rates: FailureRates, seed: int, name: str) -> float:
    """When the worker of the operation ``name`` dies, s after it began; infinite if it does not.

    Some time in its first quarter of an hour, which no launch outlives by much.
    """
    at = draw(seed, f"crash {name}")
    return math.inf if at >= rates.crash_chance else 900.0 * at / rates.crash_chance
